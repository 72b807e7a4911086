"""Where MLflow's tables and ours say different things: a few statements for one model or for a whole workspace."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import timedelta

from sqlalchemy import (
    BigInteger,
    ColumnElement,
    Connection,
    Select,
    and_,
    bindparam,
    exists,
    func,
    inspect,
    or_,
    select,
    type_coerce,
)

from lockgate.adapters.sql import mlflow_tables as mlflow
from lockgate.adapters.sql.names import Names
from lockgate.adapters.sql.policies import SqlPolicies
from lockgate.adapters.sql.prompts import prompts
from lockgate.adapters.sql.tables import LIVING_NAME, models, versions
from lockgate.domain.drift import Difference, Kind
from lockgate.domain.stages import GATED, Stage
from lockgate.usecases.adoption_ports import Adoption

# a model that MLflow made so much later than we registered a version of it is another one of its name
_LATER = timedelta(seconds=60) // timedelta(microseconds=1)
_STAGE = func.coalesce(mlflow.model_versions.c.current_stage, Stage.NONE.value)

# Made once: every promotion asks it. The newest by number, which clients choose from, and no more of them than this: a
# stage may hold thousands, and none of those was put there past us.
_FEW = 100
_INSIDE = (
    select(mlflow.model_versions.c.version)
    .where(
        mlflow.model_versions.c.workspace == bindparam("workspace"),
        mlflow.model_versions.c.name == bindparam("name"),
        mlflow.model_versions.c.current_stage == bindparam("stage"),
    )
    .order_by(mlflow.model_versions.c.version.desc())
    .limit(_FEW)
    .subquery("inside")
)
# Our row of each is looked up by its key. A join leaves the way to PostgreSQL, which reads all rows of the model for
# each of these versions where it has no statistics yet.
_HELD = (
    select(versions.c.stage)
    .where(versions.c.model_id == bindparam("of"), versions.c.version == _INSIDE.c.version)
    .scalar_subquery()
)
_BOTH = select(_INSIDE.c.version, func.coalesce(_HELD, Stage.NONE.value).label("held")).subquery("both")
_ASTRAY = select(_BOTH).where(_BOTH.c.held != bindparam("stage"))


class SqlDrift:
    """`Drift`."""

    def __init__(self, connection: Connection, names: Names, policies: SqlPolicies, adoption: Adoption) -> None:
        self._connection = connection
        self._names = names
        self._workspace = names.workspace
        self._policies = policies
        self._adoption = adoption

    def differences(self, model: str | None = None) -> Sequence[Difference]:
        whole = list(self._of_models(model))
        elsewhere = {each.model for each in whole}
        found = list(self._of_versions(model))
        if self._adoption.begun() is not None:
            found += self._without_a_row(model)
        # with a version its aliases go, which is no second difference
        deleted = {(x.model, str(x.version)) for x in found if x.kind is Kind.VERSION_DELETED}
        found += [x for x in self._of_aliases(model) if x.found or (x.model, x.held) not in deleted]
        whole += [x for x in found if x.model not in elsewhere]
        return sorted(whole, key=lambda x: (x.model, x.version or 0, x.alias))

    def astray(self, model: str, stage: Stage) -> Sequence[tuple[int, Stage]]:
        if self._adoption.begun() is None:
            return ()
        here = {"workspace": self._workspace, "name": model, "of": self._names.key(model), "stage": stage.value}
        return [(row.version, Stage(row.held)) for row in self._connection.execute(_ASTRAY, here)]

    def workspaces(self) -> Sequence[str]:
        """Every workspace that holds a model, in MLflow's tables or in ours; none while MLflow's are not made yet."""
        if not inspect(self._connection).has_table(mlflow.registered_models.name):
            return ()
        theirs = select(mlflow.registered_models.c.workspace).union(select(models.c.workspace))
        return sorted(self._connection.execute(theirs).scalars())

    def _of_models(self, model: str | None) -> Iterator[Difference]:
        """Models that MLflow has no more, and those it has anew: younger than a version we hold of them."""
        table = mlflow.registered_models.c
        same = and_(table.workspace == models.c.workspace, table.name == models.c.name)
        older = exists().where(
            versions.c.model_id == models.c.id,
            versions.c.deleted_at.is_(None),
            type_coerce(versions.c.registered_at, BigInteger) + _LATER < table.creation_time * 1000,
        )
        query = (
            select(models.c.name, table.name.is_(None))
            .outerjoin(mlflow.registered_models, same)
            .where(self._ours(model), or_(table.name.is_(None), older))
        )
        for name, is_gone in self._connection.execute(query):
            yield Difference(Kind.MODEL_GONE if is_gone else Kind.MODEL_REPLACED, name, held=name)

    def _of_versions(self, model: str | None) -> Iterator[Difference]:
        theirs = mlflow.model_versions.c
        same = and_(
            theirs.workspace == models.c.workspace,
            theirs.name == models.c.name,
            theirs.version == versions.c.version,
        )
        deleted = or_(theirs.version.is_(None), theirs.current_stage == mlflow.DELETED)
        table = mlflow.registered_models.c
        there = exists().where(table.workspace == models.c.workspace, table.name == models.c.name)
        query = (
            select(models.c.name, versions.c.version, versions.c.stage, _STAGE.label("theirs"), deleted)
            .join_from(versions, models, models.c.id == versions.c.model_id)
            .outerjoin(mlflow.model_versions, same)
            .where(self._ours(model), versions.c.deleted_at.is_(None), there)
            .where(or_(deleted, versions.c.stage != _STAGE))
        )
        for name, version, held, found, is_deleted in self._connection.execute(query):
            if is_deleted:
                yield Difference(Kind.VERSION_DELETED, name, version, Stage(held), held=held)
            else:
                yield Difference(Kind.STAGE, name, version, Stage(held), held=held, found=found)

    def _without_a_row(self, model: str | None) -> Iterator[Difference]:
        """Versions made past Lockgate, in a stage that nobody here has let them into."""
        theirs = mlflow.model_versions.c
        ours = exists().where(
            models.c.workspace == theirs.workspace,
            models.c.name == theirs.name,
            LIVING_NAME,
            versions.c.model_id == models.c.id,
            versions.c.version == theirs.version,
        )
        moved = theirs.current_stage.in_([stage.value for stage in Stage if stage is not Stage.NONE])
        query = select(theirs.name, theirs.version, theirs.current_stage).where(
            theirs.workspace == self._workspace,
            moved,
            ~ours,
            ~prompts(theirs),
            *([theirs.name == model] if model else []),
        )
        for name, version, found in self._connection.execute(query):
            yield Difference(Kind.STAGE, name, version, Stage.NONE, held=Stage.NONE.value, found=found)

    def _of_aliases(self, model: str | None) -> Iterator[Difference]:
        policy = self._policies.in_force()
        for stage in sorted(GATED):
            for alias in sorted(policy.aliases_of(stage)):
                for query in (self._wrong_alias(model, stage, alias), self._extra_alias(model, stage, alias)):
                    for name, held, found in self._connection.execute(query):
                        # the alias of a stage may be another one for some models
                        if policy.rules(name, stage).alias == alias:
                            told = ("" if held is None else str(held), "" if found is None else str(found))
                            yield Difference(Kind.ALIAS, name, held, stage, alias, *told)

    def _wrong_alias(self, model: str | None, stage: Stage, alias: str) -> Select[tuple[str, int, int | None]]:
        """Primaries of the stage which the alias does not name."""
        theirs = mlflow.registered_model_aliases.c
        same = and_(theirs.workspace == models.c.workspace, theirs.name == models.c.name, theirs.alias == alias)
        table = mlflow.registered_models.c
        there = exists().where(table.workspace == models.c.workspace, table.name == models.c.name)
        primary = (versions.c.stage == stage.value, versions.c.is_primary, versions.c.deleted_at.is_(None))
        return (
            select(models.c.name, versions.c.version, theirs.version)
            .join_from(versions, models, models.c.id == versions.c.model_id)
            .outerjoin(mlflow.registered_model_aliases, same)
            .where(self._ours(model), there, *primary, theirs.version.is_distinct_from(versions.c.version))
        )

    def _extra_alias(self, model: str | None, stage: Stage, alias: str) -> Select[tuple[str, None, int]]:
        """Aliases of models of which nothing is the primary of the stage. A prompt's are its owner's own."""
        theirs = mlflow.registered_model_aliases.c
        primary = exists().where(
            models.c.workspace == theirs.workspace,
            models.c.name == theirs.name,
            LIVING_NAME,
            versions.c.model_id == models.c.id,
            versions.c.stage == stage.value,
            versions.c.is_primary,
            versions.c.deleted_at.is_(None),
        )
        here = [theirs.workspace == self._workspace, theirs.alias == alias, *([theirs.name == model] if model else [])]
        nothing: ColumnElement[None] = type_coerce(None, BigInteger)  # type: ignore[arg-type]
        return select(theirs.name, nothing, theirs.version).where(*here, ~primary, ~prompts(theirs))

    def _ours(self, model: str | None) -> ColumnElement[bool]:
        here = and_(models.c.workspace == self._workspace, LIVING_NAME)
        return here if model is None else and_(here, models.c.name == model)
