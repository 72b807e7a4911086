"""A database that stock MLflow made is looked at, adopted in place and left again; MLflow's part never changes."""

from __future__ import annotations

import hashlib
import io
import re
import sqlite3
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from lockgate import wiring
from lockgate.adapters.sql import mlflow_revisions
from lockgate.adapters.sql.mlflow_indexes import INDEXES
from lockgate.domain.errors import Conflict
from lockgate.domain.identity import Who
from lockgate.usecases import status
from lockgate.usecases.adoption_ports import BEFORE
from tests.databases.backends import SQLITE
from tests.integration.adopt.conftest import Adoptable, Printed, Seeded
from tests.integration.adopt.seeding import content, our_tables, rows, run

ANN = Who("ann", via="test")
Lockgate = Callable[..., Printed]
Start = Callable[[], wiring.Node]

HOLDS_IT_OPEN = """
import sqlite3, sys
connection = sqlite3.connect(sys.argv[1])
connection.execute("SELECT 1 FROM lockgate_models").fetchall()
print("open", flush=True)
sys.stdin.readline()
"""


def files(folder: Path) -> dict[str, str]:
    """Every file with what it holds."""
    return {path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in sorted(folder.iterdir())}


# --- looking ----------------------------------------------------------------------------------------------------------


def test_the_constants_about_mlflows_schema_are_those_of_the_mlflow_installed(seeded: Seeded) -> None:
    newest, *older = seeded.schema["revisions"]

    assert newest == mlflow_revisions.HEAD
    assert set(older) == mlflow_revisions.OLDER
    assert set(seeded.schema["tables"]) == mlflow_revisions.TABLES


def test_doctor_says_what_is_there_and_what_would_be_added_and_changes_nothing(
    database: Adoptable, lockgate: Lockgate
) -> None:
    before = content(database.uri)

    said = lockgate("doctor", "--database", database.uri)

    assert (said.code, said.err) == (0, "")
    assert "4 models, 8 versions, 4 aliases, 1 prompt" in " ".join(said.out.split())
    assert f"{len(INDEXES)} indexes on MLflow's tables" in said.out
    assert "Lockgate can run on this database. Nothing was changed" in said.out
    # the two models whose stages and aliases disagree, each with a command; the prompt's own alias is none of them
    assert "lockgate promote twins@2 --to production" in said.out
    assert "lockgate promote wrong@1 --to production" in said.out
    assert "greeting" not in said.out
    assert content(database.uri) == before
    assert our_tables(database.uri) == []
    assert not database.home.exists()


@pytest.mark.parametrize("mode", ["delete", "wal"])
def test_doctor_leaves_no_file_beside_an_sqlite_database(
    seeded: Seeded, tmp_path: Path, mode: str, lockgate: Lockgate
) -> None:
    path = tmp_path / "adopted" / "mlflow.db"
    path.parent.mkdir()
    path.write_bytes(seeded.file.read_bytes())
    connection = sqlite3.connect(path)
    connection.execute(f"PRAGMA journal_mode = {mode}")
    connection.close()
    before = files(path.parent)

    assert lockgate("doctor", "--database", f"sqlite:///{path}").code == 0

    assert files(path.parent) == before
    assert list(before) == ["mlflow.db"]


def test_doctor_sees_what_a_writer_that_is_still_there_has_committed(
    seeded: Seeded, tmp_path: Path, lockgate: Lockgate
) -> None:
    path = tmp_path / "mlflow.db"
    path.write_bytes(seeded.file.read_bytes())
    writer = sqlite3.connect(path)
    writer.execute("PRAGMA journal_mode = WAL")
    writer.execute("UPDATE model_versions SET current_stage = 'Staging' WHERE name = 'plain' AND version = 1")
    writer.commit()

    said = lockgate("doctor", "--database", f"sqlite:///{path}")
    # the log alone, as after a power cut: looked at in a copy
    (copied := tmp_path / "copied").mkdir()
    for name in ("mlflow.db", "mlflow.db-wal"):
        (copied / name).write_bytes((tmp_path / name).read_bytes())
    before = files(copied)
    said_of_copy = lockgate("doctor", "--database", f"sqlite:///{copied / 'mlflow.db'}")
    writer.close()

    assert "plain@1" in said.out
    assert "plain@1" in said_of_copy.out
    assert files(copied) == before


def test_doctor_makes_no_file_where_there_is_none(tmp_path: Path, lockgate: Lockgate) -> None:
    said = lockgate("doctor", "--home", str(tmp_path / "home"))

    assert said.code == 0
    assert "there is no such file yet" in said.out
    assert list(tmp_path.iterdir()) == []


# --- adopting ---------------------------------------------------------------------------------------------------------


def test_adopting_adds_our_tables_and_indexes_and_changes_nothing_else_of_mlflows(database: Adoptable) -> None:
    before = content(database.uri)
    mode = _journal_mode(database)

    database.adopt()
    database.adopt()

    assert content(database.uri, without_our_indexes=True) == before
    assert _journal_mode(database) == mode
    assert len(our_tables(database.uri)) > 15
    assert {f"index {name}" for name in INDEXES} <= content(database.uri).keys()
    assert database.actions().count("database:adopted") == 1


def test_what_was_there_is_shown_as_before_lockgate_and_nothing_begins_by_itself(
    database: Adoptable, node: Start
) -> None:
    database.adopt()
    ports = node().ports

    found = status.of_model(ports, "fraud")

    assert [(v.ref.version, str(v.stage), v.primary, v.provenance) for v in found.versions] == [
        (3, "Staging", True, BEFORE),
        (2, "Production", True, BEFORE),
        (1, "Archived", False, BEFORE),
    ]
    assert found.drift == ()
    assert [m.model for m in status.overview(ports).models] == ["fraud", "plain", "twins", "wrong"]
    for table in ("promotions", "validations", "endpoints", "releases", "approval_requests"):
        assert rows(database.uri, f"SELECT count(*) FROM lockgate_{table}") == [(0,)], table


def test_on_an_adopted_database_nothing_is_served_that_no_policy_names(database: Adoptable, node: Start) -> None:
    database.adopt()
    with node().ports.store.reading() as work:
        assert not work.policies.in_force().endpoint_rule("fraud").serve

    policy = "level: observe\nendpoints: {'fraud*': {serve: auto}}\n"
    wiring.apply_policy_file(database.settings(policy), ANN)
    with node().ports.store.reading() as work:
        assert work.policies.in_force().endpoint_rule("fraud").serve
        assert not work.policies.in_force().endpoint_rule("twins").serve


def test_the_aliases_of_the_policy_that_is_about_to_rule_tell_the_primaries(database: Adoptable, node: Start) -> None:
    database.stock.alias("fraud", "champion", 2)
    policy = "level: observe\nstages: {Production: {alias: champion}}\n"

    database.adopt(policy)
    wiring.apply_policy_file(database.settings(policy), ANN)

    found = status.of_model(node().ports, "fraud")
    assert [v.ref.version for v in found.versions if v.primary] == [3, 2]
    assert found.drift == ()


def test_a_database_that_lockgate_made_is_not_adopted(tmp_path: Path) -> None:
    fresh = Adoptable(f"sqlite:///{tmp_path / 'new.db'}", tmp_path / "home")
    fresh.adopt()

    assert fresh.actions() == ["database:made"]


# --- refusing ---------------------------------------------------------------------------------------------------------

OLD, UNKNOWN = "75868b020152", "feedfacecafe"
WRONG = {
    "older": ([f"UPDATE alembic_version SET version_num = '{OLD}'"], f"revision {OLD}.*mlflow db upgrade"),
    "newer": ([f"UPDATE alembic_version SET version_num = '{UNKNOWN}'"], f"does not know .{UNKNOWN}.*Use a release"),
    "two at once": ([f"INSERT INTO alembic_version VALUES ('{OLD}')"], "does not know"),
    "nothing noted": (["DELETE FROM alembic_version"], "half made: no revision is noted.*backup"),
    "a table missing": (["DROP TABLE registered_model_aliases"], "half made: registered_model_aliases missing"),
    "a column missing": (["ALTER TABLE model_versions DROP COLUMN user_id"], "half made: model_versions.user_id"),
}  # fmt: skip


@pytest.mark.parametrize("case", WRONG)
def test_a_schema_that_is_not_the_one_we_know_stops_everything_before_anything_is_changed(
    database: Adoptable, case: str, lockgate: Lockgate
) -> None:
    statements, expected = WRONG[case]
    run(database.uri, *statements)
    before = content(database.uri)

    said = lockgate("doctor", "--database", database.uri)
    with pytest.raises(Conflict) as refused:
        database.adopt()

    assert said.code == 1
    assert _matches(expected, said.out)
    assert _matches(expected, str(refused.value))
    assert "Lockgate cannot run on this database as it is. Nothing was changed." in said.out
    assert content(database.uri) == before
    assert our_tables(database.uri) == []


def test_tables_of_another_program_are_named_and_stay(database: Adoptable, lockgate: Lockgate) -> None:
    run(database.uri, "CREATE TABLE invoices (number INTEGER)")

    said = lockgate("doctor", "--database", database.uri)

    assert said.code == 0
    assert "they stay: invoices." in said.out


# --- leaving ----------------------------------------------------------------------------------------------------------


def test_uninstall_drops_what_is_ours_and_nothing_else_and_may_be_run_again(
    database: Adoptable, lockgate: Lockgate
) -> None:
    before = content(database.uri)
    database.adopt()
    adopted = content(database.uri)
    where = ("--database", database.uri, "--home", str(database.home))

    dry = lockgate("uninstall", *where, "--dry-run")
    assert dry.code == 0
    assert "lockgate_audit" in dry.out
    assert "Nothing was changed: --dry-run." in dry.out
    assert content(database.uri) == adopted

    done = lockgate("uninstall", *where, "--yes")
    assert (done.code, done.err) == (0, "")
    assert "MLflow's tables are untouched" in done.out
    assert our_tables(database.uri) == []
    assert content(database.uri) == before

    again = lockgate("uninstall", *where, "--yes")
    assert again.code == 0
    assert "Nothing of Lockgate's is in" in again.out


def test_uninstall_asks_first_and_a_no_changes_nothing(
    database: Adoptable, lockgate: Lockgate, monkeypatch: pytest.MonkeyPatch
) -> None:
    database.adopt()
    where = ("--database", database.uri, "--home", str(database.home))

    monkeypatch.setattr("sys.stdin", io.StringIO("n\n"))
    unanswered = lockgate("uninstall", *where)
    as_json = lockgate("uninstall", *where, "--json")

    assert unanswered.code == 1
    assert "Nothing was changed" in unanswered.out
    assert as_json.code == 2
    assert "Add --yes" in as_json.out
    assert "lockgate_audit" in our_tables(database.uri)


def test_uninstall_is_refused_while_a_process_of_lockgates_has_the_database_open(
    database: Adoptable, lockgate: Lockgate
) -> None:
    database.adopt()
    where = ("--database", database.uri, "--home", str(database.home))
    if database.kind != SQLITE:
        # a sign of life, as an agent leaves it every second
        run(
            database.uri,
            "INSERT INTO lockgate_groups VALUES ('here', 'ep', 'rel', 'serving', '', '[]',"
            " (extract(epoch FROM now()) * 1000000)::bigint)",
        )
        said = lockgate("uninstall", *where, "--yes")
    else:
        command = [sys.executable, "-c", HOLDS_IT_OPEN, str(database.path), "lockgate server"]
        with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as other:
            assert other.stdout is not None
            assert other.stdout.readline() == "open\n"
            said = lockgate("uninstall", *where, "--yes")
            other.communicate("\n")
            assert f"process {other.pid}" in said.err

    assert said.code == 1
    assert "Lockgate still runs on" in said.err
    assert "lockgate_audit" in our_tables(database.uri)


# --- small things -----------------------------------------------------------------------------------------------------


def _journal_mode(database: Adoptable) -> object:
    return rows(database.uri, "PRAGMA journal_mode") if database.kind == SQLITE else None


def _matches(expected: str, text: str) -> bool:
    return re.search(expected, " ".join(text.split())) is not None
