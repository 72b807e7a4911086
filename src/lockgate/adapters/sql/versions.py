"""Lifecycle rows, stays and pinned manifests, and how a version made before Lockgate comes by its row."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import replace
from datetime import datetime
from typing import Any, TypeVar

from sqlalchemy import (
    ColumnElement,
    Connection,
    Row,
    and_,
    bindparam,
    exists,
    func,
    insert,
    or_,
    select,
    union_all,
    update,
)
from sqlalchemy.dialects import postgresql

from lockgate.adapters.sql import mlflow_tables as mlflow
from lockgate.adapters.sql.catalog import moment
from lockgate.adapters.sql.dialects import insert_if_new, is_sqlite, now
from lockgate.adapters.sql.names import Names
from lockgate.adapters.sql.policies import SqlPolicies
from lockgate.adapters.sql.rows import who_columns, who_of
from lockgate.adapters.sql.sources import SqlSources
from lockgate.adapters.sql.tables import QUARANTINED, artifacts, sources, stays, versions
from lockgate.domain.errors import BadInput, NotFound
from lockgate.domain.evidence import Quarantine
from lockgate.domain.identity import Who
from lockgate.domain.manifest import Manifest, PinnedFile
from lockgate.domain.stages import GATED, Stage
from lockgate.domain.versions import VersionRef
from lockgate.usecases.adoption_ports import BEFORE, UNRECORDED, Adoption
from lockgate.usecases.ports import Lifecycle

T = TypeVar("T")


class SqlVersions:
    """`Versions`. With `writable` False a version without a row is shown as it would be stored, and isn't."""

    def __init__(
        self, connection: Connection, names: Names, policies: SqlPolicies, adoption: Adoption, *, writable: bool
    ) -> None:
        self._connection = connection
        self._adoption = adoption
        self._names = names
        self._policies = policies
        self._writable = writable
        # what this transaction has read and not written since: one promotion asks for it several times
        self._read: dict[VersionRef, Lifecycle | None] = {}

    def get(self, ref: VersionRef) -> Lifecycle | None:
        if ref not in self._read:
            self._read[ref] = self._get(ref)
        return self._read[ref]

    def of_model(self, model: str) -> Sequence[Lifecycle]:
        found = [*self._adopt(model), *self._stored(model)]
        return sorted({x.ref: x for x in found}.values(), key=lambda x: x.ref.version, reverse=True)

    def in_stage(self, model: str, stage: Stage) -> Sequence[VersionRef]:
        adopted = {(x.entered, x.ref.version) for x in self._adopt_in(model, stage) if x.stage is stage}
        here = {"of": self._names.key(model), "into": stage.value, "workspace": self._names.workspace, "name": model}
        # what was deleted past Lockgate is nobody's primary, and no alias may name it
        stored = {(row.entered, row.version) for row in self._connection.execute(_IN_STAGE, here)}
        return [VersionRef(model, version) for _entered, version in sorted(adopted | stored)]

    def newest_in_stage(self, model: str, stage: Stage) -> int | None:
        return self._newest(model, [stage])[stage]

    def count(self, model: str) -> int:
        ours = (versions.c.model_id == self._names.key(model), versions.c.deleted_at.is_(None))
        counted = [select(func.count()).select_from(versions).where(*ours)]
        counted += [select(func.count()).select_from(mlflow.model_versions).where(*self._without_a_row(model))]
        return sum(self._connection.execute(query).scalar_one() for query in counted)

    def register(
        self,
        ref: VersionRef,
        who: Who,
        at: datetime,
        *,
        stage: Stage = Stage.NONE,
        provenance: str = "registered",
        location: str | None = None,
    ) -> None:
        self._store(Lifecycle(ref, stage, at, at, False, None, None, who, at, provenance), location)

    def place(self, ref: VersionRef, stage: Stage, at: datetime, promotion: str | None) -> None:
        there = self._require(ref)
        model_id = self._names.ensure(ref.model)
        here = {"of": model_id, "number": ref.version, "at": at}
        self._read.pop(ref, None)
        if there.stage is stage:
            self._connection.execute(_ENTER_AGAIN, here)
            return
        here |= {"into": stage.value, "moved_by": promotion}
        for statement in (_ENTER, _END_STAY, _BEGIN_STAY) if is_sqlite(self._connection) else (_MOVE,):
            self._connection.execute(statement, here)

    def elect(self, model: str, stages: Collection[Stage]) -> Mapping[Stage, int | None]:
        self._read.clear()
        found = self._newest(model, stages)
        elected = {
            f"{place}_newest": version or 0 for place, version in zip(_PLACES, _both(found.values()), strict=True)
        }
        self._connection.execute(_ELECT, {"of": self._names.key(model), **_placed(stages), **elected})
        return found

    def pin(self, ref: VersionRef, manifest: Manifest, at: datetime) -> None:
        if self._require(ref).digest is not None:
            return
        here = self._row(ref)
        # what could not be read before, and what was read of files that nobody had pinned, is looked at again
        pinned = {"digest": manifest.digest, "pinned_at": at, "semver_due": at}
        self._connection.execute(update(versions).where(here).values(pinned))
        key = {"model_id": self._names.ensure(ref.model), "version": ref.version}
        files = [{**key, "path": file.path, "size": file.size, "sha256": file.sha256} for file in manifest.files]
        if files:
            self._connection.execute(insert(artifacts), files)

    def manifest(self, ref: VersionRef) -> Manifest | None:
        found = self.get(ref)
        if found is None or found.digest is None:
            return None
        here = (artifacts.c.model_id == self._names.key(ref.model), artifacts.c.version == ref.version)
        files = self._connection.execute(select(artifacts).where(*here))
        return Manifest.of(PinnedFile(row.path, row.size, row.sha256) for row in files)

    def quarantine(self, ref: VersionRef, quarantine: Quarantine | None) -> None:
        self._require(ref)
        here = self._row(ref)
        at, reason = (quarantine.at, quarantine.reason) if quarantine else (None, None)
        self._connection.execute(update(versions).where(here).values(quarantined_at=at, quarantine_reason=reason))

    def quarantined(self, model: str) -> frozenset[VersionRef]:
        here = (versions.c.model_id == self._names.key(model), versions.c.deleted_at.is_(None), QUARANTINED)
        found = self._connection.execute(select(versions.c.version).where(*here)).scalars()
        return frozenset(VersionRef(model, version) for version in found)

    def delete(self, ref: VersionRef, at: datetime) -> None:
        if self.get(ref) is None and self._names.id_of(ref.model) is None:
            return
        here = self._row(ref)
        self._connection.execute(update(versions).where(here).values(deleted_at=at, is_primary=False))
        self._connection.execute(_END_STAY, {"of": self._names.ensure(ref.model), "number": ref.version, "at": at})

    def add_model(self, model: str) -> bool:
        """Begin the model's own row and audit chain; False when they are there already."""
        return self._names.begin(model)

    def rename_model(self, old: str, new: str) -> None:
        """Call the same model by its new name: versions, promotions and audit chain go along."""
        self._read.clear()
        self._names.rename(old, new, now(self._connection))
        SqlSources(self._connection, self._names.workspace).rename(old, new)

    def delete_model(self, model: str, at: datetime) -> None:
        """End every stay and let go of the name: a model made under it later starts with nothing."""
        self._read.clear()
        model_id = self._names.let_go(model, at)
        if model_id is None:
            return
        living = (versions.c.model_id == model_id, versions.c.deleted_at.is_(None))
        self._connection.execute(update(versions).where(*living).values(deleted_at=at, is_primary=False))
        present = (stays.c.model_id == model_id, stays.c.left_at.is_(None))
        self._connection.execute(update(stays).where(*present).values(left_at=at))

    def _newest(self, model: str, stages: Collection[Stage]) -> dict[Stage, int | None]:
        for stage in stages:
            self._adopt_in(model, stage)
        here = {"of": self._names.key(model), "workspace": self._names.workspace, "name": model, **_placed(stages)}
        return dict(zip(stages, self._connection.execute(_NEWEST, here).one(), strict=False))

    def _stored(self, model: str) -> list[Lifecycle]:
        here = (versions.c.model_id == self._names.key(model), versions.c.deleted_at.is_(None))
        return [_lifecycle(model, row) for row in self._connection.execute(select(versions).where(*here))]

    def _get(self, ref: VersionRef) -> Lifecycle | None:
        model_id = self._names.id_of(ref.model)
        if model_id is not None:
            row = self._connection.execute(_ROW, {"model_id": model_id, "version": ref.version}).first()
            if row is not None:
                return None if row.deleted_at is not None else _lifecycle(ref.model, row)
        return next(iter(self._adopt(ref.model, mlflow.model_versions.c.version == ref.version)), None)

    def _require(self, ref: VersionRef) -> Lifecycle:
        found = self.get(ref)
        if found is None:
            raise NotFound(f"There is no version {ref}.", hint=f"lockgate status {ref.model} lists the versions.")
        return found

    def _row(self, ref: VersionRef) -> ColumnElement[bool]:
        """The condition of a row about to be written: what was read of it counts no more."""
        self._read.pop(ref, None)
        return and_(versions.c.model_id == self._names.ensure(ref.model), versions.c.version == ref.version)

    def _adopt_in(self, model: str, stage: Stage) -> list[Lifecycle]:
        """Those that MLflow says are in the stage. Once the record has begun nothing enters one without a row."""
        if stage is not Stage.NONE and self._adoption.begun() is not None:
            return []
        return self._adopt(model, _told(stage))

    def _adopt(self, model: str, *also: ColumnElement[bool]) -> list[Lifecycle]:
        """The versions MLflow has and we have no row for, deleted or not; stored on the way where that may be."""
        rows = self._connection.execute(select(mlflow.model_versions).where(*self._without_a_row(model), *also)).all()
        found = [self._found(row) for row in rows]
        if self._writable:
            for lifecycle in found:
                self._store(lifecycle)
        return found

    def _without_a_row(self, model: str) -> tuple[ColumnElement[bool], ...]:
        table = mlflow.model_versions.c
        ours = exists().where(versions.c.model_id == self._names.key(model), versions.c.version == table.version)
        living = table.current_stage.is_distinct_from(mlflow.DELETED)
        return table.workspace == self._names.workspace, table.name == model, ~ours, living

    def _found(self, row: Row[Any]) -> Lifecycle:
        """What a version without a row is taken for: one from before the record began, or one made past Lockgate."""
        found = before_lockgate(row)
        if self._adoption.begun() is None:
            return replace(found, primary=self._has_alias(found.ref, found.stage))
        # nobody here has let it into a stage, whatever MLflow's column says
        at = found.registered_at
        return replace(found, stage=Stage.NONE, since=at, entered=at, provenance=UNRECORDED)

    def _has_alias(self, ref: VersionRef, stage: Stage) -> bool:
        if stage not in GATED:
            return False
        table = mlflow.registered_model_aliases.c
        alias = self._policies.in_force().rules(ref.model, stage).alias
        here = (table.workspace == self._names.workspace, table.name == ref.model, table.alias == alias)
        return self._connection.execute(select(table.version).where(*here)).scalar() == ref.version

    def _store(self, new: Lifecycle, location: str | None = None) -> None:
        model_id = self._names.ensure(new.ref.model)
        values = {
            "model_id": model_id,
            "version": new.ref.version,
            "stage": new.stage.value,
            "since": new.since,
            "entered": new.entered,
            "is_primary": new.primary,
            **who_columns("registered_by", new.registered_by),
            "registered_at": new.registered_at,
            "provenance": new.provenance,
        }
        self._read.pop(new.ref, None)
        places = SqlSources(self._connection, self._names.workspace)
        if location is not None and not is_sqlite(self._connection):
            held = {**values, **places.row(new.ref, location)}
            self._connection.execute(_ADD_AT_ONCE, {f"{name}_": value for name, value in held.items()})
        elif insert_if_new(self._connection, versions, values, [versions.c.model_id, versions.c.version]):
            self._begin_stay(model_id, new.ref.version, new.stage, new.since, None)
            places.put(new.ref, location)

    def _begin_stay(self, model_id: int, version: int, stage: Stage, at: datetime, promotion: str | None) -> None:
        values = {
            "model_id": model_id,
            "version": version,
            "stage": stage.value,
            "entered_at": at,
            "promotion": promotion,
        }
        self._connection.execute(_INSERT_STAY, values)


def _told(stage: Stage) -> ColumnElement[bool]:
    """What MLflow's column says of a version in that stage."""
    column = mlflow.model_versions.c.current_stage
    return column.is_(None) | (column == stage.value) if stage is Stage.NONE else column == stage.value


def _there(workspace: Any, model: Any) -> ColumnElement[bool]:
    """Whether MLflow still has the version of our row: one deleted past us occupies no stage, and no alias names it.

    A look by its key for each row asked about: of an EXISTS PostgreSQL makes a join that may read the whole model.
    """
    theirs = mlflow.model_versions.c
    here = (theirs.workspace == workspace, theirs.name == model, theirs.version == versions.c.version)
    stage = select(func.coalesce(theirs.current_stage, Stage.NONE.value)).where(*here).scalar_subquery()
    return stage != mlflow.DELETED


# made once: making a statement takes longer than running it
_THIS = and_(versions.c.model_id == bindparam("of"), versions.c.version == bindparam("number"))
_ROW = select(versions).where(versions.c.model_id == bindparam("model_id"), versions.c.version == bindparam("version"))
_IN_STAGE = select(versions.c.entered, versions.c.version).where(
    versions.c.model_id == bindparam("of"),
    versions.c.stage == bindparam("into"),
    versions.c.deleted_at.is_(None),
    _there(bindparam("workspace"), bindparam("name")),
)
# Of two stages at most: that many have a primary, and a version that moves leaves one and enters the other.
_PLACES = ("first", "second")


def _both(values: Iterable[T]) -> tuple[T, T]:
    """What belongs to each of two stages; to one stage twice where there is one."""
    found = tuple(values)
    return found[0], found[-1]


def _placed(stages: Iterable[Stage]) -> dict[str, str]:
    return {place: stage.value for place, stage in zip(_PLACES, _both(stages), strict=True)}


def _newest_in(place: str) -> ColumnElement[int]:
    return (
        select(versions.c.version)
        .where(
            versions.c.model_id == bindparam("of"),
            versions.c.stage == bindparam(place),
            versions.c.deleted_at.is_(None),
            _there(bindparam("workspace"), bindparam("name")),
        )
        .order_by(versions.c.entered.desc(), versions.c.version.desc())
        .limit(1)
        .scalar_subquery()
    )


_NEWEST = select(*(_newest_in(place) for place in _PLACES))
_ENTER_AGAIN = update(versions).where(_THIS).values(entered=bindparam("at"))
_ENTER = (
    update(versions)
    .where(_THIS)
    .values(stage=bindparam("into"), since=bindparam("at"), entered=bindparam("at"), is_primary=False)
)
_END_STAY = (
    update(stays)
    .where(stays.c.model_id == bindparam("of"), stays.c.version == bindparam("number"), stays.c.left_at.is_(None))
    .values(left_at=bindparam("at"))
)
_INSERT_STAY = insert(stays).inline()
# For PostgreSQL: a version's row, its first stay and the place of its artifacts, where there is no row of it yet. A
# value that bore a column's name would be written to that column of every table.
_ADDED = (
    postgresql.insert(versions)
    .values({column.name: bindparam(f"{column.name}_") for column in versions.c if not column.nullable})
    .on_conflict_do_nothing(index_elements=[versions.c.model_id, versions.c.version])
    .returning(versions.c.model_id, versions.c.version, versions.c.stage, versions.c.since)
    .cte("added")
)
_STAYED = insert(stays).from_select(["model_id", "version", "stage", "entered_at"], select(*_ADDED.c)).cte("stayed")
_WHERE_IT_LIES = select(
    bindparam("workspace_", type_=sources.c.workspace.type),
    bindparam("name_", type_=sources.c.name.type),
    _ADDED.c.version,
    bindparam("place_", type_=sources.c.place.type),
)
_NOTED = postgresql.insert(sources).from_select([column.name for column in sources.c], _WHERE_IT_LIES)
_ADD_AT_ONCE = _NOTED.on_conflict_do_update(
    index_elements=list(sources.primary_key.columns), set_={"place": _NOTED.excluded.place}
).add_cte(_STAYED)
_BEGIN_STAY = _INSERT_STAY.values(
    model_id=bindparam("of"),
    version=bindparam("number"),
    stage=bindparam("into"),
    entered_at=bindparam("at"),
    promotion=bindparam("moved_by"),
)
# the three of them on one way to the database; none of them sees what another one writes
_MOVE = _BEGIN_STAY.add_cte(_ENTER.cte("entered"), _END_STAY.cte("ended"))
# those that are and those that will be: a few looks into indexes, however many versions the stages hold
_PRIMARIES = [
    select(versions.c.version).where(
        versions.c.model_id == bindparam("of"), versions.c.stage == bindparam(place), versions.c.is_primary
    )
    for place in _PLACES
]
_ELECTED = [select(bindparam(f"{place}_newest", type_=versions.c.version.type)) for place in _PLACES]
_WINS = or_(
    *(
        (versions.c.stage == bindparam(place)) & (versions.c.version == bindparam(f"{place}_newest"))
        for place in _PLACES
    )
)
_ELECT = (
    update(versions)
    .where(
        versions.c.model_id == bindparam("of"),
        versions.c.version.in_(union_all(*_PRIMARIES, *_ELECTED)),
        versions.c.is_primary != _WINS,
    )
    .values(is_primary=_WINS)
)


def before_lockgate(row: Row[Any]) -> Lifecycle:
    """What MLflow's row of a version tells: where it is, since when, and who made it. It is nobody's primary yet."""
    try:
        stage = Stage.parse(row.current_stage or Stage.NONE)
    except BadInput:
        stage = Stage.NONE  # a word of somebody else's in MLflow's column is no stage of ours
    created = moment(row.creation_time)
    # every move sets this column, so the present stay began no later: no time in Staging is made up
    since = moment(row.last_updated_time) if row.last_updated_time is not None else created
    who = Who(row.user_id or "unknown", verified=False, via="mlflow")
    ref = VersionRef(row.name, row.version)
    return Lifecycle(ref, stage, since, since, False, None, None, who, created, BEFORE)


def _lifecycle(model: str, row: Row[Any]) -> Lifecycle:
    quarantined = row.quarantined_at is not None
    return Lifecycle(
        ref=VersionRef(model, row.version),
        stage=Stage(row.stage),
        since=row.since,
        entered=row.entered,
        primary=row.is_primary,
        digest=row.digest,
        quarantine=Quarantine(row.quarantined_at, row.quarantine_reason or "") if quarantined else None,
        registered_by=who_of("registered_by", row),
        registered_at=row.registered_at,
        provenance=row.provenance,
    )
