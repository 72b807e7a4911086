"""A node starts with a key that the record knows, or not at all, and says what to do."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from lockgate import wiring
from lockgate.cli import outcome
from lockgate.cli.main import cli
from lockgate.config import load

Start = Callable[..., int]


@pytest.fixture
def node(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Start:
    """What every start does before anything else."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("LOCKGATE_HOME", str(tmp_path / "home"))

    def run(*words: object) -> int:
        return outcome.run(cli, [*map(str, words)])

    return run


def test_a_node_whose_key_is_not_on_the_record_does_not_start_until_it_is(
    node: Start, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    key = tmp_path / "home" / "keys" / "checkpoint.key"
    assert node("prepare") == 0
    assert key.stat().st_mode & 0o777 == 0o600
    assert node("prepare") == 0
    right = key.read_bytes()
    key.unlink()
    capsys.readouterr()
    assert node("prepare") == 1
    said = " ".join(capsys.readouterr().err.split())
    assert "is not on the record" in said
    assert "lockgate audit key add" in said
    assert "lockgate audit key recover" in said
    with pytest.raises(Exception, match="is not on the record"):
        wiring.ensure_key(load(), signs=False)
    stranger = key.read_bytes()
    key.write_bytes(right)
    assert node("prepare") == 0
    key.write_bytes(stranger)
    assert node("audit", "key", "recover", "--reason", "the disk is gone") == 0
    assert node("prepare") == 0
    assert node("audit", "key", "recover", "--reason", "again") == 1
    key.write_bytes(b"nonsense")
    assert node("prepare") == 2


def test_a_server_alone_needs_no_key_and_one_that_is_given_must_be_known(
    node: Start, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert node("prepare") == 0
    other = load({"home": tmp_path / "other", "database": load().database})
    wiring.ensure_key(other, signs=False)
    assert not (tmp_path / "other").exists()
    monkeypatch.setenv("LOCKGATE_CHECKPOINT_KEY", str(tmp_path / "home" / "keys" / "checkpoint.key"))
    wiring.ensure_key(other, signs=True)
    wiring.ensure_key(other, signs=False)


def test_a_tree_that_is_as_it_was_built_needs_no_mending(node: Start, capsys: pytest.CaptureFixture[str]) -> None:
    assert node("prepare") == 0
    capsys.readouterr()
    assert node("audit", "mend", "--reason", "to be sure") == 0
    assert "nothing to mend" in capsys.readouterr().out


def test_doctor_says_who_could_read_the_key(node: Start, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    key = tmp_path / "home" / "keys" / "checkpoint.key"
    assert node("prepare") == 0
    key.chmod(0o644)
    capsys.readouterr()
    assert node("doctor") == 0
    said = " ".join(capsys.readouterr().out.split())
    assert "Other accounts of this machine can read the record's key" in said
    assert "under the account that workers run under" in said
    assert key.stat().st_mode & 0o777 == 0o644
