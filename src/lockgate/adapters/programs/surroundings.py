"""What a program that holds somebody's model gets to see of this process: almost nothing."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path

import lockgate

_KEPT = ("PATH", "LANG")
_THREADS = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "NUMEXPR_NUM_THREADS")


def scrubbed(environment: Mapping[str, str], home: Path, source: Path | None = None) -> dict[str, str]:
    """The whole environment of such a program: no database address, no key, no token.

    `source` is where an interpreter that is not ours finds our package; what we import from is not for it.

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
        "PYTHONPATH": os.pathsep.join(import_path(environment)) if source is None else str(source),
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
    """Where such a program looks for modules first: our own source, if it is not installed, and what was told."""
    ours = Path(lockgate.__file__).resolve().parents[1]
    # a relative entry means the folder this process was started in, and a program starts in its own
    told = [os.path.abspath(entry) for entry in environment.get("PYTHONPATH", "").split(os.pathsep) if entry]
    # among installed packages one may have the name of a module of Python's own, which would then come second
    installed = ours.name in ("site-packages", "dist-packages")
    return list(dict.fromkeys(told if installed else [str(ours), *told]))
