"""The first administrator's password is shown once, where a person sees it; what others reach takes users to start."""

from __future__ import annotations

import stat
from pathlib import Path

import pytest

from lockgate.cli import outcome
from lockgate.cli.first_admin import FILE, Standing
from lockgate.cli.main import cli

EVERYWHERE = "0.0.0.0"  # noqa: S104 - to be refused
PASSWORD = "b0py7-90jg5-2417t-90wcf"


@pytest.fixture
def said() -> list[tuple[str, str]]:
    return []


def _tell(standing: Standing, home: Path, said: list[tuple[str, str]]) -> str:
    standing.tell(home, lambda event, text: said.append((event, text)))
    return "\n".join(text for _, text in said)


@pytest.mark.parametrize("standing", [Standing(False), Standing(True), Standing(True, PASSWORD)])
def test_what_was_found_goes_from_one_process_to_the_other(standing):
    assert Standing.read(f"INFO something\n{standing.line()}\n") == standing
    assert Standing.read("nothing of the kind") is None


def test_without_a_terminal_the_password_goes_to_a_file_that_only_its_owner_reads(tmp_path, said):
    (tmp_path / FILE).write_text("an older one")
    text = _tell(Standing(True, PASSWORD), tmp_path, said)
    assert PASSWORD not in text
    assert str(tmp_path / FILE) in text
    assert (tmp_path / FILE).read_text() == f"{PASSWORD}\n"
    assert stat.S_IMODE((tmp_path / FILE).stat().st_mode) == 0o600


def test_on_a_terminal_it_is_shown_and_kept_nowhere(tmp_path, said, monkeypatch):
    monkeypatch.setattr("sys.stdout.isatty", lambda: True, raising=False)
    assert PASSWORD in _tell(Standing(True, PASSWORD), tmp_path, said)
    assert list(tmp_path.iterdir()) == []


def test_open_mode_says_so_and_with_users_there_is_nothing_to_say(tmp_path, said):
    assert _tell(Standing(True), tmp_path, said) == ""
    assert "lockgate users add NAME" in _tell(Standing(False), tmp_path, said)
    assert said[0][0] == "open-mode"


@pytest.mark.parametrize("command", ["server", "prepare"])
@pytest.mark.parametrize(
    "told", [("--host", EVERYWHERE), ("--trusted-proxies", "127.0.0.1"), ("--allowed-hosts", "models.example.org")]
)
def test_what_others_reach_does_not_start_without_users_and_makes_nothing(command, told, tmp_path, capsys):
    home = tmp_path / "home"
    assert outcome.run(cli, [command, "--home", str(home), *told]) == outcome.USAGE
    assert "lockgate users add NAME" in capsys.readouterr().err
    assert not (home / "lockgate.db").exists()
