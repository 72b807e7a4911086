"""The users of MLflow's basic authentication, in databases that MLflow's own migrations made."""

from __future__ import annotations

import json
import sqlite3
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import pytest

from lockgate.adapters.identity.passwords import Argon2Passwords
from lockgate.adapters.sql.mlflow_people import read
from lockgate.domain.access import Grant, Role
from lockgate.domain.errors import BadInput, NotFound
from lockgate.domain.newcomers import MlflowUser, Permission, from_mlflow
from tests.databases.backends import POSTGRESQL, SQLITE
from tests.databases.postgres import Postgres
from tests.databases.templates import Template

# MLflow's own migrations make the tables: of the first release with users, of the last one before roles, and of now.
# The package is not imported whole: that takes seconds, and its authentication takes a library that we have not.
_SEED = """
import json, sys, types
from importlib.util import find_spec
from pathlib import Path

spec = find_spec("mlflow")
folder = Path(spec.submodule_search_locations[0])
package = sys.modules["mlflow"] = types.ModuleType("mlflow")
package.__path__, package.__version__ = [str(folder)], "any"

from alembic.config import Config
from alembic.runtime.environment import EnvironmentContext
from alembic.script import ScriptDirectory
from sqlalchemy import create_engine, text
from werkzeug.security import generate_password_hash

script = ScriptDirectory(folder / "server" / "auth" / "db" / "migrations")

def migrate(engine, revision):
    context = EnvironmentContext(Config(), script)
    with engine.begin() as connection:
        context.configure(
            connection=connection, fn=lambda now, _: script._upgrade_revs(revision, now),
            version_table="alembic_version_auth", render_as_batch=True,
        )
        context.run_migrations()

hashes = {
    "ana": generate_password_hash("hunter2 and more", method="scrypt:1024:8:1"),
    "ben": generate_password_hash("hunter3 and more", method="pbkdf2:sha256:1000"),
}

def users(connection):
    for number, (name, admin) in enumerate((("ana", True), ("ben", False), ("old", False)), 1):
        connection.execute(
            text("INSERT INTO users (id, username, password_hash, is_admin) VALUES (:id, :name, :hash, :admin)"),
            {"id": number, "name": name, "hash": hashes.get(name, "sha256$a$b"), "admin": admin},
        )

def may(connection, columns=""):
    for name, permission in (("fraud", "EDIT"), ("churn", "READ"), ("secret", "NO_PERMISSIONS")):
        more = ", 'default'" if columns else ""
        connection.execute(
            text(f"INSERT INTO registered_model_permissions (name, user_id, permission{columns}) "
                 f"VALUES (:name, 2, :permission{more})"),
            {"name": name, "permission": permission},
        )

ROLES = (
    "INSERT INTO roles (id, name, workspace) VALUES (1, 'team', 'default'), (2, 'x', 'b')",
    "INSERT INTO user_role_assignments (user_id, role_id) VALUES (2, 1), (2, 2), (3, 1)",
    "INSERT INTO role_permissions (role_id, resource_type, resource_pattern, permission) VALUES "
    "(1, 'registered_model', 'fraud', 'MANAGE'), (1, 'prompt', 'greeting', 'READ'), "
    "(1, 'experiment', '*', 'EDIT'), (1, 'registered_model', 'secret', 'DENY'), (2, 'registered_model', '*', 'MANAGE')",
)

for place in range(0, len(sys.argv) - 1, 4):
  first, before, upgraded, now = sys.argv[1:][place : place + 4]
  for uri, revision in ((first, "8606fa83a998"), (before, "2ed73881770d"), (upgraded, "2ed73881770d"), (now, "head")):
      engine = create_engine(uri)
      migrate(engine, revision)
      with engine.begin() as connection:
          users(connection)
          if uri != now:
              may(connection, "" if uri == first else ", workspace")
      if uri == upgraded:
          migrate(engine, "head")
          with engine.begin() as connection:
              # what the older table says counts no longer
              connection.execute(text("DELETE FROM role_permissions WHERE resource_pattern = 'fraud'"))
      if uri == now:
          with engine.begin() as connection:
              for statement in ROLES:
                  connection.execute(text(statement))
      engine.dispose()
print(json.dumps(hashes))
"""


@dataclass(frozen=True)
class Kept:
    """Addresses of four databases of one kind, and the hashes in them."""

    hashes: dict[str, str]
    first: str
    before: str
    upgraded: str
    now: str


@pytest.fixture(scope="session")
def made(tmp_path_factory: pytest.TempPathFactory, postgres: Postgres) -> dict[str, Kept]:
    folder = tmp_path_factory.mktemp("users")
    uris = [f"sqlite:///{folder}/{number}.db" for number in range(4)]
    uris += [postgres.fresh(Template.EMPTY) for _ in range(4)]
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", _SEED, *uris], check=False, timeout=110, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    hashes = json.loads(done.stdout.splitlines()[-1])
    return {SQLITE: Kept(hashes, *uris[:4]), POSTGRESQL: Kept(hashes, *uris[4:])}


@pytest.fixture(params=[SQLITE, POSTGRESQL])
def kept(request: pytest.FixtureRequest, made: dict[str, Kept]) -> Kept:
    return made[request.param]


def ben_of(uri: str) -> MlflowUser:
    (ben,) = (user for user in read(uri) if user.name == "ben")
    return ben


def test_users_are_read_with_what_is_kept_of_their_passwords(kept: Kept) -> None:
    for uri in (kept.first, kept.before, kept.upgraded, kept.now):
        found = read(uri)
        assert [(user.name, user.admin) for user in found] == [("ana", True), ("ben", False), ("old", False)], uri
        assert [user.password for user in found[:2]] == [kept.hashes["ana"], kept.hashes["ben"]]


def test_a_password_of_mlflows_fits_here_and_one_of_a_form_long_gone_does_not(kept: Kept) -> None:
    passwords = Argon2Passwords()
    ana, ben, old = (user.password or "" for user in read(kept.now))

    assert passwords.fits(ana, "hunter2 and more")
    assert passwords.fits(ben, "hunter3 and more")
    assert not passwords.fits(ben, "hunter2 and more")
    assert [passwords.understood(each) for each in (ana, ben, old)] == [True, True, False]


def test_permissions_are_read_where_there_are_no_roles_yet(kept: Kept) -> None:
    for uri in (kept.first, kept.before):
        newcomer = from_mlflow(ben_of(uri), None)
        assert newcomer.grants == (Grant(Role.CONTRIBUTOR, "fraud"), Grant(Role.VIEWER, "churn"))
        assert "secret" in newcomer.notes[0]


def test_where_there_are_roles_the_older_tables_are_not_asked(kept: Kept) -> None:
    assert from_mlflow(ben_of(kept.upgraded), None).grants == (Grant(Role.VIEWER, "churn"),)


def test_roles_are_read_with_their_workspaces(kept: Kept) -> None:
    ben = ben_of(kept.now)

    assert Permission("b", "registered_model", "*", "MANAGE") in ben.permissions
    newcomer = from_mlflow(ben, Role.VIEWER)
    assert newcomer.grants == (Grant(Role.CONTRIBUTOR, "fraud"), Grant(Role.VIEWER, "greeting"))
    assert [note.split(":")[0] for note in newcomer.notes if "workspace" in note] == ["in the workspace b"]


def test_reading_leaves_no_trace(made: dict[str, Kept]) -> None:
    kept = made[SQLITE]
    path = Path(kept.now.removeprefix("sqlite:///"))
    before = path.read_bytes(), sorted(path.parent.glob(f"{path.name}*"))
    read(kept.now)

    assert (path.read_bytes(), sorted(path.parent.glob(f"{path.name}*"))) == before


def test_another_database_is_told_from_mlflows(tmp_path: Path) -> None:
    path = tmp_path / "other.db"
    with sqlite3.connect(path) as other:
        other.execute("CREATE TABLE users (id INTEGER)")
    other.close()
    with pytest.raises(BadInput, match="no database of MLflow's basic authentication"):
        read(f"sqlite:///{path}")
    with pytest.raises(NotFound):
        read(f"sqlite:///{tmp_path}/nothing.db")
    with pytest.raises(BadInput):
        read("mysql://somewhere/auth")


def test_a_plugins_database_is_not_taken_for_mlflows(tmp_path: Path) -> None:
    with sqlite3.connect(tmp_path / "plugin.db") as plugin:
        for table in (
            "users (id INTEGER, username TEXT, password_hash TEXT, is_admin BOOLEAN)",
            "registered_model_permissions (user_id INTEGER, name TEXT, permission TEXT)",
            "registered_model_group_permissions (group_id INTEGER, name TEXT, permission TEXT)",
        ):
            plugin.execute(f"CREATE TABLE {table}")
    plugin.close()
    with pytest.raises(BadInput, match="single sign-on"):
        read(f"sqlite:///{tmp_path}/plugin.db")
