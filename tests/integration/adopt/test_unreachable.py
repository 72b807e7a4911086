"""A database that cannot be used: what is wrong and what to do, an exit code, and nothing changed."""

from __future__ import annotations

import socket
import stat
from collections.abc import Callable
from pathlib import Path

import pytest
from sqlalchemy import make_url

from lockgate import wiring
from lockgate.config import load
from lockgate.domain.errors import LockgateError
from tests.databases.postgres import Postgres
from tests.databases.templates import Template
from tests.integration.adopt.conftest import Adoptable, Printed, Seeded
from tests.integration.adopt.seeding import content, our_tables, run

Lockgate = Callable[..., Printed]


def start(uri: str, folder: Path) -> str:
    """What a start says when it refuses."""
    with pytest.raises(LockgateError) as refused:
        wiring.prepare(load({"home": folder / "home", "database": uri, "policy": None}))
    return str(refused.value)


def test_a_folder_is_no_database(tmp_path: Path, lockgate: Lockgate) -> None:
    (folder := tmp_path / "folder").mkdir()

    said = lockgate("doctor", "--database", f"sqlite:///{folder}")

    assert said.code == 2
    assert "is a folder, not a database file" in said.err
    assert "cannot be opened" in start(f"sqlite:///{folder}", tmp_path)
    assert list(folder.iterdir()) == []


def test_a_file_that_is_no_database_is_left_alone(tmp_path: Path, lockgate: Lockgate) -> None:
    (file := tmp_path / "notes.txt").write_text("these are no tables, and they are longer than a header\n" * 20)
    before = file.read_bytes()

    said = lockgate("doctor", "--database", f"sqlite:///{file}")

    assert said.code == 2
    assert "is not an SQLite database" in said.err
    assert "not an SQLite database" in start(f"sqlite:///{file}", tmp_path)
    assert file.read_bytes() == before


@pytest.mark.parametrize("uri", ["mysql://root@localhost/mlflow", "nonsense", "sqlite://", "sqlite:///:memory:"])
def test_an_address_of_another_kind_is_wrong_usage(uri: str, lockgate: Lockgate) -> None:
    said = lockgate("doctor", "--database", uri)

    assert said.code == 2
    assert "postgresql://USER" in said.err


def test_a_wrong_password_a_missing_database_and_a_server_that_is_not_there_are_told_apart(
    postgres: Postgres, tmp_path: Path, lockgate: Lockgate
) -> None:
    right = make_url(postgres.uri("postgres"))
    with socket.create_server(("127.0.0.1", 0)) as held:
        nobody = right.set(port=held.getsockname()[1])
    cases = {
        right.set(password="wrong-s3cret"): "password",
        right.set(database="no_such_database"): "There is no such database",
        nobody: "Nothing answers",
    }

    for url, expected in cases.items():
        uri = url.render_as_string(hide_password=False)
        said = lockgate("doctor", "--database", uri)
        assert said.code == 1, said
        assert expected in said.err
        assert "s3cret" not in said.err
        assert expected in start(uri, tmp_path)


def test_what_a_user_of_postgresql_may_not_do_is_said_with_the_words_that_allow_it(
    seeded: Seeded, postgres: Postgres, tmp_path: Path, lockgate: Lockgate
) -> None:
    uri = postgres.copy(seeded.postgres)
    user = f"guest_{make_url(uri).database}"
    guest = make_url(uri).set(username=user, password="guest").render_as_string(hide_password=False)
    run(uri, f"CREATE ROLE {user} LOGIN PASSWORD 'guest'", "REVOKE CREATE ON SCHEMA public FROM PUBLIC")
    run(uri, f"GRANT SELECT ON ALL TABLES IN SCHEMA public TO {user}")
    before = content(uri)
    try:
        said = lockgate("doctor", "--database", guest)

        assert said.code == 1
        assert f"GRANT CREATE ON SCHEMA public TO {user};" in said.out
        assert f"{user} does not own registered_models" in said.out
        assert "GRANT SELECT, INSERT, UPDATE, DELETE ON registered_models" in said.out
        assert f"{user} may not create tables" in start(guest, tmp_path)
        assert content(uri) == before
        assert our_tables(uri) == []
    finally:
        run(uri, f"DROP OWNED BY {user}", f"DROP ROLE {user}")


def test_an_empty_postgresql_database_is_fit_and_another_programs_is_pointed_out(
    postgres: Postgres, lockgate: Lockgate
) -> None:
    uri = postgres.fresh(Template.EMPTY)

    assert lockgate("doctor", "--database", uri).code == 0
    run(uri, "CREATE TABLE invoices (number INTEGER)")
    said = lockgate("doctor", "--database", uri)

    assert said.code == 0
    assert "There are tables of another program (invoices), and none of MLflow's." in said.out
    postgres.drop(uri)


def test_a_file_that_everybody_can_read_is_pointed_out(tmp_path: Path, seeded: Seeded, lockgate: Lockgate) -> None:
    (path := tmp_path / "open.db").write_bytes(seeded.file.read_bytes())
    path.chmod(stat.S_IRUSR | stat.S_IWUSR | stat.S_IROTH)

    said = lockgate("doctor", "--database", f"sqlite:///{path}")

    assert f"chmod 600 {path}" in said.out


def test_json_says_the_same(database: Adoptable, lockgate: Lockgate) -> None:
    import json

    said = json.loads(lockgate("doctor", "--database", database.uri, "--json").out)

    assert said["fit"] is True
    assert said["mlflow"]["state"] == "known"
    assert said["registry"]["stages"] == {"Archived": 1, "None": 2, "Production": 4, "Staging": 1}
    assert [each["model"] for each in said["disagreements"]] == ["twins", "wrong"]
    assert said["lockgate"]["begun"] is None
    assert said["lockgate"]["adds"]["tables"]
    assert "s3cret" not in json.dumps(said)


def test_uninstall_where_there_is_no_file_says_so(tmp_path: Path, lockgate: Lockgate) -> None:
    said = lockgate("uninstall", "--database", f"sqlite:///{tmp_path / 'none.db'}", "--yes")

    assert said.code == 1
    assert "There is no database at" in said.err
    assert list(tmp_path.iterdir()) == []
