"""Starting a worker: a fresh program with nothing of ours but what it needs."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

from lockgate.wire.workers import WorkerConfig

_KEPT = ("PATH", "LANG", "PYTHONPATH")
_ONE_THREAD = {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"}


def scrubbed(environment: Mapping[str, str], scratch: Path) -> dict[str, str]:
    """What a model's program may see of `environment`: no database address, no key, no token."""
    kept = {name: value for name, value in environment.items() if name in _KEPT or name.startswith("LC_")}
    if "PYTHONPATH" in kept:
        # a relative entry means the folder the agent was started in, and a worker starts in its own
        kept["PYTHONPATH"] = os.pathsep.join(map(os.path.abspath, kept["PYTHONPATH"].split(os.pathsep)))
    return {**kept, **_ONE_THREAD, "HOME": str(scratch), "TMPDIR": str(scratch)}


def start(config: WorkerConfig, log: Path) -> subprocess.Popen[bytes]:
    """Start the program. It does nothing until it is told its configuration by `tell`."""
    scratch = Path(config.folder) / "scratch"
    with log.open("ab") as output:
        return subprocess.Popen(
            # -P: the folder it starts in must not be importable
            [sys.executable, "-P", "-u", "-m", "lockgate.worker"],
            stdin=subprocess.PIPE,
            stdout=output,
            stderr=output,
            cwd=scratch,
            env=scrubbed(os.environ, scratch),
            pass_fds=(config.listener_fd,),
            start_new_session=True,
        )


def tell(child: subprocess.Popen[bytes], config: WorkerConfig) -> None:
    """Give a started worker its configuration. One that died meanwhile is found dead by the next look."""
    assert child.stdin is not None
    try:
        with child.stdin:
            child.stdin.write(config.encode())
    except OSError:
        return
