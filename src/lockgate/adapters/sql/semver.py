"""Semantic versions as rows: three numbers, so that the database orders them, and signatures kept once each."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Mapping, Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import BindParameter, Connection, Row, Select, and_, bindparam, exists, func, select, update
from sqlalchemy.dialects import postgresql, sqlite

from lockgate.adapters.sql.dialects import insert_if_new, is_sqlite
from lockgate.adapters.sql.names import Names
from lockgate.adapters.sql.rows import origin_columns, who_columns, who_of
from lockgate.adapters.sql.semver_tables import NUMBERED, semver, signatures
from lockgate.adapters.sql.tables import TO_BE_NUMBERED, versions
from lockgate.domain.canonical import digest_of
from lockgate.domain.semver import SemanticVersion
from lockgate.domain.versions import VersionRef
from lockgate.usecases.semver_ports import Numbered

_MOST_NAMED = 500  # versions in one question; of more the whole model is read


class SqlSemver:
    """`Semver`."""

    def __init__(self, connection: Connection, names: Names) -> None:
        self._connection = connection
        self._names = names

    def get(self, ref: VersionRef) -> Numbered | None:
        return self._first(_ONE, ref)

    def of_model(self, model: str) -> Sequence[Numbered]:
        rows = self._connection.execute(_OF_MODEL, {"of": self._names.key(model)})
        return [_numbered(model, row) for row in rows]

    def numbers(self, refs: Collection[VersionRef]) -> Mapping[VersionRef, SemanticVersion]:
        wanted: dict[str, set[int]] = defaultdict(set)
        for ref in refs:
            wanted[ref.model].add(ref.version)
        found: dict[VersionRef, SemanticVersion] = {}
        for model, numbers in wanted.items():
            few = len(numbers) <= _MOST_NAMED
            told = {"of": self._names.key(model), **({"numbers": sorted(numbers)} if few else {})}
            rows = self._connection.execute(_NUMBERS_OF_SOME if few else _NUMBERS_OF_ALL, told)
            found |= {VersionRef(model, row.version): _number(row) for row in rows if row.version in numbers}
        return found

    def find(self, model: str, number: SemanticVersion) -> VersionRef | None:
        here = {"of": self._names.key(model), "x": number.major, "y": number.minor, "z": number.patch}
        version = self._connection.execute(_FIND, here).scalar()
        return None if version is None else VersionRef(model, version)

    def highest_patch(self, model: str, number: SemanticVersion) -> int:
        here = {"of": self._names.key(model), "x": number.major, "y": number.minor}
        found = self._connection.execute(_HIGHEST, here).scalar()
        return -1 if found is None else int(found)

    def before(self, ref: VersionRef, *, was_read: bool = False) -> Numbered | None:
        return self._first(_READ_BEFORE if was_read else _BEFORE, ref)

    def behind(self, ref: VersionRef) -> Numbered | None:
        return self._first(_BEHIND, ref)

    def put(self, numbered: Numbered) -> None:
        number = numbered.number
        values = {
            "model_id": self._names.ensure(numbered.ref.model),
            "version": numbered.ref.version,
            "major": number.major if number else None,
            "minor": number.minor if number else None,
            "patch": number.patch if number else None,
            "origin": numbered.origin,
            "signature": numbered.signature,
            "mlmodel": numbered.mlmodel,
            "compared_with": numbered.compared_with,
            "because": numbered.because,
            **who_columns("who", numbered.who),
            **origin_columns("who", numbered.who),
            "at": numbered.at,
            "attempts": numbered.attempts,
        }
        self._connection.execute(_PUT[is_sqlite(self._connection)], values)

    def keep_signature(self, text: str) -> str:
        digest = digest_of(text.encode(errors="surrogatepass"))
        insert_if_new(self._connection, signatures, {"digest": digest, "text": text}, [signatures.c.digest])
        return digest

    def signature(self, digest: str) -> str:
        return str(self._connection.execute(_SIGNATURE, {"digest": digest}).scalar_one())

    def is_due(self, ref: VersionRef, until: datetime) -> bool:
        return self._connection.execute(_IS_DUE, {**self._of(ref), "until": until}).first() is not None

    def waits_before(self, ref: VersionRef) -> bool:
        return self._connection.execute(_WAITS_BEFORE, self._of(ref)).first() is not None

    def due(self, ref: VersionRef, at: datetime | None) -> None:
        self._connection.execute(_DUE, {**self._of(ref), "then": at})

    def _first(self, rows: Select[Any], ref: VersionRef) -> Numbered | None:
        row = self._connection.execute(rows, self._of(ref)).first()
        return None if row is None else _numbered(ref.model, row)

    def _of(self, ref: VersionRef) -> dict[str, Any]:
        return {"of": self._names.key(ref.model), "number": ref.version}


def _numbered(model: str, row: Row[Any]) -> Numbered:
    return Numbered(
        ref=VersionRef(model, row.version),
        number=None if row.major is None else _number(row),
        origin=row.origin,
        because=row.because,
        who=who_of("who", row),
        at=row.at,
        signature=row.signature,
        mlmodel=row.mlmodel,
        compared_with=row.compared_with,
        attempts=row.attempts,
    )


def _number(row: Any) -> SemanticVersion:
    return SemanticVersion(row.major, row.minor, row.patch)


def _put(build: Any) -> Any:
    new = build(semver)
    changed = {column.name: new.excluded[column.name] for column in semver.c if not column.primary_key}
    return new.on_conflict_do_update(index_elements=list(semver.primary_key.columns), set_=changed)


# made once: making a statement takes longer than running it
_OF: BindParameter[int] = bindparam("of")
_NUMBER: BindParameter[int] = bindparam("number")
_PUT = {True: _put(sqlite.insert), False: _put(postgresql.insert)}
_ONE = select(semver).where(semver.c.model_id == _OF, semver.c.version == _NUMBER)
_SAME = and_(versions.c.model_id == semver.c.model_id, versions.c.version == semver.c.version)
_LIVING = select(semver).join(versions, _SAME).where(semver.c.model_id == _OF, versions.c.deleted_at.is_(None))
_OF_MODEL = _LIVING.order_by(semver.c.version.desc())
_BEFORE = _LIVING.where(NUMBERED, semver.c.version < _NUMBER).order_by(semver.c.version.desc()).limit(1)
_READ_BEFORE = _BEFORE.where(semver.c.mlmodel != "")
_BEHIND = _LIVING.where(NUMBERED, semver.c.version > _NUMBER).order_by(semver.c.version).limit(1)
_NUMBERS_OF_ALL = select(semver.c.version, semver.c.major, semver.c.minor, semver.c.patch).where(
    semver.c.model_id == _OF, NUMBERED
)
_NUMBERS_OF_SOME = _NUMBERS_OF_ALL.where(semver.c.version.in_(bindparam("numbers", expanding=True)))
_FIND = select(semver.c.version).where(
    semver.c.model_id == _OF,
    NUMBERED,
    semver.c.major == bindparam("x"),
    semver.c.minor == bindparam("y"),
    semver.c.patch == bindparam("z"),
)
_HIGHEST = select(func.max(semver.c.patch)).where(
    semver.c.model_id == _OF, NUMBERED, semver.c.major == bindparam("x"), semver.c.minor == bindparam("y")
)
_SIGNATURE = select(signatures.c.text).where(signatures.c.digest == bindparam("digest"))
_THIS = and_(versions.c.model_id == _OF, versions.c.version == _NUMBER)
_IS_DUE = select(versions.c.version).where(
    _THIS, versions.c.deleted_at.is_(None), versions.c.semver_due == bindparam("until")
)
_LOOKED_AT = exists().where(_SAME)
_WAITS_BEFORE = (
    select(versions.c.version)
    .where(versions.c.model_id == _OF, versions.c.version < _NUMBER, TO_BE_NUMBERED, ~_LOOKED_AT)
    .limit(1)
)
_DUE = update(versions).where(_THIS).values(semver_due=bindparam("then"))
