"""LitServe: `python -m benchmarks.serving.peers.litserve_server FOLDER PORT MODEL`.

At its best: its fast queue, and for the models whose prediction costs more than its bookkeeping the requests of one
millisecond predicted together. Told to wait for none its worker spins, and takes a core from everybody.
"""

# no `from __future__ import annotations`: LitServe looks at the annotation of a request, and text tells it nothing
import sys
from pathlib import Path
from typing import Any

import litserve
import numpy
from fastapi import Request

from benchmarks.serving import content

TOGETHER, WAIT = 64, 0.001


class Predicting(litserve.LitAPI):
    """One model at `/NAME`."""

    def __init__(self, folder: Path, name: str) -> None:
        together = {} if name == content.LOGISTIC else {"max_batch_size": TOGETHER, "batch_timeout": WAIT}
        super().__init__(api_path=f"/{name}", **together)
        self._folder = folder
        self._name = name

    def setup(self, device: str) -> None:
        del device
        self._model = content.load(self._folder)[self._name]

    def decode_request(self, request: Request, **_: Any) -> Any:
        told: Any = request  # what comes where a request is asked for is its JSON
        return numpy.array(told["instances"])

    def batch(self, inputs: list[Any]) -> Any:
        self._lengths = [len(rows) for rows in inputs]
        return numpy.concatenate(inputs)

    def predict(self, x: Any, **_: Any) -> Any:
        return self._model.predict(x)

    def unbatch(self, output: Any) -> list[Any]:
        found, first = [], 0
        for length in self._lengths:
            found.append(output[first : first + length])
            first += length
        return found

    def encode_response(self, output: Any, **_: Any) -> Any:
        return {"predictions": output.tolist()}


if __name__ == "__main__":
    api = Predicting(Path(sys.argv[1]), sys.argv[3])
    server = litserve.LitServer(api, accelerator="cpu", workers_per_device=1, fast_queue=True, timeout=60)
    server.run(
        host="127.0.0.1", port=int(sys.argv[2]), num_api_servers=1, log_level="error", access_log=False,
        generate_client_file=False,
    )  # fmt: skip
