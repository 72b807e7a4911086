"""The report of an export: what it tells, and what it says of a file that was changed."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from lockgate.adapters.keys import ed25519
from lockgate.cli import outcome
from lockgate.cli.main import cli
from lockgate.domain.identity import Who
from lockgate.usecases import denials
from lockgate.usecases import export as exporting
from tests.databases.backends import on_sqlite
from tests.integration.usecases.test_sample import POLICY, a_busy_day, signed
from tests.integration.usecases.world import World

pytestmark = on_sqlite
NAME = "mallory <img src=x onerror=alert(1)>"


@pytest.fixture
def export(world: Callable[[str], World], tmp_path: Path) -> Path:
    """An export of a busy day, with a name in it that would like to be more than a name."""
    here = world(POLICY)
    a_busy_day(here)
    denials.denied(here.ports, Who(NAME, address="192.0.2.66"), "PUT /secret", "you may not")
    signed(here, tmp_path)
    path = tmp_path / "record.jsonl"
    with path.open("wb") as file:
        file.writelines(exporting.lines(here.store, ed25519.check, here.clock.now()))
    return path


def reported(export: Path, *more: str) -> tuple[int, str]:
    path = export.with_name("report.html")
    code = outcome.run(cli, ["audit", "report", str(export), "--output", str(path), "--force", *more])
    return code, path.read_text() if path.exists() else ""


def test_it_tells_what_happened_who_did_it_and_that_the_file_holds(
    export: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    code, page = reported(export)
    assert code == 0
    assert "This file holds" in page
    assert "The file itself named this key" in page
    for told in ("Moves between stages", "Refused", "Approvals", "Rolled back", "What served", "Who acted",
                 "fraud@2", "ben (unverified)", "192.0.2.66", "PUT /secret"):  # fmt: skip
        assert told in page, told
    assert "<img" not in page
    assert "<script" not in page
    assert "://" not in page
    assert "report.html" in capsys.readouterr().out


def test_of_a_file_that_was_changed_it_says_so_first(export: Path) -> None:
    text = export.read_text()
    export.write_text(text.replace("it is bad", "it is good", 1))
    code, page = reported(export)
    assert code == 1
    assert page.index("THIS FILE DOES NOT HOLD") < page.index("In numbers")


def test_of_lines_that_cannot_be_read_it_says_how_many(export: Path) -> None:
    lines = export.read_text().splitlines()
    broken = ["{", "[]", json.dumps({"text": "nonsense", "chain": "x", "number": 1}), "[" * 100_000]
    export.write_text("\n".join([lines[0], *broken, *lines[1:]]) + "\n")
    code, page = reported(export)
    assert code == 1
    assert "4 lines could not be read" in page


def test_a_time_without_anything_gives_an_empty_report_of_a_good_file(export: Path) -> None:
    code, page = reported(export, "--since", "2030-01-01")
    assert code == 0
    assert "from 2030-01-01 00:00:00 to the end" in page
    assert "fraud@2" not in page


def test_what_is_no_export_or_no_time_is_told_so_and_writes_nothing(
    export: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for wrong in (["--since", "yesterday"], ["--since", "2026-03-02", "--until", "2026-03-01"]):
        assert reported(export, *wrong) == (2, "")
    empty = export.with_name("empty")
    empty.touch()
    assert reported(empty) == (2, "")
    assert reported(export.with_name("nothing")) == (2, "")
    assert "cannot be read" in capsys.readouterr().err
