"""Processes take turns to write to one SQLite file."""

from __future__ import annotations

import fcntl
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

import pytest

from lockgate.adapters.sql.turns import Turns
from lockgate.domain.errors import Unavailable

LIMIT = 30.0
# takes one turn, says so, and keeps it until its standard input ends
OTHER = """
import sys
from pathlib import Path
from lockgate.adapters.sql.turns import Turns
with Turns(Path(sys.argv[1])).turn(30.0):
    print("mine", flush=True)
    sys.stdin.read()
"""


@contextmanager
def other(file: Path) -> Iterator[subprocess.Popen[str]]:
    process = subprocess.Popen(
        [sys.executable, "-c", OTHER, str(file)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    with process:
        try:
            yield process
        finally:
            process.kill()


def said(process: subprocess.Popen[str]) -> str:
    assert process.stdout is not None
    return process.stdout.readline().strip()


def test_a_process_that_waits_writes_before_the_one_that_wrote_does_again(tmp_path):
    file = tmp_path / "turns"
    file.touch()
    turns = Turns(file)
    # closing it would end what this process has of the file
    with file.open("r+b") as looking, other(file) as process:
        with turns.turn(LIMIT):
            until_somebody_waits(looking)
        assert process.stdin is not None
        process.stdin.close()
        with turns.turn(LIMIT):
            assert said(process) == "mine"
        assert process.wait(LIMIT) == 0


def test_a_turn_of_another_process_is_waited_for_no_longer_than_allowed(tmp_path):
    with other(tmp_path / "turns") as process:
        assert said(process) == "mine"
        with pytest.raises(Unavailable, match="others have been writing"), Turns(tmp_path / "turns").turn(0.05):
            pass


def test_the_turn_of_a_process_that_was_killed_is_over(tmp_path):
    with other(tmp_path / "turns") as process:
        assert said(process) == "mine"
        process.kill()
        with Turns(tmp_path / "turns").turn(LIMIT):
            pass


def test_without_a_folder_for_the_file_threads_take_turns_all_the_same(tmp_path):
    turns = Turns(tmp_path / "missing" / "turns")
    for _ in range(2):
        with turns.turn(LIMIT):
            pass
    assert not list(tmp_path.iterdir())


def until_somebody_waits(looking: BinaryIO) -> None:
    give_up = time.monotonic() + LIMIT
    while time.monotonic() < give_up:
        try:
            fcntl.lockf(looking, fcntl.LOCK_EX | fcntl.LOCK_NB, 1, 0)
        except OSError:
            return
        fcntl.lockf(looking, fcntl.LOCK_UN, 1, 0)
        time.sleep(0.001)
    raise AssertionError("nobody waits for a turn")
