"""Real models on disk, made once for all serving tests, and the releases that name them."""

from __future__ import annotations

import shutil
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from lockgate.domain.serving import Release
from lockgate.domain.versions import VersionRef
from lockgate.worker.artifacts import manifest_of

COLUMNS = ["height", "width", "weight"]
ROWS = [[0.1, 2.0, -1.0], [5.0, 0.3, 0.2], [-3.0, 1.0, 2.5]]
NO_INFERENCE = ["mlflow"]

_SLOW_MODEL = """
import time
import mlflow
from mlflow.pyfunc import PythonModel

class Patient(PythonModel):
    def predict(self, context, model_input, params=None):
        params = params or {}
        time.sleep(params.get("seconds", 0.0))
        if params.get("word") == "raise":
            raise ValueError("the word was raise")
        return [params.get("word", "none")] * len(model_input)

mlflow.models.set_model(Patient())
"""


@dataclass(frozen=True)
class OnDisk:
    """One model's folder, and the digest of its files."""

    folder: Path
    digest: str

    @classmethod
    def of(cls, folder: Path) -> OnDisk:
        return cls(folder, manifest_of(folder).digest)


@dataclass(frozen=True)
class Models:
    """`first` answers 0 or 1, `second` 100 or 101 for the same rows; `broken` needs a library nobody has."""

    first: OnDisk
    second: OnDisk
    patient: OnDisk
    broken: OnDisk
    first_itself: Any

    def folder(self, digest: str) -> Path:
        """What an artifact cache would answer."""
        every = (self.first, self.second, self.patient, self.broken)
        return next(found.folder for found in every if found.digest == digest)


def make_models(home: Path) -> Models:
    """Train and save them."""
    import mlflow.pyfunc
    import mlflow.sklearn
    from mlflow.models import ModelSignature
    from mlflow.types import ColSpec, ParamSchema, ParamSpec, Schema
    from sklearn.linear_model import LogisticRegression

    rng = np.random.default_rng(7)
    rows = pd.DataFrame(rng.normal(size=(200, 3)), columns=COLUMNS)
    labels = (rows["height"] + rows["weight"] > 0).astype(int)
    inputs = Schema([ColSpec("double", name) for name in COLUMNS])
    plain = ModelSignature(inputs, Schema([ColSpec("long")]))
    first = LogisticRegression().fit(rows, labels)
    for name, trained in (("first", first), ("second", LogisticRegression().fit(rows, labels + 100))):
        mlflow.sklearn.save_model(
            trained,
            str(home / name),
            signature=plain,
            input_example=rows.head(2) if name == "first" else None,
            pip_requirements=NO_INFERENCE,
        )
    code = home / "patient_model.py"
    code.write_text(_SLOW_MODEL)
    params = ParamSchema([ParamSpec("seconds", "double", 0.0), ParamSpec("word", "string", "none")])
    mlflow.pyfunc.save_model(
        str(home / "patient"),
        python_model=str(code),
        signature=ModelSignature(inputs, Schema([ColSpec("string")]), params),
        pip_requirements=NO_INFERENCE,
    )
    broken = home / "broken"
    shutil.copytree(home / "second", broken)
    described = (broken / "MLmodel").read_text()
    (broken / "MLmodel").write_text(
        described.replace("loader_module: mlflow.sklearn", "loader_module: nobody_has_this")
    )
    (broken / "requirements.txt").write_text("mlflow\nnobody-has-this==1.2.3\n")
    on_disk = {name: OnDisk.of(home / name) for name in ("first", "second", "patient", "broken")}
    return Models(on_disk["first"], on_disk["second"], on_disk["patient"], on_disk["broken"], first_itself=first)


def release(number: int, model: OnDisk, *, endpoint: str = "e1", name: str = "fraud model") -> Release:
    """A release of one of them as version `number`."""
    return Release(
        id=f"r{number}",
        endpoint=endpoint,
        ref=VersionRef(name, number),
        digest=model.digest,
        engine="native",
        promotion=f"p{number}",
        created_at=datetime.now(UTC),
    )
