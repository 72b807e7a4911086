"""A governed store without a server around it, on a database of the test's own, and rows written in bulk."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from sqlalchemy import Engine, text

from lockgate import wiring
from lockgate.adapters.mlflow.governance import Governance
from lockgate.adapters.mlflow.store import Governed
from lockgate.adapters.sql.mlflow_indexes import ensure
from lockgate.config import load
from lockgate.domain.identity import Who
from lockgate.server.problems import explain
from lockgate.usecases import adopt, apply_policy
from tests.databases.backends import Database

# nothing is served and nothing waits: every promotion is decided by the call that asks for it
POLICY = """
level: observe
endpoints: {"*": {serve: off}}
"""
_VERSION = (
    "INSERT INTO model_versions (workspace, name, version, creation_time, last_updated_time, current_stage, source,"
    " storage_location, run_id, status) VALUES ('default', :name, :version, 1, 1, :stage, 'mem:/x', 'mem:/x', '',"
    " 'READY')"
)


@dataclass
class Registry:
    """The store under test, and what lies under it."""

    store: Governed
    node: wiring.Node

    @property
    def engine(self) -> Engine:
        return self.node.store.engine


@contextmanager
def registry(database: Database, home: Path, who: Callable[[], Who], *, policy: str = POLICY) -> Iterator[Registry]:
    """A governed store as the server has it, on what the database holds."""
    home.mkdir(exist_ok=True)
    settings = load({"home": home, "policy": None, "database": database.uri})
    node = wiring.Node(settings, "test")
    adopt.begin(node.ports)
    if policy:
        apply_policy.apply(node.ports, policy, node.parse_policy, Who("ann"))
    ensure(node.store.engine)
    store = Governed(
        settings.database, governance=Governance(node.ports, node.store.work_on, who, explain, node.reader)
    )
    try:
        yield Registry(store, node)
    finally:
        node.reader.close()
        store._dispose_engine()
        store._engine_map.pop(settings.database, None)
        node.store.engine.dispose()


def add_models(engine: Engine, names: list[str]) -> None:
    """Models with a tag and nothing else, as stock MLflow would have made them."""
    with engine.begin() as connection:
        rows = [{"name": name} for name in names]
        columns = "(workspace, name, creation_time, last_updated_time)"
        connection.execute(text(f"INSERT INTO registered_models {columns} VALUES ('default', :name, 1, 1)"), rows)
        columns = "(workspace, name, key, value)"
        connection.execute(
            text(f"INSERT INTO registered_model_tags {columns} VALUES ('default', :name, 'a', 'b')"), rows
        )


def add_versions(engine: Engine, model: str, stages: list[str]) -> None:
    """Versions 1, 2, 3 … in these stages, each with a tag."""
    rows = [{"name": model, "version": number, "stage": stage} for number, stage in enumerate(stages, 1)]
    with engine.begin() as connection:
        connection.execute(text(_VERSION), rows)
        columns = "(workspace, name, version, key, value)"
        insert = f"INSERT INTO model_version_tags {columns} VALUES ('default', :name, :version, 'a', 'b')"
        connection.execute(text(insert), rows)
        if connection.dialect.name == "sqlite":
            connection.exec_driver_sql("ANALYZE")
