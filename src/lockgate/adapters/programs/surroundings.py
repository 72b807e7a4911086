"""What a program that holds somebody's model gets to see of this process: almost nothing."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path

import lockgate

_KEPT = ("PATH", "LANG")
_THREADS = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "NUMEXPR_NUM_THREADS")


def scrubbed(environment: Mapping[str, str], home: Path) -> dict[str, str]:
    """The whole environment of such a program: no database address, no key, no token.

    Numeric libraries get one thread each, so that what is measured does not depend on what else runs here, and what
    waits to be forked has one thread.
    """
    kept = {name: value for name, value in environment.items() if name in _KEPT or name.startswith("LC_")}
    return {
        "PATH": os.defpath,
        "LANG": "C.UTF-8",
        **kept,
        "HOME": str(home),
        "TMPDIR": str(home),
        "PYTHONPATH": os.pathsep.join(import_path(environment)),
        # compiled files among the pinned ones would change their digest
        "PYTHONDONTWRITEBYTECODE": "1",
        "PYTHONUNBUFFERED": "1",
        "MLFLOW_DISABLE_TELEMETRY": "true",
        "DO_NOT_TRACK": "true",
        **dict.fromkeys(_THREADS, "1"),
        # Arrow's allocator would start a thread, and what has two threads must not fork
        "JE_ARROW_MALLOC_CONF": "background_thread:false",
    }


def import_path(environment: Mapping[str, str]) -> list[str]:
    """Where such a program looks for modules first: our own source, which need not be installed, and what was told."""
    ours = str(Path(lockgate.__file__).resolve().parents[1])
    # a relative entry means the folder this process was started in, and a program starts in its own
    told = [os.path.abspath(entry) for entry in environment.get("PYTHONPATH", "").split(os.pathsep) if entry]
    return list(dict.fromkeys([ours, *told]))
