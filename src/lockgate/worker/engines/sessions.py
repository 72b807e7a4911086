"""ONNX models in sessions of ONNX Runtime, on one thread."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from math import isfinite
from pathlib import Path
from typing import Any

from lockgate.worker.engines.engine import Undecided
from lockgate.worker.engines.proof import Candidate

Step = Callable[[Any], Any]
_TYPES = {"tensor(float)": "float32", "tensor(double)": "float64"}


def session(file: Path) -> Any:
    """A session for one ONNX file that uses one thread and the processor. Raises whatever ONNX Runtime raises."""
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    options.log_severity_level = 3
    return onnxruntime.InferenceSession(str(file), options, providers=["CPUExecutionProvider"])


def asked(held: Any, output: str, *, careful: bool = False) -> Step | None:
    """One output of a session for a matrix, or None where the session takes anything but one matrix.

    With `careful` it raises Undecided for a number that is none, infinite or too large for float32.
    """
    import numpy as np

    if len(held.get_inputs()) != 1 or held.get_inputs()[0].type not in _TYPES:
        return None
    entry, kind, run, wanted = held.get_inputs()[0].name, _TYPES[held.get_inputs()[0].type], held.run, [output]
    single, add = np.float32, np.add.reduce

    def ask(rows: Any) -> Any:
        narrow = rows.astype(single) if careful or kind == "float32" else rows
        # one pass: a sum is finite only if all of its parts are, unless it is itself too large
        if careful and not isfinite(add(narrow, axis=None)) and not np.isfinite(narrow).all():
            raise Undecided
        return run(wanted, {entry: rows if kind == "float64" else narrow})[0]

    return ask


def width(held: Any) -> int | None:
    """How many columns a session's one matrix has, where it says so."""
    shape = held.get_inputs()[0].shape if len(held.get_inputs()) == 1 else []
    return int(shape[1]) if len(shape) == 2 and isinstance(shape[1], int) else None


def candidates(folder: Path, flavor: dict[str, Any], loaded: Any) -> Iterator[Candidate]:
    """Ways to ask a model of MLflow's ONNX flavor. `loaded` is the session that MLflow made of it."""
    outputs = [output.name for output in loaded.get_outputs()]
    if len(outputs) != 1 or len(loaded.get_inputs()) != 1:
        return
    if loaded.get_providers() == ["CPUExecutionProvider"] and (file := folder / str(flavor.get("data", ""))).is_file():
        yield from _flat(session(file), outputs[0], "ONNX Runtime on one thread")
    yield from _flat(loaded, outputs[0], "ONNX Runtime")


def _flat(held: Any, output: str, how: str) -> Iterator[Candidate]:
    ask = asked(held, output)
    if ask is not None:
        # as MLflow makes a data frame of what a session gives
        yield Candidate(how, lambda rows: ask(rows).reshape(-1))
        yield Candidate(how, ask)
