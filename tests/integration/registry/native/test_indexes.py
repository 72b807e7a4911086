"""Lockgate's indexes on MLflow's tables: built once, by one, whole, and taken away without a trace."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

from sqlalchemy import Engine, inspect

from lockgate.adapters.sql import mlflow_indexes
from lockgate.adapters.sql.engine import make_engine
from tests.databases.backends import Backend, Database, on_postgresql
from tests.databases.templates import Template

TABLES = (
    "registered_models",
    "model_versions",
    "model_version_tags",
    "registered_model_tags",
    "registered_model_aliases",
)


def _indexes(engine: Engine) -> dict[str, object]:
    seen = inspect(engine)
    return {str(each["name"]): each for table in TABLES for each in seen.get_indexes(table)}


def test_they_are_built_once_and_named_as_ours(backend: Backend) -> None:
    database = backend.fresh(Template.MLFLOW)
    before = _indexes(database.engine)

    assert mlflow_indexes.missing(database.engine) == mlflow_indexes.INDEXES
    assert mlflow_indexes.ensure(database.engine) == mlflow_indexes.INDEXES
    assert mlflow_indexes.ensure(database.engine) == ()

    assert mlflow_indexes.missing(database.engine) == ()
    assert _indexes(database.engine).keys() - before.keys() == set(mlflow_indexes.INDEXES)
    assert all(name.startswith("lockgate_") for name in mlflow_indexes.INDEXES)


def test_what_is_dropped_leaves_mlflows_own(backend: Backend) -> None:
    database = backend.fresh(Template.MLFLOW)
    before = _indexes(database.engine)
    mlflow_indexes.ensure(database.engine)

    assert mlflow_indexes.drop(database.engine) == mlflow_indexes.INDEXES
    assert mlflow_indexes.drop(database.engine) == ()

    assert _indexes(database.engine) == before


def test_one_that_is_missing_is_built_alone(database: Database) -> None:
    mlflow_indexes.ensure(database.engine)
    with database.engine.begin() as connection:
        connection.exec_driver_sql(f"DROP INDEX {mlflow_indexes.INDEXES[1]}")

    assert mlflow_indexes.missing(database.engine) == mlflow_indexes.INDEXES[1:2]
    assert mlflow_indexes.ensure(database.engine) == mlflow_indexes.INDEXES[1:2]


def test_any_number_may_begin_at_once(backend: Backend) -> None:
    database = backend.fresh(Template.MLFLOW)
    engines = [make_engine(database.uri) for _ in range(4)]
    try:
        with ThreadPoolExecutor(4) as threads:
            built = list(threads.map(mlflow_indexes.ensure, engines))
    finally:
        for engine in engines:
            engine.dispose()

    assert sorted(name for names in built for name in names) == sorted(mlflow_indexes.INDEXES)
    assert mlflow_indexes.missing(database.engine) == ()


@on_postgresql
def test_one_that_was_left_half_built_is_built_again(database: Database) -> None:
    mlflow_indexes.ensure(database.engine)
    name = mlflow_indexes.INDEXES[0]
    with database.engine.begin() as connection:
        # as a build that was killed leaves it
        connection.exec_driver_sql(f"UPDATE pg_index SET indisvalid = false WHERE indexrelid = '{name}'::regclass")

    assert mlflow_indexes.missing(database.engine) == (name,)
    assert mlflow_indexes.ensure(database.engine) == (name,)
    assert mlflow_indexes.missing(database.engine) == ()
