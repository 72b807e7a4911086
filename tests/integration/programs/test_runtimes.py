"""Other interpreters: a virtual environment made here, with the libraries of this one or without any."""

from __future__ import annotations

import os
import stat
import subprocess
import sys
import sysconfig
from pathlib import Path

import pytest

from lockgate.adapters.programs.cold import ColdPrograms
from lockgate.domain.errors import Unavailable
from lockgate.usecases.program_ports import ProgramOrder
from tests.integration.serving.machine import until

LIMIT = 60.0


@pytest.fixture
def python(tmp_path: Path) -> Path:
    """The interpreter of an environment without any library."""
    folder = tmp_path / "venv"
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", str(folder)], check=True, timeout=LIMIT)
    return folder / "bin" / "python"


def with_libraries(python: Path) -> None:
    """Let it see what is installed for the interpreter of the tests."""
    (found,) = python.parents[1].glob("lib/python*/site-packages")
    (found / "tests.pth").write_text(sysconfig.get_path("purelib"))


def order(tmp_path: Path, python: str) -> tuple[ProgramOrder, int]:
    theirs, ours = os.pipe()
    log = os.open(tmp_path / "log", os.O_WRONLY | os.O_CREAT)
    return ProgramOrder("lockgate.worker", tmp_path, theirs, log, python=python), ours


def close(*asked: tuple[ProgramOrder, int]) -> None:
    for given, ours in asked:
        for fd in (given.input, given.output, ours):
            os.close(fd)


def test_a_runtime_that_lacks_the_libraries_is_named_with_what_it_lacks(python: Path, tmp_path: Path) -> None:
    asked = order(tmp_path, str(python))

    with pytest.raises(Unavailable, match=r"has no mlflow, uvloop, .*\.") as refused:
        ColdPrograms(tmp_path / "source").start(asked[0])

    assert f"{python} -m pip install" in refused.value.hint
    close(asked)


def test_a_runtime_runs_our_program_by_its_own_libraries_and_not_by_ours(python: Path, tmp_path: Path) -> None:
    with_libraries(python)
    asked = order(tmp_path, str(python))
    child = ColdPrograms(tmp_path / "source").start(asked[0])
    proc = Path(f"/proc/{child.pid}")

    # the kernel tells of the start before it tells the new command line
    command = until(lambda: proc.joinpath("cmdline").read_bytes(), "the command line")
    assert command.split(b"\0")[0] == str(python).encode()
    told = dict(line.partition(b"=")[::2] for line in proc.joinpath("environ").read_bytes().split(b"\0"))
    assert told[b"PYTHONPATH"] == str(tmp_path / "source").encode()
    assert os.listdir(tmp_path / "source") == ["lockgate"]
    close(asked)
    assert child.wait(LIMIT)
    assert child.code == 2
    assert "This program is started by `lockgate agent`" in (tmp_path / "log").read_text()
    child.let_go()


def test_what_is_no_interpreter_is_refused_with_the_reason(tmp_path: Path) -> None:
    script = tmp_path / "script"
    script.write_text("#!/bin/sh\necho hello\n")
    plain = tmp_path / "plain"
    plain.write_text("no program")
    for path, because in (
        (str(script), "it does not answer as a Python interpreter does"),
        (str(plain), "Permission denied"),
        (str(tmp_path / "nothing"), "No such file or directory"),
        ("python3", "it is no absolute path"),
    ):
        script.chmod(stat.S_IRWXU)
        asked = order(tmp_path, path)
        with pytest.raises(Unavailable, match=f"The runtime {path} cannot run a worker: {because}"):
            ColdPrograms(tmp_path / "source").start(asked[0])
        close(asked)
