"""When the record of this database began, and how what was there before it is written down: once, in bulk."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection, Row, String, cast, exists, func, insert, inspect, literal, select

from lockgate.adapters.sql import mlflow_tables as mlflow
from lockgate.adapters.sql.dialects import measure
from lockgate.adapters.sql.names import chain_of
from lockgate.adapters.sql.prompts import prompts
from lockgate.adapters.sql.rows import who_columns
from lockgate.adapters.sql.semver_tables import BACKLOG
from lockgate.adapters.sql.tables import LIVING_NAME, audit, chains, models, stays, versions
from lockgate.adapters.sql.versions import before_lockgate
from lockgate.domain.audit import BEGINNING, SYSTEM
from lockgate.domain.policy import Policy
from lockgate.domain.stages import GATED
from lockgate.usecases.adoption_ports import ADOPTED, BEFORE, MADE, TakenOver
from lockgate.usecases.ports import Lifecycle

_AT_A_TIME = 1_000
# what is asked of a model and its versions; MLflow's may have come out of a backup a moment ago
_FILLED = (
    *(models, versions, stays, chains),
    *(mlflow.registered_models, mlflow.registered_model_tags, mlflow.registered_model_aliases),
    *(mlflow.model_versions, mlflow.model_version_tags),
)
_BEGUN = (
    select(audit.c.action)
    .where(audit.c.action.in_([MADE, ADOPTED]), audit.c.chain == SYSTEM)
    .order_by(audit.c.id)
    .limit(1)
)
_Aliases = Mapping[tuple[str, str, str], int]


@dataclass(slots=True)
class Beginning:
    """How the record began, kept for the life of a process: it never changes once it is there."""

    action: str | None = None


class SqlAdoption:
    """`Adoption`."""

    def __init__(self, connection: Connection, beginning: Beginning) -> None:
        self._connection = connection
        self._beginning = beginning
        self._asked = False

    def begun(self) -> str | None:
        if self._beginning.action is None and not self._asked:
            self._asked = True  # once in each transaction, while it has not begun
            self._beginning.action = self._connection.execute(_BEGUN).scalar()
        return self._beginning.action

    def take_over(self, policy: Policy) -> TakenOver:
        """A database in which a release before this one has written counts as made here: it goes on as it did."""
        self._asked = False
        if not inspect(self._connection).has_table(mlflow.model_versions.name):
            return TakenOver(adopted=False)
        ours = self._connection.execute(select(audit.c.id).limit(1)).first() is not None
        self._add_models()
        found = self._without_a_row()
        aliases = self._protected(policy)
        for start in range(0, len(found), _AT_A_TIME):
            rows = found[start : start + _AT_A_TIME]
            self._add_versions([(row, before_lockgate(row)) for row in rows], policy, aliases)
        if found:
            measure(self._connection, _FILLED)
        known = self._connection.execute(select(func.count()).select_from(models).where(LIVING_NAME)).scalar_one()
        return TakenOver(not ours, known, len(found))

    def _add_models(self) -> None:
        """A row and the head of a chain for each model that has none."""
        theirs = mlflow.registered_models.c
        ours = exists().where(models.c.workspace == theirs.workspace, models.c.name == theirs.name, LIVING_NAME)
        new = select(theirs.workspace, theirs.name).where(~ours).order_by(theirs.workspace, theirs.name)
        self._connection.execute(insert(models).from_select(["workspace", "name"], new))
        chain = literal(chain_of("")).concat(cast(models.c.id, String))
        headless = select(chain, literal(0), literal(BEGINNING)).where(~exists().where(chains.c.chain == chain))
        self._connection.execute(insert(chains).from_select(["chain", "number", "hash"], headless))

    def _without_a_row(self) -> Sequence[Row[Any]]:
        """Every version that MLflow has and we have no row for, with our number of its model; prompts' left out."""
        theirs = mlflow.model_versions.c
        ours = exists().where(versions.c.model_id == models.c.id, versions.c.version == theirs.version)
        same = (models.c.workspace == theirs.workspace) & (models.c.name == theirs.name) & LIVING_NAME
        query = (
            select(mlflow.model_versions, models.c.id.label("model_id"))
            .join(models, same)
            .where(theirs.current_stage.is_distinct_from(mlflow.DELETED), ~ours, ~prompts(theirs))
            .order_by(models.c.id, theirs.version)
        )
        return self._connection.execute(query).all()

    def _protected(self, policy: Policy) -> _Aliases:
        """What each alias names that the policy binds to a stage for some model."""
        table = mlflow.registered_model_aliases.c
        names = sorted({alias for stage in GATED for alias in policy.aliases_of(stage)})
        rows = self._connection.execute(
            select(table.workspace, table.name, table.alias, table.version).where(table.alias.in_(names))
        )
        return {(row.workspace, row.name, row.alias): row.version for row in rows}

    def _add_versions(self, found: Sequence[tuple[Row[Any], Lifecycle]], policy: Policy, aliases: _Aliases) -> None:
        def is_primary(row: Row[Any], x: Lifecycle) -> bool:
            alias = policy.rules(row.name, x.stage).alias
            return x.stage in GATED and aliases.get((row.workspace, row.name, alias)) == row.version

        lifecycles = [
            {
                "model_id": row.model_id,
                "version": row.version,
                "stage": x.stage.value,
                "since": x.since,
                "entered": x.entered,
                "is_primary": is_primary(row, x),
                **who_columns("registered_by", x.registered_by),
                "registered_at": x.registered_at,
                "provenance": BEFORE,
                "semver_due": BACKLOG,
            }
            for row, x in found
        ]
        self._connection.execute(insert(versions), lifecycles)
        present = [
            {"model_id": row.model_id, "version": row.version, "stage": x.stage.value, "entered_at": x.since}
            for row, x in found
        ]
        self._connection.execute(insert(stays), present)
