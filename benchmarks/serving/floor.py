"""What a prediction costs without a server: `python -m benchmarks.serving.floor FOLDER [MODEL=FILE.onnx …]`.

Prints how many a second one process makes through MLflow's pyfunc, by the model itself on a plain array, and by an
ONNX session, where there is a file for one. The requests are those of the load, in turn. The session is also asked the
first of them again and again: the processor then learns its way through the trees by heart, as real traffic lets none.
"""

from __future__ import annotations

import json
import statistics
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from benchmarks.serving import content

SECONDS, TIMES = 0.2, 3
PYFUNC, MODEL, SESSION = "MLflow's pyfunc", "the model's own predict", "an ONNX session"
BY_HEART = "an ONNX session, one request again and again"


def main() -> None:
    """Measure every model with each number of rows."""
    import mlflow.pyfunc
    import numpy
    import pandas

    folder, files = Path(sys.argv[1]), dict(word.split("=", 1) for word in sys.argv[2:])
    told: dict[str, dict[str, dict[str, float]]] = {}
    for model in content.MODELS:
        calls: dict[str, Callable[[Any], Any]] = {MODEL: content.trained(model).predict}
        if model in files:
            calls[SESSION] = _session(files[model])
        pyfunc = mlflow.pyfunc.load_model(str(folder / model)).predict
        told[model] = {}
        for rows in content.ROWS:
            matrices = [numpy.array(one) for one in content.asked(rows)]
            frames = [pandas.DataFrame(matrix, columns=content.names()) for matrix in matrices]
            rates = {PYFUNC: _rate(pyfunc, frames), **{name: _rate(call, matrices) for name, call in calls.items()}}
            if SESSION in calls:
                rates[BY_HEART] = _rate(calls[SESSION], matrices[:1])
            told[model][str(rows)] = rates
    print(json.dumps(told))


def _session(path: str) -> Callable[[Any], Any]:
    import numpy
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    session = onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])
    asked, answered = session.get_inputs()[0], [session.get_outputs()[0].name]
    kind = numpy.float64 if asked.type == "tensor(double)" else numpy.float32
    return lambda matrix: session.run(answered, {asked.name: matrix.astype(kind)})[0]


def _rate(call: Callable[[Any], Any], requests: list[Any]) -> float:
    for rows in requests[:3]:
        call(rows)
    rates = []
    for _ in range(TIMES):
        began, count = time.perf_counter(), 0
        while (took := time.perf_counter() - began) < SECONDS:
            call(requests[count % len(requests)])
            count += 1
        rates.append(count / took)
    return statistics.median(rates)


if __name__ == "__main__":
    main()
