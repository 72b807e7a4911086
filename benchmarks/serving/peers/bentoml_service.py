"""BentoML: `bentoml serve benchmarks.serving.peers.bentoml_service:Models`, which is told the models' folder as MODELS.

At its best: one API worker, arrays in and out, adaptive batching for the models whose prediction costs more than its
bookkeeping, and no access log and no traces.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import bentoml
import numpy

from benchmarks.serving import content

TOGETHER = 1024  # rows


@bentoml.service(
    workers=1,
    traffic={"timeout": 60},
    logging={"access": {"enabled": False}},
    monitoring={"enabled": False},
    metrics={"enabled": False},
)
class Models:
    """The three models, each at `/NAME`."""

    def __init__(self) -> None:
        self._models: dict[str, Any] = content.load(Path(os.environ["MODELS"]))

    @bentoml.api(route="/logistic")
    def logistic(self, instances: numpy.ndarray) -> numpy.ndarray:
        return self._models["logistic"].predict(instances)

    @bentoml.api(route="/forest", batchable=True, max_batch_size=TOGETHER)
    def forest(self, instances: numpy.ndarray) -> numpy.ndarray:
        return self._models["forest"].predict(instances)

    @bentoml.api(route="/lightgbm", batchable=True, max_batch_size=TOGETHER)
    def lightgbm(self, instances: numpy.ndarray) -> numpy.ndarray:
        return self._models["lightgbm"].predict(instances)
