"""Programs forked by a fork server that imports nothing, which is a real process in everything else."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

from lockgate.adapters.programs import forking
from lockgate.adapters.programs.cold import ColdChild
from lockgate.adapters.programs.forking import ForkedChild, ForkedPrograms
from lockgate.usecases.program_ports import Child, ProgramOrder
from lockgate.wire.programs import LONGEST_PACKET, ForkAnswer, ForkOrder
from lockgate.wire.sockets import address

LIMIT = 60.0
ROOT = Path(__file__).parents[3]


def until(holds: Callable[[], Any], what: str) -> None:
    end = time.monotonic() + LIMIT
    while not holds():
        assert time.monotonic() < end, f"{what} did not happen"
        time.sleep(0.01)


class Starter:
    """Starts workers that wait to be told what to do, and ends whatever was started."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.forks = folder / "forks"
        self.log = folder / "log"
        self.home = folder / "home"
        self.home.mkdir()
        self.put_away = ExitStack()

    def programs(self, **more: Any) -> ForkedPrograms:
        """One more user of the fork server."""
        programs = ForkedPrograms(self.forks, **more)
        self.put_away.callback(programs.close)
        return programs

    def order(self, module: str = "lockgate.worker", inherit: tuple[int, ...] = ()) -> tuple[ProgramOrder, int]:
        """An order, and our end of the program's standard input."""
        theirs, ours = os.pipe()
        log = os.open(self.log, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
        self.put_away.callback(os.close, theirs)
        self.put_away.callback(os.close, log)
        return ProgramOrder(module, self.home, theirs, log, inherit=inherit), ours

    def start(self, programs: ForkedPrograms, inherit: tuple[int, ...] = ()) -> tuple[Child, int]:
        """A worker that waits for its configuration on the descriptor."""
        order, ours = self.order(inherit=inherit)
        child = programs.start(order)
        self.put_away.callback(child.let_go)
        self.put_away.callback(_kill, child)
        return child, ours


def _kill(child: Child) -> None:
    if is_there(child.pid):
        os.kill(child.pid, signal.SIGKILL)


@pytest.fixture
def starter(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Starter]:
    monkeypatch.setattr(forking, "_MODULE", "tests.integration.programs.bare_server")
    monkeypatch.setenv("PYTHONPATH", str(ROOT))
    starter = Starter(tmp_path)
    with starter.put_away:
        yield starter


def is_there(pid: int) -> bool:
    try:
        return "State:\tZ" not in Path(f"/proc/{pid}/status").read_text()
    except OSError:
        return False


def test_a_program_is_forked_with_its_own_session_folder_and_descriptors_and_no_others(starter: Starter) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        number = listener.fileno()
        child, told = starter.start(starter.programs(), inherit=(number,))

    assert isinstance(child, ForkedChild)
    proc = Path(f"/proc/{child.pid}")
    assert os.getsid(child.pid) == child.pid
    assert (proc / "cwd").readlink() == starter.home
    # until it has imported what it needs, it has a file open now and then
    until(lambda: {int(fd.name) for fd in (proc / "fd").iterdir()} == {0, 1, 2, number}, "holding those alone")
    os.close(told)


def test_the_code_a_program_ends_with_is_told_and_so_is_the_signal(starter: Starter) -> None:
    programs = starter.programs()
    said, told = starter.start(programs)
    killed, kept = starter.start(programs)
    assert (said.code, said.ended) == (None, False)

    os.write(told, b"no configuration")
    os.close(told)
    os.kill(killed.pid, signal.SIGKILL)

    assert said.wait(LIMIT)
    assert killed.wait(LIMIT)
    assert (said.code, killed.code) == (2, -signal.SIGKILL)
    assert "This program is started by `lockgate agent`" in starter.log.read_text()
    os.close(kept)


def test_the_number_of_a_program_stays_its_own_until_it_is_let_go(starter: Starter) -> None:
    child, told = starter.start(starter.programs())
    os.close(told)
    assert child.wait(LIMIT)

    assert Path(f"/proc/{child.pid}").exists()
    child.let_go()

    until(lambda: not Path(f"/proc/{child.pid}").exists(), "burying it")


def test_two_processes_share_one_fork_server_and_it_ends_with_the_last_of_them(starter: Starter) -> None:
    one, other = starter.programs(), starter.programs()
    until(one.ready, "the fork server")
    until(other.ready, "the fork server")
    server = one.server
    assert server is not None
    assert other.server == server

    one.close()
    assert other.ready()
    other.close()

    until(lambda: not is_there(server), "its end")


def test_programs_outlive_whoever_ordered_them_and_the_fork_server(starter: Starter) -> None:
    programs = starter.programs()
    child, told = starter.start(programs)
    server = programs.server
    assert server is not None

    child.let_go()
    programs.close()

    until(lambda: not is_there(server), "the end of the fork server")
    assert is_there(child.pid)
    os.close(told)
    until(lambda: not is_there(child.pid), "the end of the program")


def test_a_killed_fork_server_leaves_its_programs_and_another_one_is_started(starter: Starter) -> None:
    programs = starter.programs()
    child, told = starter.start(programs)
    server = programs.server
    assert server is not None

    os.kill(server, signal.SIGKILL)
    until(lambda: not is_there(server), "its end")
    again, also_told = starter.start(programs)

    assert isinstance(again, ForkedChild)
    assert programs.server not in (None, server)
    assert not child.ended
    os.close(told)
    assert child.wait(LIMIT)
    assert child.code is None
    os.close(also_told)


def test_a_fork_server_that_has_nothing_to_do_ends_and_is_started_again_when_it_is_needed(starter: Starter) -> None:
    programs = starter.programs(idle_seconds=0.1)
    child, told = starter.start(programs)
    server = programs.server
    assert server is not None
    os.close(told)
    assert child.wait(LIMIT)
    child.let_go()

    until(lambda: not is_there(server), "its end")
    again, also_told = starter.start(programs)

    assert isinstance(again, ForkedChild)
    os.close(also_told)


def test_what_has_two_threads_does_not_fork_and_the_program_starts_cold(starter: Starter) -> None:
    (starter.forks / "home").mkdir(parents=True)
    (starter.forks / "home" / "THREADED").touch()

    child, told = starter.start(starter.programs())

    assert isinstance(child, ColdChild)
    os.close(told)
    assert child.wait(LIMIT)
    assert child.code == 2


def test_a_fork_server_that_cannot_begin_is_done_without(starter: Starter, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(forking, "_MODULE", "no.such.module")

    child, told = starter.start(starter.programs())

    assert isinstance(child, ColdChild)
    os.close(told)
    assert child.wait(LIMIT)


def test_where_a_program_cannot_settle_the_reason_comes_back(starter: Starter) -> None:
    order, told = starter.order()
    starter.home.rmdir()

    with pytest.raises(FileNotFoundError):
        starter.programs().start(order)
    os.close(told)


def test_nothing_but_programs_of_the_workers_room_is_forked(starter: Starter) -> None:
    programs = starter.programs()
    until(programs.ready, "the fork server")
    (path,) = starter.forks.glob("*.sock")

    for module, inherit in (
        ("os", ()),
        ("lockgate.cli.main", ()),
        ("lockgate.worker", (0,)),
        ("lockgate.worker", (9,)),
    ):
        with socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) as line, address(path.parent, path.name) as place:
            line.settimeout(LIMIT)
            line.connect(place)
            assert ForkAnswer.decode(line.recv(LONGEST_PACKET)).greeting == programs.server
            asked = ForkOrder(module, (), str(starter.home), {}, inherit)
            with (starter.folder / "log").open("wb") as log:
                socket.send_fds(line, [asked.encode()], [log.fileno(), log.fileno()])
                assert ForkAnswer.decode(line.recv(LONGEST_PACKET)).refused

    assert programs.ready()


@pytest.mark.parametrize("raw", [b"{", b"[]", b"{}", b'{"module": 1}', b"\xff" * 100, b'{"module": "lockgate.worker"}'])
def test_a_broken_order_is_refused_and_the_fork_server_goes_on(starter: Starter, raw: bytes) -> None:
    programs = starter.programs()
    until(programs.ready, "the fork server")
    (path,) = starter.forks.glob("*.sock")

    with socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) as line, address(path.parent, path.name) as place:
        line.settimeout(LIMIT)
        line.connect(place)
        line.recv(LONGEST_PACKET)
        line.send(raw)
        assert ForkAnswer.decode(line.recv(LONGEST_PACKET)).refused

    assert programs.ready()


def test_the_fork_server_sees_no_secret_and_holds_only_its_own_socket(
    starter: Starter, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LOCKGATE_DATABASE", "postgresql://user:secret@host/db")
    programs = starter.programs()
    _, told = starter.start(programs)
    proc = Path(f"/proc/{programs.server}")

    assert b"secret" not in (proc / "environ").read_bytes()
    assert len(list((proc / "task").iterdir())) == 1
    held = [os.readlink(fd) for fd in (proc / "fd").iterdir()]
    # itself, the line of whoever may need it, and that of the program
    assert sum(name.startswith("socket:") for name in held) == 3
    assert not any(name.startswith("pipe:") for name in held)
    os.close(told)


def test_forks_draw_different_numbers_and_know_their_own_environment(tmp_path: Path) -> None:
    program = """
import json, os, random, sys, tempfile
from lockgate.wire.programs import ForkOrder
from lockgate.worker.forked import settle
tempfile.gettempdir(); random.seed(1)
order = ForkOrder("lockgate.worker", (), sys.argv[1], {"TMPDIR": sys.argv[1], "MINE": "yes"}, ())
for _ in range(2):
    theirs, ours = os.pipe()
    log = os.open("/dev/null", os.O_RDWR)
    settled, settling = os.pipe()
    if os.fork() == 0:
        settle(order, [log, ours], settling)
        told = [random.random(), dict(os.environ), tempfile.gettempdir(), os.getcwd()]
        os.write(1, json.dumps(told).encode())
        os._exit(0)
    os.close(settling)
    os.read(settled, 1)
    os.wait()
    print(os.read(theirs, 65536).decode())
"""
    run = subprocess.run(
        [sys.executable, "-c", program, str(tmp_path)], capture_output=True, text=True, timeout=LIMIT, check=True,
        env={"PYTHONPATH": str(ROOT / "src"), "SECRET": "secret"},
    )  # fmt: skip
    first, second = map(json.loads, run.stdout.splitlines())

    assert first[0] != second[0]
    assert first[1:] == second[1:] == [{"TMPDIR": str(tmp_path), "MINE": "yes"}, str(tmp_path), str(tmp_path)]
