"""MLflow's registry rows: what its own store's bodies write, in statements whose number and cost don't grow.

MLflow's bodies load a model with all of its versions to change one of them. Each statement here is made once, names its
rows by their primary key, and does what the body it stands for does; where rows are read back they are read in the
transaction that wrote them, so that an answer tells of this change and of no later one.
"""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Mapping, Sequence
from types import SimpleNamespace
from typing import Any, NamedTuple

from mlflow.entities.model_registry import (
    ModelVersion,
    ModelVersionTag,
    RegisteredModel,
    RegisteredModelAlias,
    RegisteredModelTag,
)
from mlflow.entities.model_registry.model_version_stages import ALL_STAGES, STAGE_DELETED_INTERNAL
from mlflow.exceptions import MlflowException
from mlflow.prompt.constants import IS_PROMPT_TAG_KEY
from mlflow.protos.databricks_pb2 import RESOURCE_DOES_NOT_EXIST
from sqlalchemy import Connection, Row

from lockgate.adapters.mlflow.writing import statements as sql

_REDACTED = {
    "current_stage": STAGE_DELETED_INTERNAL,
    "description": None,
    "user_id": None,
    "source": "REDACTED-SOURCE-PATH",
    "run_id": "REDACTED-RUN-ID",
    "run_link": "REDACTED-RUN-LINK",
    "status_message": None,
}


class Was(NamedTuple):
    """What stood there before it was changed; None where nothing did."""

    value: str | None


class Rows:
    """The rows of one workspace, in the transaction that is open on the connection. Times are milliseconds."""

    def __init__(self, connection: Connection, workspace: str) -> None:
        self._connection = connection
        self._workspace = workspace
        self._words = sql.words_for(connection.dialect.name)

    # --- models -----------------------------------------------------------------------------------------------------

    def has_model(self, name: str) -> bool:
        return self._first(sql.HAS_MODEL, named=name) is not None

    def add_model(self, name: str, at: int, description: str | None, tags: Mapping[str, str | None]) -> bool:
        """False when the name is taken."""
        row = {"name": name, "creation_time": at, "last_updated_time": at, "description": description}
        if not self._insert(self._words.add_model, [row]):
            return False
        self._insert(self._words.add_model_tag, [{"name": name, "key": k, "value": v} for k, v in tags.items()])
        return True

    def describe_model(self, name: str, description: str | None, at: int) -> Was | None:
        """None when there is no such model."""
        before = self._first(sql.MODEL_DESCRIPTION, named=name)
        self._count(sql.DESCRIBE_MODEL, named=name, at=at, text=description)
        return None if before is None else Was(before.description)

    def rename_model(self, name: str, new_name: str, at: int) -> None:
        """The database carries the new name on to every row under the old one."""
        self._count(sql.RENAME_MODEL, named=name, at=at, new_name=new_name)
        self._count(sql.TOUCH_VERSIONS, named=new_name, at=at)

    def delete_model(self, name: str) -> None:
        """Delete everything under the name."""
        for statement in sql.DELETE_MODEL:
            self._count(statement, named=name)

    def set_model_tag(self, name: str, key: str, value: str | None) -> Was | None:
        """None when there is no such model."""
        return self._put(self._words.set_model_tag, self._words.model_tag, named=name, tag=key, text=value)

    def delete_model_tag(self, name: str, key: str) -> Was:
        """Nothing is no mistake."""
        gone = self._first(sql.DELETE_MODEL_TAG, named=name, tag=key)
        return Was(gone.value if gone is not None else None)

    def is_prompt(self, name: str) -> bool:
        """Whether MLflow's mark of a prompt is on the model, whatever it says."""
        tags = self._connection.execute(sql.MODEL_TAGS, self._values(named=name))
        return any(tag.key == IS_PROMPT_TAG_KEY for tag in tags)

    def new_model(self, name: str, at: int, description: str | None, tags: Mapping[str, str | None]) -> RegisteredModel:
        """The model that was written with these: nothing else hangs on it yet."""
        kept = [RegisteredModelTag(key, value) for key, value in tags.items()]
        return RegisteredModel(name, at, at, description, [], kept, [], workspace=self._workspace)

    def model(self, name: str) -> RegisteredModel:
        """The model with the newest version of each stage, in the order in which a stage got its first version."""
        row = self._connection.execute(sql.MODEL, self._values(named=name)).one()
        tags = self._connection.execute(sql.MODEL_TAGS, self._values(named=name))
        aliases = self._connection.execute(sql.MODEL_ALIASES, self._values(named=name))
        return RegisteredModel(
            row.name,
            row.creation_time,
            row.last_updated_time,
            row.description,
            self._newest_versions(name),
            [RegisteredModelTag(tag.key, tag.value) for tag in tags],
            [RegisteredModelAlias(alias.alias, alias.version) for alias in aliases],
            workspace=self._workspace,
        )

    # --- versions ---------------------------------------------------------------------------------------------------

    def has_version(self, name: str, number: int) -> bool:
        return self._first(sql.HAS_VERSION, named=name, number=number) is not None

    def add_version(self, name: str, row: Mapping[str, Any], tags: Mapping[str, str]) -> ModelVersion:
        """Write a version whose number is one more than the highest that the model ever had. Raises MlflowException.

        `row` has all of its columns but the key.
        """
        while (number := self._next_version(name, row)) is None:
            # somebody who asks for no lock of ours took that number, or the model
            if not self.has_model(name):
                raise no_model(name)
        key = {"name": name, "version": number}
        self._insert(self._words.add_version_tag, [{**key, "key": k, "value": v} for k, v in tags.items()])
        kept = [ModelVersionTag(k, v) for k, v in tags.items()]
        return self._entity(SimpleNamespace(workspace=self._workspace, **key, **row), kept, [])

    def describe_version(self, name: str, number: int, description: str | None, at: int) -> Was | None:
        """None when there is no such version."""
        before = self._first(sql.VERSION_DESCRIPTION, named=name, number=number)
        self._count(sql.DESCRIBE_VERSION, named=name, number=number, at=at, text=description)
        return None if before is None else Was(before.description)

    def delete_version(self, name: str, number: int, at: int) -> bool:
        """Redact the row, as MLflow does, and delete the aliases that name it. False when there is no such version."""
        if self._count(sql.DELETE_VERSION, named=name, number=number, last_updated_time=at, **_REDACTED) == 0:
            return False
        self._count(sql.TOUCH_MODEL, named=name, at=at)
        self._count(sql.DELETE_ALIASES_OF, named=name, number=number)
        return True

    def set_version_tag(self, name: str, number: int, key: str, value: str | None) -> Was | None:
        """None when there is no such version."""
        told = {"named": name, "number": number, "tag": key, "text": value}
        return self._put(self._words.set_version_tag, self._words.version_tag, **told)

    def delete_version_tag(self, name: str, number: int, key: str) -> Was:
        """Nothing is no mistake."""
        gone = self._first(sql.DELETE_VERSION_TAG, named=name, number=number, tag=key)
        return Was(gone.value if gone is not None else None)

    def version(self, name: str, number: int) -> ModelVersion | None:
        """The version with its aliases; None when there is none."""
        row = self._first(self._words.version, named=name, number=number)
        if row is None:
            return None
        tags = [ModelVersionTag(key, value) for key, value in json.loads(row.tags or "[]")]
        return self._entity(row, tags, sorted(json.loads(row.aliases or "[]")))

    # --- aliases ----------------------------------------------------------------------------------------------------

    def holder(self, name: str, alias: str) -> int | None:
        """The version that the alias names."""
        row = self._first(sql.HOLDER, named=name, alias=alias)
        return None if row is None else int(row.version)

    def set_alias(self, name: str, alias: str, number: int) -> bool:
        """False when there is no such version."""
        return self._count(self._words.set_alias, named=name, number=number, alias=alias) == 1

    def delete_alias(self, name: str, alias: str) -> None:
        self._count(sql.DELETE_ALIAS, named=name, alias=alias)

    # --- inside -----------------------------------------------------------------------------------------------------

    def _next_version(self, name: str, row: Mapping[str, Any]) -> int | None:
        """Write the version under the next number, and that its model changed; None where neither could be."""
        values = self._values(named=name, **{f"new_{column}": value for column, value in row.items()})
        if self._words.add_next_version is not None:
            return self._connection.execute(self._words.add_next_version, values).scalar()
        if self._count(sql.TOUCH_MODEL, named=name, at=row["last_updated_time"]) == 0:
            return None
        number = int(self._connection.execute(sql.NEXT, values).scalar_one())
        return number if self._insert(self._words.add_version, [{"name": name, "version": number, **row}]) else None

    def _newest_versions(self, name: str) -> list[ModelVersion]:
        edges = self._connection.execute(sql.EDGES, self._values(named=name)).one()
        count = len(ALL_STAGES)
        firsts = {newest: first for first, newest in zip(edges[:count], edges[count:], strict=True) if newest}
        if not firsts:
            return []
        these = self._values(named=name, numbers=list(firsts))
        tags: dict[int, list[ModelVersionTag]] = defaultdict(list)
        for row in self._connection.execute(sql.TAGS_OF_VERSIONS, these):
            tags[row.version].append(ModelVersionTag(row.key, row.value))
        rows = self._connection.execute(sql.VERSIONS, these).all()
        ordered = sorted(rows, key=lambda row: firsts[row.version])
        return [self._entity(row, tags[row.version], []) for row in ordered]

    def _entity(self, row: Any, tags: Sequence[ModelVersionTag], aliases: list[str]) -> ModelVersion:
        return ModelVersion(
            row.name,
            row.version,
            row.creation_time,
            row.last_updated_time,
            row.description,
            row.user_id,
            row.current_stage,
            row.source,
            row.run_id,
            row.status,
            row.status_message,
            tags,
            row.run_link,
            aliases,
            workspace=row.workspace,
        )

    def _values(self, **values: Any) -> dict[str, Any]:
        return {"within": self._workspace, **values}

    def _put(self, statement: Any, before: Any, **values: Any) -> Was | None:
        """Write the row and tell what stood there: by a question asked `before`, else by the statement itself."""
        if before is None:
            row = self._first(statement, **values)
            return None if row is None else Was(row[0])
        held = self._first(before, **values)
        return Was(held[0] if held is not None else None) if self._count(statement, **values) == 1 else None

    def _first(self, statement: Any, **values: Any) -> Row[Any] | None:
        return self._connection.execute(statement, self._values(**values)).first()

    def _count(self, statement: Any, **values: Any) -> int:
        return self._connection.execute(statement, self._values(**values)).rowcount

    def _insert(self, statement: Any, rows: list[dict[str, Any]]) -> bool:
        """Whether the rows were written; none is written when one of their keys is taken and there is one row."""
        if not rows:
            return True
        filled = [{"workspace": self._workspace, **row} for row in rows]
        written = self._connection.execute(statement, filled[0] if len(filled) == 1 else filled)
        return len(filled) > 1 or written.rowcount == 1


def no_model(name: str) -> MlflowException:
    """What MLflow says of a model that is not there."""
    return MlflowException(f"Registered Model with name={name} not found", RESOURCE_DOES_NOT_EXIST)


def no_version(name: str, number: int) -> MlflowException:
    """What MLflow says of a version that is not there, or was deleted."""
    return MlflowException(f"Model Version (name={name}, version={number}) not found", RESOURCE_DOES_NOT_EXIST)
