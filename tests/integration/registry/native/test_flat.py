"""What a read costs is what it returns, however many versions the model has and however many models there are."""

from __future__ import annotations

import re
import sqlite3
from typing import Any

import pytest
from sqlalchemy import Engine, insert

from lockgate.adapters.sql import mlflow_indexes
from lockgate.adapters.sql import mlflow_tables as mlflow
from lockgate.adapters.sql.dialects import writer
from lockgate.adapters.sql.registry.reads import Query, RegistryReads
from lockgate.domain.search import By, Compare, Every, Search
from tests.databases.backends import Backend, Database, on_postgresql, on_sqlite

FEW, MANY = 10, 2_000
READS = RegistryReads(sqlite=True)
BY_UPDATE = (By("updated", ascending=False), By("name"), By("version", ascending=False))
NEWEST_MODELS = (By("updated", ascending=False), By("name"))
FRAUD = Compare("name", "=", "fraud")
HERE = ("default", "fraud")


def _search(*parts: Compare, order: Any = BY_UPDATE, after: Any = None) -> Search:
    return Search(Every(parts), order, 5, after)


QUERIES: dict[str, Any] = {
    "version": lambda reads: reads.version(*HERE, 7),
    "aliased": lambda reads: reads.aliased(*HERE, "champion"),
    "latest": lambda reads: reads.latest(*HERE),
    "location": lambda reads: reads.location(*HERE, 7),
    "model": lambda reads: reads.model(*HERE),
    "versions": lambda reads: reads.search_versions("default", _search()),
    "versions, next page": lambda reads: reads.search_versions("default", _search(after=(5, "fraud", 5))),
    "versions of a model": lambda reads: reads.search_versions("default", _search(FRAUD)),
    "versions of a model, next page": lambda reads: reads.search_versions(
        "default", _search(FRAUD, after=(5, "fraud", 5))
    ),
    "versions by number": lambda reads: reads.search_versions(
        "default", _search(FRAUD, order=(By("version", ascending=False), By("name")))
    ),
    "versions of a run": lambda reads: reads.search_versions("default", _search(Compare("run_id", "=", "r7"))),
    "versions by alias": lambda reads: reads.search_versions("default", _search(Compare("aliases", "=", "champion"))),
    "models": lambda reads: reads.search_models("default", _search(order=(By("name"),))),
    "models, next page": lambda reads: reads.search_models("default", _search(order=(By("name"),), after=("fraud",))),
    "models by update": lambda reads: reads.search_models("default", _search(order=NEWEST_MODELS)),
    "models by update, next page": lambda reads: reads.search_models(
        "default", _search(order=NEWEST_MODELS, after=(5, "fraud"))
    ),
}


def _fill(engine: Engine, versions: int) -> None:
    """One model with that many versions, most of them deleted or archived, and as many models beside it."""
    names = ["fraud", *(f"model-{number:05}" for number in range(versions))]
    rows = [{"name": "fraud", "version": number} for number in range(1, versions + 1)]
    rows += [{"name": name, "version": 1} for name in names[1:]]
    with writer(engine) as connection, connection.begin():
        where = {"workspace": "default"}
        models = [{**where, "name": name, "last_updated_time": place} for place, name in enumerate(names)]
        connection.execute(insert(mlflow.registered_models), models)
        stages = {1: "None", versions: "Production", versions - 1: "Staging"}
        connection.execute(
            insert(mlflow.model_versions),
            [
                {
                    **where,
                    **row,
                    "last_updated_time": row["version"],
                    "run_id": f"r{row['version']}" if row["name"] == "fraud" else None,
                    "current_stage": stages.get(int(str(row["version"])), ("Archived", mlflow.DELETED)[place % 2]),
                }
                for place, row in enumerate(rows)
            ],
        )
        tags = [{**where, **row, "key": key, "value": "1"} for row in rows for key in ("a", "b")]
        connection.execute(insert(mlflow.model_version_tags), tags)
        aliases = [{**where, "name": "fraud", "alias": f"a{number}", "version": 7} for number in range(3)]
        aliases += [{**where, "name": "fraud", "alias": "champion", "version": versions}]
        connection.execute(insert(mlflow.registered_model_aliases), aliases)
    mlflow_indexes.ensure(engine)


@pytest.fixture
def sizes(backend: Backend) -> tuple[Database, Database]:
    """A small registry and a large one."""
    small, large = backend.fresh(), backend.fresh()
    _fill(small.engine, FEW)
    _fill(large.engine, MANY)
    return small, large


@on_sqlite
def test_no_read_takes_more_steps_in_a_large_registry(sizes: tuple[Database, Database]) -> None:
    small, large = (sqlite3.connect(each.path) for each in sizes)
    try:
        grown = {
            what: (cheap, dear)
            for what, ask in QUERIES.items()
            if (dear := _steps(large, next(ask(READS)))) > 1.3 * (cheap := _steps(small, next(ask(READS)))) + 50
        }
    finally:
        small.close()
        large.close()

    # an alias of a few models is found among the aliases
    assert grown == {}


def _steps(connection: sqlite3.Connection, query: Query) -> int:
    """How many instructions SQLite carries out for a query: no clock is as steady."""
    taken = 0

    def count() -> None:
        nonlocal taken
        taken += 1

    connection.set_progress_handler(count, 1)
    connection.execute(query.statement.sql, query.values).fetchall()
    connection.set_progress_handler(None, 0)
    return taken


@on_sqlite
def test_no_read_walks_through_a_table(sizes: tuple[Database, Database]) -> None:
    connection = sqlite3.connect(sizes[1].path)
    plans = {}
    for what, ask in QUERIES.items():
        query = next(ask(READS))
        told = connection.execute(f"EXPLAIN QUERY PLAN {query.statement.sql}", query.values).fetchall()
        plans[what] = [row[3] for row in told]
    connection.close()

    # the four stages, a page's keys and the stretches of a page are lists of our own
    ours = ("SCAN s", "SCAN page", "SCAN parts", "SCAN anon", "SCAN (", "SCAN CONSTANT", "SCAN 4 CONSTANT")
    walks = {
        what: lines
        for what, plan in plans.items()
        if (lines := [line for line in plan if line.startswith("SCAN") and not line.startswith(ours)])
    }
    assert walks == {}


@on_postgresql
def test_postgresql_reads_no_table_from_end_to_end_and_few_more_pages_of_a_large_registry(
    sizes: tuple[Database, Database],
) -> None:
    reads = RegistryReads(sqlite=False)
    walks: dict[str, list[str]] = {}
    pages: list[dict[str, int]] = []
    for each in sizes:
        with each.engine.connect() as connection:
            connection.exec_driver_sql("ANALYZE")
            connection.commit()
            driver: Any = connection.connection.driver_connection
            for ask in QUERIES.values():  # the first time the catalogue is read, and rows are marked as seen
                _explained(driver, next(ask(reads)), "ANALYZE, BUFFERS")
            pages.append({what: _pages(driver, next(ask(reads))) for what, ask in QUERIES.items()})
            walks = {what: found for what, ask in QUERIES.items() if (found := _walks(driver, next(ask(reads))))}

    assert walks == {}
    few, many = pages
    # an index of two thousand rows is a page deeper than one of ten, and one that is walked has ten times the pages
    assert {what: (few[what], many[what]) for what in QUERIES if many[what] > 3 * few[what] + 60} == {}


@on_postgresql
def test_the_pages_of_a_model_that_has_nearly_all_versions_are_not_looked_for_among_all(backend: Backend) -> None:
    database = backend.fresh()
    _fill(database.engine, 20)
    with database.engine.begin() as connection:
        more = "INSERT INTO model_versions (workspace, name, version, last_updated_time, current_stage) "
        connection.exec_driver_sql(f"{more} SELECT 'default', 'fraud', n, n, 'None' FROM generate_series(100, 20000) n")
    with database.engine.connect() as connection:
        connection.exec_driver_sql("ANALYZE model_versions")
        connection.commit()
        driver: Any = connection.connection.driver_connection
        for after in (None, (15_000, "fraud", 15_000)):
            asked = next(RegistryReads(sqlite=False).search_versions("default", _search(FRAUD, after=after)))
            plan = "\n".join(_explained(driver, asked, ""))
            assert "lockgate_versions_of_model_by_update" in plan
            assert "lockgate_versions_by_update" not in plan


def _walks(driver: Any, query: Query) -> list[str]:
    large = ("on model_versions", "on registered_models", "on model_version_tags")
    told = _explained(driver, query, "")
    return [line for line in told if "Seq Scan" in line and any(table in line for table in large)]


def _pages(driver: Any, query: Query) -> int:
    """How many pages of 8 KiB PostgreSQL looks at to answer."""
    whole = next(line for line in _explained(driver, query, "ANALYZE, BUFFERS") if "Buffers: shared" in line)
    return sum(int(number) for number in re.findall(r"(?:hit|read)=(\d+)", whole))


def _explained(driver: Any, query: Query, how: str) -> list[str]:
    import psycopg

    values = [query.values[name] for name in query.statement.names]
    told = psycopg.RawCursor(driver).execute(f"EXPLAIN ({how or 'COSTS'}) {query.statement.sql}".encode(), values)
    return [line for (line,) in told.fetchall()]
