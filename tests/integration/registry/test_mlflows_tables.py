"""MLflow's tables on a new PostgreSQL: made once however many start, made whole or not at all."""

from __future__ import annotations

import signal
import subprocess
import sys
import time

import psycopg
import pytest
from sqlalchemy import inspect

from tests.databases.backends import Database
from tests.databases.postgres import Postgres
from tests.databases.templates import Template

_PREPARE = """
import sys
from lockgate.adapters.mlflow.schema import prepare
from lockgate.domain.errors import LockgateError
try:
    prepare(sys.argv[1], print)
except LockgateError as error:
    sys.exit(f"{type(error).__name__}: {error}")
"""
_LOCKS = """
SELECT application_name, granted FROM pg_locks JOIN pg_stat_activity USING (pid)
WHERE locktype = 'advisory' AND datname = current_database()
"""
pytestmark = pytest.mark.timeout(240)


def starting(uri: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-W", "ignore", "-c", _PREPARE, uri], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )


def schema_of(uri: str) -> set[str]:
    database = Database(uri)
    found = inspect(database.engine)
    names = {
        f"{table}.{column['name']} {column['type']}"
        for table in found.get_table_names()
        for column in found.get_columns(table)
    }
    database.close()
    return names


def test_a_kill_in_the_middle_leaves_nothing_and_one_that_waited_makes_them_as_mlflow_does(postgres: Postgres) -> None:
    with postgres.database() as uri, postgres.database(Template.MLFLOW) as as_mlflow_makes_them:
        started = [starting(f"{uri}?application_name={number}") for number in range(2)]
        try:
            with psycopg.connect(uri, autocommit=True) as watching:
                killed = started[_until_one_is_in_the_middle(watching)]
                killed.kill()
                assert killed.wait(60) == -signal.SIGKILL
                for other in started:
                    if other is not killed:
                        said = other.communicate(timeout=200)
                        assert other.returncode == 0, said
        finally:
            for process in started:
                process.kill()
                process.communicate()

        assert schema_of(uri) == schema_of(as_mlflow_makes_them)


def _until_one_is_in_the_middle(watching: psycopg.Connection) -> int:
    """Which of the processes makes the tables, as soon as the other waits for it."""
    give_up = time.monotonic() + 120
    while True:
        found: dict[str, bool] = dict(watching.execute(_LOCKS).fetchall())
        if sorted(found.values()) == [False, True]:
            return next(int(name) for name, granted in found.items() if granted)
        assert time.monotonic() < give_up, "they do not wait for each other"
        time.sleep(0.02)
