"""The environments that the other servers run in, built from hash-locked requirements, and the load generator."""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
LOCKS = Path(__file__).resolve().parent / "peers"
HOME = ROOT / "build" / "peers"
INSTALL_LIMIT = 900.0
SAID = 400  # characters of a failure that are kept


class NotInstalled(Exception):
    """An environment could not be built. The text says why."""


def interpreter(peer: str) -> Path:
    """The Python of a peer's environment, built first where it is missing or its lock has changed.

    Raises NotInstalled.
    """
    lock, home = LOCKS / f"{peer}.txt", HOME / peer
    python, stamp = home / "bin" / "python", home / ".lock"
    key = hashlib.sha256(lock.read_bytes() + sys.version.encode() + str(home).encode()).hexdigest()
    if stamp.exists() and stamp.read_text() == key:
        return python
    if home.exists():
        shutil.rmtree(home)
    home.parent.mkdir(parents=True, exist_ok=True)
    _run(sys.executable, "-m", "venv", str(home))
    _run(
        *(
            str(python),
            "-m",
            "pip",
            "install",
            "--require-hashes",
            "--only-binary",
            ":all:",
            "--requirement",
            str(lock),
        ),
        *("-qq", "--disable-pip-version-check", "--no-input", "--no-color"),
    )
    stamp.write_text(key)
    return python


def installed(peer: str, package: str) -> str:
    """The release of a package in a peer's environment."""
    told = "import importlib.metadata, sys; print(importlib.metadata.version(sys.argv[1]))"
    done = subprocess.run(
        [str(HOME / peer / "bin" / "python"), "-c", told, package], capture_output=True, text=True, check=False
    )
    return done.stdout.strip() or "?"


def wrk() -> str | None:
    """The path of `wrk`, which is installed from Debian's packages where we may; None where there is none."""
    found = shutil.which("wrk")
    if found is None and os.geteuid() == 0 and shutil.which("apt-get"):
        for words in (("update", "-qq"), ("install", "-y", "-qq", "wrk")):
            subprocess.run(["apt-get", *words], check=False, capture_output=True, timeout=INSTALL_LIMIT)
        found = shutil.which("wrk")
    return found


def _run(*command: str) -> None:
    environment = {name: value for name, value in os.environ.items() if name not in {"PYTHONPATH", "PYTHONHOME"}}
    environment["PYTHONNOUSERSITE"] = "1"
    try:
        done = subprocess.run(
            command, env=environment, cwd=ROOT, capture_output=True, text=True, timeout=INSTALL_LIMIT, check=False
        )
    except subprocess.TimeoutExpired:
        raise NotInstalled(f"its installation took longer than {INSTALL_LIMIT:.0f} s") from None
    if done.returncode:
        raise NotInstalled(" ".join((done.stderr or done.stdout).split())[-SAID:])
