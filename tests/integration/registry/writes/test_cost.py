"""No change costs more because its model has more versions, its stage holds more of them, or there are more models."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from mlflow.entities.model_registry import ModelVersionTag, RegisteredModelTag
from sqlalchemy import Connection, Engine, event

from lockgate.domain.identity import Who
from tests.databases.backends import SQLITE, Backend, on_postgresql
from tests.integration.registry.writes.registry import Registry, add_models, add_versions, registry

_VERSIONS = 2_000
# few rows however large the registry is
SMALL = {
    "inside",
    "lockgate_policies",
    "lockgate_endpoints",
    "webhooks",
    "webhook_events",
    "lockgate_subscriptions",
    "lockgate_people",
}

Change = Callable[[Any], object]
# what the commonest changes take, on SQLite with the beginning of the transaction, and on PostgreSQL
FEW = {
    "create model": (8, 5),
    "tag model": (6, 3),
    "create version": (14, 8),  # the first in a process reads the text of the policy as well
    "tag version": (6, 3),
}
CHANGES: dict[str, Change] = {
    "create model": lambda store: store.create_registered_model("new", [RegisteredModelTag("a", "b")]),
    "describe model": lambda store: store.update_registered_model("big", "text"),
    "tag model": lambda store: store.set_registered_model_tag("big", RegisteredModelTag("c", "d")),
    "untag model": lambda store: store.delete_registered_model_tag("big", "c"),
    "create version": lambda store: store.create_model_version("big", "mem:/x", tags=[ModelVersionTag("a", "b")]),
    "copy version": lambda store: store.create_model_version("new", "models:/big/3"),
    "describe version": lambda store: store.update_model_version("big", 3, "text"),
    "tag version": lambda store: store.set_model_version_tag("big", 3, ModelVersionTag("c", "d")),
    "untag version": lambda store: store.delete_model_version_tag("big", 3, "c"),
    "set alias": lambda store: store.set_registered_model_alias("big", "mine", 3),
    "move alias": lambda store: store.set_registered_model_alias("big", "mine", 4),
    "delete alias": lambda store: store.delete_registered_model_alias("big", "mine"),
    "into Staging": lambda store: store.transition_model_version_stage("big", 3, "Staging", False),
    "into Production": lambda store: store.transition_model_version_stage("big", 3, "Production", True),
    "another into Production": lambda store: store.transition_model_version_stage("big", 4, "Production", True),
    "there already": lambda store: store.transition_model_version_stage("big", 4, "Production", False),
    "into Archived": lambda store: store.transition_model_version_stage("big", 4, "Archived", False),
    "into None": lambda store: store.transition_model_version_stage("big", 4, "None", False),
    "protected alias": lambda store: store.set_registered_model_alias("big", "production", 5),
    "ask for approval": lambda store: store.set_model_version_tag(
        "big", 5, ModelVersionTag("approval_request", '{"status": "pending", "justification": "please"}')
    ),
    "delete version": lambda store: store.delete_model_version("big", 5),
    "rename model": lambda store: store.rename_registered_model("new", "newer"),
    "delete model": lambda store: store.delete_registered_model("newer"),
}


@dataclass
class Cost:
    """What one change asked of the database: its statements, the rows it was given, and SQLite's own steps."""

    statements: list[str] = field(default_factory=list)
    rows: int = 0
    steps: int = 0


def test_every_mutator_is_measured() -> None:
    from tests.integration.registry.test_store import GOVERNED

    called: set[str] = set()

    class Store:
        def __getattr__(self, name: str) -> Callable[..., None]:
            called.add(name)
            return lambda *_args, **_kwargs: None

    for change in CHANGES.values():
        change(Store())
    assert called == {name for name in GOVERNED if not name.endswith("_webhook")}


def test_no_change_costs_more_in_a_large_registry(backend: Backend, tmp_path: Path) -> None:
    with _measured(backend, tmp_path) as measure:
        assert_same(measure(["None"] * 10, models=10), measure(["None"] * 2_000, models=1_000))


def test_no_change_costs_more_in_a_full_stage(backend: Backend, tmp_path: Path) -> None:
    with _measured(backend, tmp_path) as measure:
        few, many = (measure(["None"] * 10 + ["Staging"] * number, models=10) for number in (200, 2_000))
        assert_same(few, many)


def test_the_commonest_changes_take_few_statements(backend: Backend, tmp_path: Path) -> None:
    with _measured(backend, tmp_path) as measure:
        costs = measure(["None"] * 10, models=10)
    for name, few in FEW.items():
        assert len(costs[name].statements) <= few[backend.kind != SQLITE], f"{name}: {costs[name]}"


@pytest.mark.long
@pytest.mark.timeout(600)
def test_no_change_costs_more_with_a_hundred_thousand_versions(backend: Backend, tmp_path: Path) -> None:
    with _measured(backend, tmp_path) as measure:
        small = measure(["None"] * 10, models=10)
        assert_same(small, measure(["None"] * 100_000, models=10_000))


@on_postgresql
def test_a_promotion_looks_at_few_rows_of_a_database_that_was_just_adopted(backend: Backend, tmp_path: Path) -> None:
    read = _rows_read_for_promotions(backend, tmp_path)

    # sixteen are in Production, and some statements look at each of them in a few places
    assert {statement: rows for statement, rows in read.items() if rows > 200} == {}


@on_postgresql
def test_without_statistics_a_promotion_reads_a_model_a_few_times_at_most(backend: Backend, tmp_path: Path) -> None:
    # until PostgreSQL has counted the rows it takes each index for as good as the other
    forgotten = (
        "DELETE FROM pg_statistic",
        "UPDATE pg_class SET reltuples = -1, relpages = 0 WHERE relkind IN ('r', 'i')",
    )
    read = _rows_read_for_promotions(backend, tmp_path, *forgotten)

    # an update looks for what to change in four places, and which of them it reads whole is PostgreSQL's to say;
    # a model read again for each of its versions would be two thousand times a model
    assert {statement: rows for statement, rows in read.items() if rows > 10 * _VERSIONS} == {}


def _rows_read_for_promotions(backend: Backend, folder: Path, *first: str) -> dict[str, int]:
    """How many rows each statement of two promotions looks at, in a model that has a full stage beside a large one."""
    database = backend.fresh()
    add_models(database.engine, ["big"])
    add_versions(database.engine, "big", ["Production"] * 16 + ["None"] * (_VERSIONS - 16))
    with registry(database, folder / "home", lambda: Who("ann")) as opened:
        with opened.engine.begin() as connection:
            for statement in first:
                connection.exec_driver_sql(statement)
        asked = _asked(opened, lambda store: store.transition_model_version_stage("big", 20, "Staging", True))
        asked |= _asked(opened, lambda store: store.transition_model_version_stage("big", 20, "Production", False))
        with opened.engine.connect() as connection:
            read = {statement: _rows_read(connection, statement, values) for statement, values in asked.items()}
            connection.rollback()
    return read


def assert_same(small: dict[str, Cost], large: dict[str, Cost]) -> None:
    for name, cost in small.items():
        told = f"{name}: {large[name]}"
        assert large[name].statements == cost.statements, told
        assert large[name].rows <= cost.rows + 2, told
        # where a key lies in a tree decides over a step more or less
        assert large[name].steps <= cost.steps * 1.1 + 50, told


@contextmanager
def _measured(backend: Backend, folder: Path) -> Iterator[Callable[..., dict[str, Cost]]]:
    """`measure(stages, models=…)`: what each change costs where the model has a version in each of these stages."""
    with ExitStack() as stack:

        def measure(stages: list[str], *, models: int) -> dict[str, Cost]:
            database = backend.fresh()
            add_models(database.engine, ["big", *(f"other-{number}" for number in range(models))])
            add_versions(database.engine, "big", stages)
            home = folder / f"home-{len(list(folder.iterdir()))}"
            opened = stack.enter_context(registry(database, home, lambda: Who("ann")))
            costs = {name: _cost(opened, change) for name, change in CHANGES.items()}
            if backend.kind == SQLITE and len(stages) > 1_000:
                # a small table is read whole because that is quicker; and a model's end may cost what it takes along
                lasting = [cost for name, cost in costs.items() if name != "delete model"]
                asked = {statement for cost in lasting for statement in cost.statements}
                assert _scans(opened.engine, asked) == set()
            return costs

        yield measure


def _cost(opened: Registry, change: Change) -> Cost:
    cost = Cost()

    def note(_connection: Any, cursor: Any, statement: str, _parameters: Any, _context: Any, _many: bool) -> None:
        # whether the connection that the pool gives was a reader's before is no matter of the change
        if "query_only" not in statement:
            cost.statements.append(" ".join(statement.split()))
        cost.rows += max(0, cursor.rowcount) if statement.lstrip().startswith("SELECT") else 0

    def count(driver: Any, _record: Any, _proxy: Any) -> None:
        def step() -> int:
            cost.steps += 1
            return 0

        if hasattr(driver, "set_progress_handler"):
            driver.set_progress_handler(step, 1)

    event.listen(opened.engine, "after_cursor_execute", note)
    event.listen(opened.engine, "checkout", count)
    try:
        change(opened.store)
    finally:
        event.remove(opened.engine, "after_cursor_execute", note)
        event.remove(opened.engine, "checkout", count)
    return cost


def _scans(engine: Engine, statements: set[str]) -> set[tuple[str, str]]:
    """Tables that a statement reads from end to end."""
    found = set()
    with engine.connect() as connection:
        for statement in statements:
            if re.match(r"(SELECT|UPDATE|DELETE|INSERT .* SELECT)", statement):
                values = (None,) * statement.count("?")
                plan = connection.exec_driver_sql(f"EXPLAIN QUERY PLAN {statement}", values).all()
                tables = {table for row in plan for table in re.findall(r"^SCAN (\w+)", row[3])}
                found |= {(table, statement) for table in tables - SMALL}
    return {(table, statement) for table, statement in found if table not in ("CONSTANT", "s")}


def _asked(opened: Registry, change: Change) -> dict[str, Any]:
    """The statements that look for rows, each with the values of its last run."""
    found: dict[str, Any] = {}

    def note(_connection: Any, _cursor: Any, statement: str, values: Any, _context: Any, _many: bool) -> None:
        if re.match(r"\s*(SELECT|UPDATE|WITH)", statement):
            found[statement] = values

    event.listen(opened.engine, "before_cursor_execute", note)
    try:
        change(opened.store)
    finally:
        event.remove(opened.engine, "before_cursor_execute", note)
    return found


def _rows_read(connection: Connection, statement: str, values: Any) -> int:
    """How many rows PostgreSQL looks at to carry it out, in all the places of its plan."""
    told = connection.exec_driver_sql(f"EXPLAIN (ANALYZE, FORMAT JSON) {statement}", values).scalar_one()
    plans, rows = [json.loads(told)[0]["Plan"] if isinstance(told, str) else told[0]["Plan"]], 0
    while plans:
        plan = plans.pop()
        passed = sum(plan.get(f"Rows Removed by {why}", 0) for why in ("Filter", "Join Filter", "Index Recheck"))
        rows += (plan["Actual Rows"] + passed) * plan["Actual Loops"]
        plans += plan.get("Plans", [])
    return int(rows)
