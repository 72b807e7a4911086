"""Ray Serve: `python -m benchmarks.serving.peers.ray_server FOLDER PORT`.

At its best: one replica for each model, its settings for throughput, raw requests and orjson instead of FastAPI,
and the requests that wait predicted together without waiting for more.
"""

from __future__ import annotations

import signal
import sys
from pathlib import Path
from typing import Any

import numpy
import orjson
import ray
from ray import serve
from starlette.requests import Request
from starlette.responses import Response

from benchmarks.serving import content

TOGETHER = 64


@serve.deployment(num_replicas=1, max_ongoing_requests=200, ray_actor_options={"num_cpus": 0})
class Predicting:
    """One model."""

    def __init__(self, folder: str, name: str) -> None:
        self._model = content.load(Path(folder))[name]

    @serve.batch(max_batch_size=TOGETHER, batch_wait_timeout_s=0.0)
    async def _predict(self, asked: list[Any]) -> list[Any]:
        found, first, told = [], 0, self._model.predict(numpy.concatenate(asked))
        for rows in asked:
            found.append(told[first : first + len(rows)])
            first += len(rows)
        return found

    async def __call__(self, request: Request) -> Response:
        rows = numpy.array(orjson.loads(await request.body())["instances"])
        told = {"predictions": await self._predict(rows)}
        return Response(orjson.dumps(told, option=orjson.OPT_SERIALIZE_NUMPY), media_type="application/json")


if __name__ == "__main__":
    ray.init(include_dashboard=False, num_cpus=2, log_to_driver=False, configure_logging=False)
    serve.start(http_options={"host": "127.0.0.1", "port": int(sys.argv[2])})
    for model in content.MODELS:
        deployment: Any = Predicting
        serve.run(deployment.bind(sys.argv[1], model), name=model, route_prefix=f"/{model}")
    print("ready", flush=True)
    signal.sigwait({signal.SIGTERM, signal.SIGINT})
    serve.shutdown()
    ray.shutdown()
