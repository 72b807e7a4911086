"""Why a model did not load, or did not answer, in one line for a person."""

from __future__ import annotations

import re
from pathlib import Path

LONGEST_REASON = 400
_PACKAGES = {
    "sklearn": "scikit-learn",
    "cv2": "opencv-python",
    "PIL": "pillow",
    "yaml": "pyyaml",
    "bs4": "beautifulsoup4",
}


class NotLoaded(Exception):
    """The model cannot be served; the text is for a person."""


def why_it_did_not_load(error: BaseException, folder: Path) -> str:
    """One line for a person: what was raised and, for a missing library, the command that installs it."""
    missing = _missing_module(error)
    if missing is None:
        return one_line(error)
    return f"{one_line(error)}. Install it where Lockgate runs: pip install '{_requirement(missing, folder)}'"


def one_line(error: BaseException) -> str:
    """The error's type and first line, at most 400 characters."""
    text = " ".join(str(error).split())
    told = f"{type(error).__name__}: {text}" if text else type(error).__name__
    return told if len(told) <= LONGEST_REASON else told[: LONGEST_REASON - 1] + "…"


def _missing_module(error: BaseException) -> str | None:
    seen: BaseException | None = error
    while seen is not None:
        if isinstance(seen, ModuleNotFoundError) and seen.name:
            return seen.name.partition(".")[0]
        seen = seen.__cause__ or seen.__context__
    return None


def _requirement(module: str, folder: Path) -> str:
    """The model's own requirement for a module, else the package that usually brings it."""
    package = _PACKAGES.get(module, module)
    try:
        lines = (folder / "requirements.txt").read_text().splitlines()
    except OSError:
        return package
    plain = re.sub(r"[-_.]+", "-", package).lower()
    for line in lines:
        name = re.match(r"[A-Za-z0-9._-]+", line.strip())
        if name and re.sub(r"[-_.]+", "-", name[0]).lower() == plain:
            return line.strip()
    return package
