"""FastAPI on uvicorn: `python -m benchmarks.serving.peers.fastapi_server FOLDER PORT`.

At its best: uvloop and httptools, no access log, orjson both ways, plain arrays, and the prediction on the loop, which
is faster than a thread when one core has to do everything.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import numpy
import orjson
import uvicorn
from fastapi import FastAPI, Request, Response

from benchmarks.serving import content


def application(models: dict[str, Any]) -> FastAPI:
    """One route for each model."""
    app = FastAPI()

    @app.get("/health")
    async def health() -> Response:
        return Response(b"ok")

    for name, model in models.items():
        _add(app, name, model)
    return app


def _add(app: FastAPI, name: str, model: Any) -> None:
    async def predict(request: Request) -> Response:
        rows = numpy.array(orjson.loads(await request.body())["instances"])
        told = {"predictions": model.predict(rows)}
        return Response(orjson.dumps(told, option=orjson.OPT_SERIALIZE_NUMPY), media_type="application/json")

    app.post(f"/{name}")(predict)


if __name__ == "__main__":
    uvicorn.run(
        application(content.load(Path(sys.argv[1]))),
        port=int(sys.argv[2]),
        loop="uvloop",
        http="httptools",
        access_log=False,
        log_level="warning",
    )
