"""Another Python interpreter, which has a model's libraries: whether it can run our programs, and by what path."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import lockgate
from lockgate.domain.errors import Unavailable

OLDEST = (3, 11)
# what the programs of the worker's room import; MLflow brings numpy and pandas
NEEDED = ("mlflow", "uvloop", "httptools", "orjson", "msgspec", "prometheus_client")
_ANSWERS_WITHIN_SECONDS = 30.0
_LOOK = """
import importlib.util, json, sys
missing = [name for name in sys.argv[1:] if importlib.util.find_spec(name) is None]
print(json.dumps([list(sys.version_info[:2]), missing]))
"""


class Interpreters:
    """Remembers which interpreters were found able. `folder` gets a link to our source and nothing else."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._able: dict[str, tuple[int, int]] = {}

    def require(self, python: str) -> None:
        """Raise Unavailable, saying what is missing, for an interpreter that cannot run our programs."""
        if not os.path.isabs(python):
            raise _unusable(python, "it is no absolute path")
        try:
            seen = os.stat(python)
        except OSError as error:
            raise _unusable(python, f"{error.strerror or error}") from None
        if self._able.get(python) == (seen.st_ino, seen.st_mtime_ns):
            return
        version, missing = _look(python)
        if version < OLDEST:
            raise _unusable(python, f"it is Python {'.'.join(map(str, version))}, and ours needs 3.11 or later")
        if missing:
            raise _unusable(
                python,
                f"it has no {', '.join(missing)}",
                hint=f"Run `{python} -m pip install lockgate=={lockgate.__version__}`, or install what is missing.",
            )
        self._able[python] = (seen.st_ino, seen.st_mtime_ns)

    def source(self) -> Path:
        """A folder on whose import path there is our package alone: beside it lie our libraries, built for ours."""
        self._folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        package, link = Path(lockgate.__file__).resolve().parent, self._folder / "lockgate"
        if not link.is_symlink() or link.readlink() != package:
            fresh = self._folder / f"fresh-{os.getpid()}"
            fresh.unlink(missing_ok=True)
            fresh.symlink_to(package)
            fresh.replace(link)
        return self._folder


def _look(python: str) -> tuple[tuple[int, ...], list[str]]:
    try:
        told = subprocess.run(
            # -I: alone, without what our environment would tell it
            [python, "-I", "-c", _LOOK, *NEEDED],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            timeout=_ANSWERS_WITHIN_SECONDS,
            cwd="/",
            env={"PATH": os.environ.get("PATH", os.defpath)},
            check=False,
        )
    except subprocess.TimeoutExpired:
        raise _unusable(python, f"it does not answer within {_ANSWERS_WITHIN_SECONDS:g} s") from None
    except OSError as error:
        raise _unusable(python, f"{error.strerror or error}") from None
    try:
        version, missing = json.loads(told.stdout)
        return tuple(map(int, version)), [str(name) for name in missing]
    except (ValueError, TypeError):
        raise _unusable(python, "it does not answer as a Python interpreter does") from None


def _unusable(python: str, because: str, hint: str = "") -> Unavailable:
    return Unavailable(
        f"The runtime {python} cannot run a worker: {because}.",
        hint=hint or f"Name another interpreter as `runtime` in the policy; Lockgate itself runs on {sys.executable}.",
    )
