"""What a process that runs somebody's model gets to see of this one: almost nothing."""

from __future__ import annotations

import os
from pathlib import Path

import lockgate


def scrubbed(scratch: Path) -> dict[str, str]:
    """The whole environment of such a process: no database address, no key, no token; its home is `scratch`.

    Numeric libraries get one thread each, so that what is measured does not depend on what else runs here.
    """
    environment = {
        "PATH": os.environ.get("PATH", os.defpath),
        "LANG": "C.UTF-8",
        "HOME": str(scratch),
        "TMPDIR": str(scratch),
        # a source tree that is not installed must still be found by the child
        "PYTHONPATH": str(Path(lockgate.__file__).parents[1]),
        # compiled files among the pinned ones would change their digest
        "PYTHONDONTWRITEBYTECODE": "1",
        "PYTHONUNBUFFERED": "1",
        "MLFLOW_DISABLE_TELEMETRY": "true",
        "DO_NOT_TRACK": "true",
    }
    threads = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "NUMEXPR_NUM_THREADS")
    return environment | dict.fromkeys(threads, "1")
