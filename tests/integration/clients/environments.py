"""Virtual environments with MLflow's clients of other releases, kept between runs."""

from __future__ import annotations

import fcntl
import hashlib
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

CACHE = Path(__file__).resolve().parents[3] / ".cache" / "clients"
INSTALL_LIMIT = 300


@dataclass(frozen=True)
class Client:
    """A release of MLflow's client and what is installed beside it."""

    release: str
    packages: tuple[str, ...]

    @property
    def python(self) -> Path:
        """The interpreter of its environment, which is made when it is not there yet."""
        told = "\n".join((sys.version, *self.packages))
        folder = CACHE / f"{self.release}-{hashlib.sha256(told.encode()).hexdigest()[:12]}"
        CACHE.mkdir(parents=True, exist_ok=True)
        # two test runs must not build one environment at the same time
        with (CACHE / f"{folder.name}.lock").open("w") as turn:
            fcntl.flock(turn, fcntl.LOCK_EX)
            if not (folder / "complete").exists():
                shutil.rmtree(folder, ignore_errors=True)
                _uv("venv", "--quiet", "--python", sys.executable, str(folder))
                _uv("pip", "install", "--quiet", "--python", str(folder / "bin" / "python"), *self.packages)
                (folder / "complete").touch()
        return folder / "bin" / "python"


def _uv(*told: str) -> None:
    # from the index that uv is configured with on this machine
    done = subprocess.run([_program(), *told], capture_output=True, text=True, timeout=INSTALL_LIMIT, check=False)
    assert done.returncode == 0, f"uv {' '.join(told)}:\n{done.stderr}"


def _program() -> str:
    beside = Path(sys.executable).parent / "uv"
    return str(beside) if beside.exists() else "uv"
