"""The same transition with gates and record and without them, in one process, on files that are really there.

Lockgate has no switch that turns its record off, so the side without takes the place where entries are written apart.
"""

from __future__ import annotations

import contextlib
import random
import statistics
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any
from unittest import mock

from benchmarks.registry import seed

if TYPE_CHECKING:
    from lockgate.domain.evidence import Evidence

MODELS, SETTLING = 40, 10
GOVERNED = """
level: enforce
endpoints: {"*": {serve: off}}
stages:
  Staging: {min_accuracy: 0.8, min_f1_score: 0.7, required_tags: [team, validation_status]}
  Production:
    min_accuracy: 0.8
    min_f1_score: 0.7
    previous_stage: Staging
    required_tags: [team, validation_status]
governance: {max_production_versions: 1}
"""
BARE = """
level: observe
endpoints: {"*": {serve: off}}
stages: {Staging: {}, Production: {}}
"""
FILES = {"MLmodel": b"flavors:\n  python_function:\n    loader_module: nothing\n", "model.bin": bytes(20_000)}
ON, OFF = "gates and record", "neither"


@dataclass(slots=True)
class Cost:
    """Milliseconds of every transition that was timed, by side."""

    database: str
    times: dict[str, list[float]] = field(default_factory=lambda: {ON: [], OFF: []})

    def middle(self, side: str) -> float:
        return statistics.median(self.times[side])

    @property
    def added(self) -> float:
        """What gates and record add, as a share of the transition without them."""
        return self.middle(ON) / self.middle(OFF) - 1


def measure(database: str, server: str | None, folder: Path, rounds: int, tick: Callable[[], None]) -> Cost:
    """Rounds of one transition into Staging of each model, the sides in random order."""
    cost = Cost(database)
    with contextlib.ExitStack() as stack:
        sides = {
            ON: stack.enter_context(_side(server, folder, "on", GOVERNED, recorded=True)),
            OFF: stack.enter_context(_side(server, folder, "off", BARE, recorded=False)),
        }
        for turn in range(rounds + 1):
            for side in random.sample(sorted(sides), 2):
                taken = _transitions(sides[side])
                cost.times[side] += taken if turn else []  # the first round pins the files and warms everything
            tick()
    return cost


def _transitions(store: Any) -> list[float]:
    taken = []
    for number in range(MODELS):
        began = time.perf_counter()
        moved = store.transition_model_version_stage(f"model-{number}", "1", "Staging", False)
        taken.append(1000 * (time.perf_counter() - began))
        if moved.current_stage != "Staging":
            raise RuntimeError(f"model-{number} is in {moved.current_stage} after a transition to Staging")
    for number in range(MODELS):
        store.transition_model_version_stage(f"model-{number}", "1", "None", False)
    return taken[SETTLING:]


@contextlib.contextmanager
def _side(server: str | None, folder: Path, name: str, policy: str, *, recorded: bool) -> Iterator[Any]:
    """A governed store as the server has it, with that policy in force."""
    from lockgate import wiring
    from lockgate.adapters.mlflow.governance import Governance
    from lockgate.adapters.mlflow.store import Governed
    from lockgate.adapters.sql import mlflow_indexes
    from lockgate.config import load
    from lockgate.domain.identity import Who
    from lockgate.server.problems import explain
    from lockgate.usecases import adopt, apply_policy

    home = folder / f"home-{name}"
    home.mkdir()
    database = _database(server, folder, name)
    settings = load({"home": home, "policy": None, "database": database})
    _fill(database, Path(settings.artifacts), write_ahead=server is None)
    node = wiring.Node(settings, "bench")
    try:
        wiring.prepare(settings)
        adopt.begin(node.ports)
        apply_policy.apply(node.ports, policy, node.parse_policy, Who("bench"))
        mlflow_indexes.ensure(node.store.engine)
        governance = Governance(node.ports, node.store.work_on, lambda: Who("bench"), explain, node.reader)
        with _record_of(node.store.engine, written=recorded):
            yield Governed(settings.database, governance=governance)
    finally:
        node.reader.close()
        node.store.engine.dispose()


@contextlib.contextmanager
def _record_of(engine: Any, *, written: bool) -> Iterator[None]:
    """Unless it is to be written, drop what is meant for the record of this database; its heads stay where they are.

    What verdicts were based on is kept for the record's sake, so it is dropped too.
    """
    if written:
        yield
        return
    from lockgate.adapters.sql.evidence import SqlKeptEvidence
    from lockgate.adapters.sql.record import SqlRecord

    flush, keep = SqlRecord.flush, SqlKeptEvidence.keep

    def dropped(record: SqlRecord) -> None:
        if record._connection.engine is not engine:
            flush(record)
            return
        record._entries, record._owed, record._moved = [], [], set()

    def not_kept(kept: SqlKeptEvidence, of: Evidence, at: datetime) -> str:
        return "" if kept._connection.engine is engine else keep(kept, of, at)

    with mock.patch.object(SqlRecord, "flush", dropped), mock.patch.object(SqlKeptEvidence, "keep", not_kept):
        yield


def _database(server: str | None, folder: Path, name: str) -> str:
    if server is None:
        return f"sqlite:///{folder / name}.db"
    import psycopg

    with psycopg.connect(f"{server}/postgres", autocommit=True) as admin:
        admin.execute(f'DROP DATABASE IF EXISTS "governance_{name}" WITH (FORCE)'.encode())
        admin.execute(f'CREATE DATABASE "governance_{name}"'.encode())
    return f"{server}/governance_{name}"


def _fill(database: str, artifacts: Path, *, write_ahead: bool) -> None:
    """Models of one version each, with a run, its metrics, tags, and files that can be pinned."""
    import sqlalchemy

    seed.make_tables(database)
    if write_ahead:
        seed.write_ahead(database)
    engine = sqlalchemy.create_engine(seed.driver(database))
    with engine.begin() as connection:
        for number in range(MODELS):
            name, run = f"model-{number}", f"{number:032x}"
            place = artifacts / "0" / run / "artifacts" / "model"
            place.mkdir(parents=True)
            for file, content in FILES.items():
                (place / file).write_bytes(content + str(number).encode())
            for table, values in _rows(name, run, place.as_uri()):
                holes = ", ".join(f":{column}" for column in values)
                told = sqlalchemy.text(f"INSERT INTO {table} ({', '.join(values)}) VALUES ({holes})")  # noqa: S608 - names are constants
                connection.execute(told, values)
    with engine.connect() as connection:
        connection.exec_driver_sql("ANALYZE")
        connection.commit()
    engine.dispose()


def _rows(name: str, run: str, place: str) -> Iterator[tuple[str, dict[str, Any]]]:
    named = {"workspace": "default", "name": name}
    yield "runs", {"run_uuid": run, "status": "FINISHED", "lifecycle_stage": "active", "experiment_id": 0,
                   "source_type": "LOCAL", "artifact_uri": place.removesuffix("/model")}  # fmt: skip
    for key, value in (("accuracy", 0.93), ("f1_score", 0.9), ("loss", 0.2)):
        yield "latest_metrics", {"run_uuid": run, "key": key, "value": value, "timestamp": 1, "step": 0,
                                 "is_nan": False}  # fmt: skip
    yield "registered_models", named | {"creation_time": 1, "last_updated_time": 1}
    yield "model_versions", named | {
        "version": 1, "creation_time": 1, "last_updated_time": 1, "current_stage": "None", "source": place,
        "storage_location": place, "run_id": run, "status": "READY",
    }  # fmt: skip
    for tag, said in (("team", "risk"), ("validation_status", "passed")):
        yield "model_version_tags", named | {"version": 1, "key": tag, "value": said}
