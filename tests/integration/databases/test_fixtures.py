"""The databases that tests run on keep what they promise."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import psycopg
import pytest
from sqlalchemy import inspect, text

from tests.databases import server as server_program
from tests.databases.backends import Database
from tests.databases.postgres import Postgres
from tests.databases.server import server
from tests.databases.templates import Template


def test_a_database_has_mlflows_tables_and_ours_and_no_row(database: Database) -> None:
    names = set(inspect(database.engine).get_table_names())
    with database.engine.connect() as connection:
        models = connection.execute(text("SELECT count(*) FROM registered_models")).scalar_one()

    assert {"registered_models", "lockgate_versions"} <= names
    assert models == 0


def test_every_database_is_its_own(postgres: Postgres) -> None:
    with postgres.database(Template.EMPTY) as one, postgres.database(Template.EMPTY) as other:
        with psycopg.connect(one) as connection:
            connection.execute("CREATE TABLE here (id int)")
        with psycopg.connect(other) as connection:
            found = connection.execute("SELECT count(*) FROM pg_tables WHERE tablename = 'here'").fetchone()

    assert found == (0,)


def test_a_server_stops_and_comes_back_with_its_rows() -> None:
    with server() as own:
        with psycopg.connect(own.uri()) as connection:
            connection.execute("CREATE TABLE here AS SELECT 1 AS id")
        own.stop()
        own.start()
        with psycopg.connect(own.uri()) as connection:
            assert connection.execute("SELECT id FROM here").fetchone() == (1,)

    assert not own.folder.exists()


def test_the_server_of_a_run_that_was_killed_ends_with_it(tmp_path: Path) -> None:
    state = tmp_path / "postgres.json"
    run = subprocess.Popen(["sleep", "600"])
    try:
        subprocess.run([sys.executable, server_program.__file__, state, str(run.pid)], check=True, timeout=60)
        until(state.exists)
        told = json.loads(state.read_text())
        with psycopg.connect(told["uri"]) as connection:
            row = connection.execute("SELECT current_setting('data_directory')").fetchone()
            assert row is not None
    finally:
        run.kill()
        run.wait()

    until(lambda: not Path(row[0]).parent.exists())
    with pytest.raises(psycopg.OperationalError, match="refused"):
        psycopg.connect(told["uri"])


def until(true: Callable[[], bool]) -> None:
    give_up = time.monotonic() + 60
    while not true():
        assert time.monotonic() < give_up
        time.sleep(0.02)
