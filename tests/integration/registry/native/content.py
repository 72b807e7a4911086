"""A small registry with everything that may go wrong in it, written straight into MLflow's tables."""

from __future__ import annotations

import random
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from mlflow.store.model_registry.sqlalchemy_store import SqlAlchemyStore
from sqlalchemy import Connection, Engine, Table, insert

from lockgate.adapters.mlflow.reading import Reading, ReadingStore
from lockgate.adapters.sql import mlflow_tables as mlflow
from lockgate.adapters.sql.dialects import writer
from lockgate.adapters.sql.registry.opening import open_reader
from tests.databases.backends import Database

WORKSPACE = "default"
T0 = 1_700_000_000_000
STAGES = ("None", "Staging", "Production", "Archived", mlflow.DELETED)
# names that sort, match and are written differently in the two databases
NAMES = (
    "fraud",
    "Fraud",
    "churn_1",
    "churn%2",
    "ärger",
    "a'b",
    'a"b',
    "z" * 200,
    "prompt-1",
    "prompt-2",
    "empty",
    "x y",
)
PROMPTS = ("prompt-1", "prompt-2")


def fill(engine: Engine, seed: int = 1, versions: int = 12) -> None:
    """Write the registry: times that tie and are missing, deleted versions, prompts, aliases, odd texts."""
    choose = random.Random(seed)
    with writer(engine) as connection, connection.begin():
        for place, name in enumerate(NAMES):
            _model(connection, choose, name, place)
            for number in range(1, 1 if name == "empty" else versions + 1):
                _version(connection, choose, name, number)
            for alias in ("champion", "Challenger", "a-1"):
                number = choose.randint(1, versions)
                if name != "empty" and choose.random() < 0.7:
                    _add(connection, mlflow.registered_model_aliases, name=name, alias=alias, version=number)


def _model(connection: Connection, choose: random.Random, name: str, place: int) -> None:
    _add(
        connection,
        mlflow.registered_models,
        name=name,
        creation_time=T0 + place,
        last_updated_time=choose.choice([T0, T0 + 1, T0 + choose.randint(2, 99), None]),
        description=choose.choice([None, "", "of cards"]),
    )
    tags = {"team": choose.choice(["a", "A", "b", ""]), "odd": 'q"\\\n\u2028'}
    if name in PROMPTS:
        tags[mlflow.IS_PROMPT] = "true"
    for key, value in tags.items():
        if choose.random() < 0.8 or key == mlflow.IS_PROMPT:
            _add(connection, mlflow.registered_model_tags, name=name, key=key, value=value)


def _version(connection: Connection, choose: random.Random, name: str, number: int) -> None:
    _add(
        connection,
        mlflow.model_versions,
        name=name,
        version=number,
        creation_time=T0 + number % 4,
        last_updated_time=choose.choice([T0, T0 + 1, T0 + choose.randint(2, 99), None]),
        description=choose.choice([None, "", "Ünï"]),
        user_id=choose.choice([None, "ann", "bob"]),
        current_stage=choose.choice(STAGES),
        source=choose.choice(["s3://b/m", "runs:/r/model", None]),
        storage_location=choose.choice(["s3://b/m", None]),
        run_id=choose.choice(["r1", "r2", None]),
        run_link=choose.choice([None, "", "https://x"]),
        status=choose.choice(["READY", "PENDING_REGISTRATION", "FAILED_REGISTRATION"]),
        status_message=choose.choice([None, "", "broke"]),
    )
    tags = {"owner": choose.choice(["ann", "Ann", "bob"]), "a b": "1", "odd": 'q"\\\n\u2028'}
    if name == "prompt-1":
        tags[mlflow.IS_PROMPT] = "true"
    for key, value in tags.items():
        if choose.random() < 0.7 or key == mlflow.IS_PROMPT:
            _add(connection, mlflow.model_version_tags, name=name, version=number, key=key, value=value)


def _add(connection: Connection, table: Table, **values: Any) -> None:
    connection.execute(insert(table).values(workspace=WORKSPACE, **values))


class OurStore(ReadingStore):
    """The mixin of the governed store, with nothing else of it."""

    def __init__(self, uri: str) -> None:
        self.reader = open_reader(uri)
        self.reading = Reading(self.reader.reads, self.reader.dialect)

    def _get_active_workspace(self) -> str:
        return WORKSPACE

    def read(self, steps: Any) -> Any:
        return self.reader.run(steps)

    async def answer(self, steps: Any) -> Any:
        return await self.reader.answer(steps)


@dataclass(frozen=True)
class Pair:
    """MLflow's own store and our reads, of one database."""

    stock: Any
    ours: OurStore
    database: Database


@contextmanager
def pair(database: Database) -> Iterator[Pair]:
    """Both, and neither has a connection left afterwards."""
    stock = SqlAlchemyStore(database.uri)
    ours = OurStore(database.uri)
    try:
        yield Pair(stock, ours, database)
    finally:
        ours.reader.close()
        stock._dispose_engine()
        SqlAlchemyStore._engine_map.pop(database.uri, None)


def plain(entity: Any) -> Any:
    """An entity of MLflow's, or a list of them, as what can be compared."""
    if isinstance(entity, list):
        return [plain(each) for each in entity]
    told: Mapping[str, Any] | None = getattr(entity, "__dict__", None)
    return entity if told is None else {key: plain(value) for key, value in told.items()}
