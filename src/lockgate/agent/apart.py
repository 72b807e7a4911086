"""Whether two versions of a model can live in one process."""

from __future__ import annotations

from functools import lru_cache
from pathlib import Path

_CODE = "code"  # where MLflow puts the modules that come with a model; two versions' modules have the same names
_SAME = ("requirements.txt", "python_env.yaml", "conda.yaml")
_LONGEST = 1024 * 1024


@lru_cache(maxsize=256)
def must_be_apart(one: Path, other: Path) -> bool:
    """Whether the versions in two folders need processes of their own.

    They do when they ask for other packages, or when one brings modules along: a process has one module of a name. A
    folder holds the files of one digest, so what was found once stays true.
    """
    if (one / _CODE).exists() or (other / _CODE).exists():
        return True
    return any(_read(one / name) != _read(other / name) for name in _SAME)


def _read(path: Path) -> bytes | None:
    try:
        with path.open("rb") as file:
            return file.read(_LONGEST)
    except OSError:
        return None
