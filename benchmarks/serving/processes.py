"""Process trees: what they used, and holding those still that are not being measured."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from benchmarks.registry import sides
from benchmarks.registry.sides import pss, tree, used

__all__ = ["cores", "end", "hold", "let_go", "memory", "on", "processor_seconds", "start", "tree"]


def cores() -> tuple[set[int], set[int]]:
    """The cores of a server and of the load: one each where there are two."""
    ours = sorted(os.sched_getaffinity(0))
    return ({ours[0]}, {ours[1]}) if len(ours) > 1 else (set(ours), set(ours))


@contextlib.contextmanager
def on(some: set[int]) -> Iterator[None]:
    """What is started in this block runs on these cores, and so does what that starts."""
    before = os.sched_getaffinity(0)
    os.sched_setaffinity(0, some)
    try:
        yield
    finally:
        os.sched_setaffinity(0, before)


def start(
    command: Sequence[str], folder: Path, log: Path, told: Mapping[str, str], **more: object
) -> subprocess.Popen[bytes]:
    """Start a server in a session of its own, without the environment variables that would tell it of ours."""
    kept = {
        key: value
        for key, value in os.environ.items()
        if not key.startswith(("MLFLOW_", "LOCKGATE_", "RAY_", "BENTOML_", "MLSERVER_", "PYTHON"))
    }
    with log.open("ab") as out:
        return subprocess.Popen(  # type: ignore[call-overload, no-any-return]
            list(command),
            cwd=folder,
            env={**kept, "DO_NOT_TRACK": "true", **told},
            stdin=more.pop("stdin", subprocess.DEVNULL),
            stdout=out,
            stderr=out,
            start_new_session=True,
            **more,
        )


def processor_seconds(root: int) -> float:
    """What a process and all below it have had until now."""
    return sum(map(used, tree(root)))


def memory(root: int) -> tuple[int, int]:
    """The proportional set size of a process tree in MiB, and of how many processes it is the sum."""
    pids = tree(root)
    return round(sum(map(pss, pids)) / 1024), len(pids)


def hold(root: int) -> None:
    """Nothing of the tree runs until `let_go`: a server at rest must not take time from the one that is measured."""
    _tell(root, signal.SIGSTOP)


def let_go(root: int) -> None:
    """Take `hold` back."""
    _tell(root, signal.SIGCONT)


def end(process: subprocess.Popen[bytes]) -> None:
    """Stop a server and every process of its tree, by their own ids."""
    let_go(process.pid)
    sides.end(process)


def _tell(root: int, number: int) -> None:
    for pid in tree(root):
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, number)
