"""A home's notes are believed only where the process is still the one that was noted."""

from __future__ import annotations

import json
import os
import stat
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from lockgate.cli import identity, leftovers
from lockgate.cli.children import environment, without_keys
from lockgate.cli.home import Home
from lockgate.cli.identity import Identity
from lockgate.domain.errors import BadInput, Conflict


@pytest.fixture
def home(tmp_path: Path) -> Home:
    made = Home(tmp_path / "home")
    made.prepare()
    return made


@pytest.fixture
def process() -> Iterator[subprocess.Popen[bytes]]:
    """A process whose command line looks like one of ours."""
    started = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)", "lockgate.worker"])
    yield started
    started.kill()
    started.wait()


def test_only_its_owner_can_look_into_a_home(home: Home) -> None:
    assert {stat.S_IMODE(folder.stat().st_mode) for folder in (home.path, home.run, home.logs)} == {0o700}


def test_a_home_that_cannot_be_made_is_bad_input(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(BadInput, match="cannot be used as home"):
        Home(tmp_path / "file" / "home").prepare()


def test_a_noted_process_is_found_while_it_lives_and_not_after(home: Home, process: subprocess.Popen[bytes]) -> None:
    found = identity.of(process.pid)
    assert found is not None
    home.record("server", found)
    assert home.recorded("server") == found
    process.kill()
    process.wait()
    assert home.recorded("server") is None


def test_a_pid_that_belongs_to_somebody_else_by_now_is_no_process_of_ours(
    home: Home, process: subprocess.Popen[bytes]
) -> None:
    home.record("server", Identity(process.pid, "an earlier start"))
    assert home.recorded("server") is None


@pytest.mark.parametrize("text", ["", "nonsense", "[]", "{}", '{"pid": "x", "started": 1}'])
def test_a_broken_note_names_nobody(home: Home, text: str) -> None:
    (home.run / "server.json").write_text(text)
    assert home.recorded("server") is None


def test_a_zombie_is_gone(process: subprocess.Popen[bytes]) -> None:
    found = identity.of(process.pid)
    assert found is not None
    process.kill()
    os.waitid(os.P_PID, process.pid, os.WEXITED | os.WNOWAIT)
    assert not found.lives


def test_a_held_home_cannot_be_held_again_by_another_process(home: Home) -> None:
    script = (
        "import sys; from pathlib import Path; from lockgate.cli.home import Home\n"
        "with Home(Path(sys.argv[1])).held(): print('held', flush=True); sys.stdin.read()"
    )
    other = subprocess.Popen(
        [sys.executable, "-c", script, str(home.path)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    try:
        assert other.stdout is not None
        assert other.stdout.readline() == "held\n"
        with pytest.raises(Conflict, match="already runs"), home.held():
            pass
    finally:
        other.communicate()
    with home.held():
        pass


def test_workers_are_found_by_their_records_and_strangers_are_not(home: Home, process: subprocess.Popen[bytes]) -> None:
    found = identity.of(process.pid)
    assert found is not None
    for name, started in (("w1", int(found.started)), ("w2", int(found.started) + 1)):
        folder = home.run / "workers" / name
        folder.mkdir(parents=True)
        (folder / "worker.json").write_text(json.dumps({"pid": process.pid, "started": started}))
    assert leftovers.workers(home) == [found]


def test_a_child_sees_no_secret_it_has_no_use_for() -> None:
    told = {"PATH": "/bin", "LC_ALL": "C", "GITHUB_TOKEN": "x", "DATABASE_PASSWORD": "y", "LOCKGATE_HOME": "/h"}
    assert environment(told, {"LOCKGATE_USER": "ana"}) == {
        "PATH": "/bin", "LC_ALL": "C", "LOCKGATE_HOME": "/h", "LOCKGATE_USER": "ana",
    }  # fmt: skip


def test_the_agent_is_told_no_key_of_the_artifact_store_or_of_stored_secrets() -> None:
    keys = [
        *("AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN", "AZURE_CLIENT_SECRET", "GOOGLE_APPLICATION_CREDENTIALS"),
        *("MLFLOW_CRYPTO_KEK_PASSPHRASE", "MLFLOW_WEBHOOK_SECRET_ENCRYPTION_KEY"),
    ]
    told = {**dict.fromkeys([*keys, "MLFLOW_S3_ENDPOINT_URL"], "x"), "PATH": "/bin", "LOCKGATE_HOME": "/srv"}

    assert without_keys(told) == {"PATH": "/bin", "LOCKGATE_HOME": "/srv"}
