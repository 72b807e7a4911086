"""What a forked program does before it is itself: its own session, descriptors, folder, environment and randomness."""

from __future__ import annotations

import fcntl
import importlib
import importlib.util
import os
import random
import sys
import tempfile
import traceback
from collections.abc import Sequence
from typing import NoReturn

from lockgate.wire.programs import ForkOrder


def settle(order: ForkOrder, fds: Sequence[int], settling: int) -> None:
    """Make this process what a fresh one would be. `settling` is closed when that is done, or told what went wrong."""
    try:
        os.setsid()
        settling = _only(order, fds, settling)
        os.chdir(order.folder)
        os.environ.clear()
        os.environ.update(order.environment)
        tempfile.tempdir = None  # it was found in the environment of the fork server
        _draw_anew()
    except OSError as error:
        os.write(settling, f"{error.errno or 0} {error.strerror or error}".encode())
        os._exit(1)
    os.close(settling)


def become(order: ForkOrder) -> NoReturn:
    """Run the program to its end."""
    code: object = 1
    try:
        program = importlib.import_module(_main_of(order.module))
        sys.argv = [program.__file__ or order.module, *order.arguments]  # as `python -m` would have it
        code = program.main()
    except SystemExit as leaving:
        code = leaving.code
        if isinstance(code, str):
            sys.stderr.write(f"{code}\n")
    except BaseException:  # noqa: BLE001 - it is somebody's program: its log gets whatever ended it
        traceback.print_exc()
    sys.stdout.flush()
    sys.stderr.flush()
    # what the fork server left for its own end is none of this program's business
    os._exit(0 if code is None else code & 0xFF if isinstance(code, int) else 1)


def _main_of(module: str) -> str:
    found = importlib.util.find_spec(module)
    is_package = found is not None and found.submodule_search_locations is not None
    return f"{module}.__main__" if is_package else module


def _only(order: ForkOrder, fds: Sequence[int], settling: int) -> int:
    """Hold these descriptors under the numbers they are wanted under, and no others; the new number of `settling`."""
    wanted = [0, 1, *order.inherit]
    above = max(wanted) + 2
    # out of the way first: a number that one is wanted under may be another one's now
    moved = [fcntl.fcntl(fd, fcntl.F_DUPFD_CLOEXEC, above) for fd in (*fds, settling)]
    kept = set(moved)
    for fd in map(int, os.listdir("/proc/self/fd")):
        if fd not in kept:
            _close_if_open(fd)
    for fd, number in zip(moved[:-1], wanted, strict=True):
        os.dup2(fd, number)
        os.close(fd)
    os.dup2(1, 2)
    return moved[-1]


def _close_if_open(fd: int) -> None:
    try:
        os.close(fd)
    except OSError:  # the one that the list itself was read by
        return


def _draw_anew() -> None:
    """No two programs may draw the same random numbers."""
    random.seed()
    numpy = sys.modules.get("numpy")
    if numpy is not None:
        numpy.random.seed()
