"""KServe's Python server: `python -m benchmarks.serving.peers.kserve_server FOLDER PORT`.

Its sklearnserver is not on the package index. Its model class is, in effect, the one below: the same two functions of
KServe around the model's predict. At its best: uvloop, no gRPC, no latency log and no access log.
"""

from __future__ import annotations

import logging
import sys
from pathlib import Path
from typing import Any

from kserve import Model, ModelServer
from kserve.utils.utils import get_predict_input, get_predict_response

from benchmarks.serving import content


class Predicting(Model):
    """One model, at `/v1/models/NAME:predict`."""

    def __init__(self, name: str, model: Any) -> None:
        super().__init__(name)
        self._model = model
        self.ready = True

    def predict(self, payload: Any, headers: Any = None, response_headers: Any = None) -> Any:
        del headers, response_headers
        result = self._model.predict(get_predict_input(payload))
        return get_predict_response(payload, result, self.name)


if __name__ == "__main__":
    folder, port = Path(sys.argv.pop(1)), int(sys.argv.pop(1))
    server = ModelServer(
        http_port=port, workers=1, enable_grpc=False, enable_latency_logging=False, event_loop="uvloop"
    )
    for name in ("uvicorn.access", "kserve", "kserve.trace"):
        logging.getLogger(name).setLevel(logging.WARNING)
    server.start([Predicting(name, model) for name, model in content.load(folder).items()])
