"""The ONNX form of a model, by the product's converter: `python -m benchmarks.serving.converting MODEL FILE`."""

from __future__ import annotations

import hashlib
import subprocess
import sys
from pathlib import Path

from benchmarks.serving.content import FEATURES
from benchmarks.serving.environments import ROOT

LIMIT = 300.0


class NotConverted(Exception):
    """There is no such file; the text says why."""


def converted(model: Path, file: Path) -> tuple[str, str]:
    """The path of the converted model and its digest. Raises NotConverted."""
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-m", "benchmarks.serving.converting", str(model), str(file)],
        cwd=ROOT, capture_output=True, text=True, timeout=LIMIT, check=False,
    )  # fmt: skip
    if done.returncode:
        raise NotConverted(done.stderr.strip().splitlines()[-1] if done.stderr.strip() else "the converter failed")
    return str(file), f"sha256:{hashlib.sha256(file.read_bytes()).hexdigest()}"


def main() -> None:
    """Convert the model in a folder."""
    import mlflow.pyfunc

    from lockgate.worker.engines.converting import convert

    model, file = sys.argv[1:]
    Path(file).write_bytes(convert(mlflow.pyfunc.load_model(model), FEATURES))


if __name__ == "__main__":
    main()
