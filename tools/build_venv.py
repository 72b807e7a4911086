"""Builds `.venv` from the hashed locks, or finds that it is up to date and does nothing.

Only the standard library: this runs before anything is installed.
"""

from __future__ import annotations

import fcntl
import hashlib
import os
import shutil
import subprocess
import sys
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
VENV = ROOT / ".venv"
LOCK = ROOT / "requirements" / "dev.txt"
OLDEST, TOO_NEW = (3, 11), (3, 14)


def main() -> int:
    """Leave a working `.venv` behind and return 0, or say what went wrong and return 1."""
    if not OLDEST <= sys.version_info[:2] < TOO_NEW:
        return _complain(
            f"Lockgate needs Python 3.11, 3.12 or 3.13, and {sys.executable} is {sys.version.split()[0]}.",
            "Name another one:  make venv PYTHON=python3.11",
        )
    # two makes at the same moment (a person's and an editor's) must not install over each other
    with (ROOT / ".venv.lock").open("w") as turn:
        fcntl.flock(turn, fcntl.LOCK_EX)
        try:
            _build()
        except subprocess.CalledProcessError as failure:
            return _complain(
                f"`{' '.join(str(word) for word in failure.cmd)}` failed with exit code {failure.returncode}; "
                "what it said stands above.",
                "Mend that and run `make venv` again: it starts over where it must.",
            )
    return 0


def _build() -> None:
    libraries, project = _libraries_key(), _project_key()
    if _read_stamp("libraries") != libraries:
        started = time.monotonic()
        print("Building .venv from requirements/dev.txt (a minute or two) …", flush=True)
        # from nothing, so that no library stays behind that the lock no longer names
        if VENV.exists():
            shutil.rmtree(VENV)
        _run(sys.executable, "-m", "venv", str(VENV))
        _pip("install", "--require-hashes", "--only-binary", ":all:", "--requirement", str(LOCK))
        _write_stamp("libraries", libraries)
        print(f"Built .venv in {time.monotonic() - started:.0f} s.", flush=True)
    if _read_stamp("project") != project:
        _pip("install", "--no-deps", "--no-index", "--no-build-isolation", "--editable", str(ROOT))
        _write_stamp("project", project)


def _libraries_key() -> str:
    # the folder is part of the key: scripts in a virtual environment hold its absolute path
    return _digest(LOCK.read_bytes(), sys.version.encode(), sys.base_prefix.encode(), str(VENV).encode())


def _project_key() -> str:
    return _digest((ROOT / "pyproject.toml").read_bytes(), (ROOT / "src/lockgate/__init__.py").read_bytes())


def _digest(*parts: bytes) -> str:
    whole = hashlib.sha256()
    for part in parts:
        whole.update(hashlib.sha256(part).digest())
    return whole.hexdigest()


def _read_stamp(name: str) -> str | None:
    stamp = VENV / f".{name}"
    return stamp.read_text() if stamp.exists() else None


def _write_stamp(name: str, key: str) -> None:
    (VENV / f".{name}").write_text(key)


def _pip(*arguments: str) -> None:
    # errors only: a warning about an index of somebody's configuration is no news for Lockgate
    quiet = ("-qq", "--disable-pip-version-check", "--no-input", "--no-color")
    _run(str(VENV / "bin" / "python"), "-m", "pip", *arguments, *quiet)


def _run(*command: str) -> None:
    # a PYTHONPATH or a user's site would let pip think that something is installed here already
    environment = {name: value for name, value in os.environ.items() if name not in {"PYTHONPATH", "PYTHONHOME"}}
    subprocess.run(command, check=True, cwd=ROOT, env=environment | {"PYTHONNOUSERSITE": "1"})


def _complain(what: str, next_step: str) -> int:
    print(f"{what}\n{next_step}", file=sys.stderr)
    return 1


if __name__ == "__main__":
    sys.exit(main())
