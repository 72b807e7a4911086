"""Small real models, logged to a node by plain MLflow as any client would, and what they predict themselves."""

from __future__ import annotations

import contextlib
import os
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

REQUIREMENTS = ["mlflow", "scikit-learn"]  # named, so that MLflow need not find out by loading each model once more

LOGGING = "LOCKGATE_TEST_LOGS_A_MODEL"  # set in the process that logs, which tries a model on its own example

CONSTANT = """
import os
import time

import mlflow
from mlflow.pyfunc import PythonModel


class Constant(PythonModel):
    def load_context(self, context):
        if "{logging}" not in os.environ:
            {at_load}

    def predict(self, context, model_input, params=None):
        if "{logging}" not in os.environ:
            {at_predict}
        return [{answer}] * len(model_input)


mlflow.models.set_model(Constant())
"""


@dataclass(frozen=True)
class Logged:
    """A registered version, and what it answers for every row of `flowers()`."""

    model: str
    version: int
    predictions: list[int]

    @property
    def ref(self) -> str:
        return f"{self.model}@{self.version}"


@contextlib.contextmanager
def tracking(url: str) -> Iterator[Any]:
    """An `MlflowClient` of the node; inside the block MLflow's functions talk to it too."""
    import mlflow

    before, registry = mlflow.get_tracking_uri(), mlflow.get_registry_uri()
    mlflow.set_tracking_uri(url)
    mlflow.set_registry_uri(url)
    try:
        yield mlflow.MlflowClient(url, url)
    finally:
        mlflow.set_tracking_uri(before)
        mlflow.set_registry_uri(registry)


def flowers() -> Any:
    """The 150 iris flowers as a data frame of four numbers each."""
    from sklearn.datasets import load_iris

    return load_iris(as_frame=True).data


def body(frame: Any = None) -> dict[str, Any]:
    """A scoring request for those rows (all flowers when None)."""
    frame = flowers() if frame is None else frame
    return {"dataframe_split": {"columns": list(frame.columns), "data": frame.values.tolist()}}


def log_iris(
    url: str, model: str, *, shift: int = 0, accuracy: float | None = 0.95, tags: dict[str, str] | None = None
) -> Logged:
    """A logistic regression with signature, input example and metric, registered as a new version of `model`.

    It answers 0, 1 or 2 plus `shift`, so that versions can be told apart by what they answer. `accuracy` is what is
    logged, None logs no metric. `tags` are set on the version.
    """
    import mlflow
    import mlflow.sklearn
    from mlflow.models import infer_signature
    from sklearn.datasets import load_iris
    from sklearn.linear_model import LogisticRegression

    features = flowers()
    trained = LogisticRegression(max_iter=1000).fit(features, load_iris().target + shift)
    predictions = [int(each) for each in trained.predict(features)]
    with tracking(url), mlflow.start_run():
        if accuracy is not None:
            mlflow.log_metric("accuracy", accuracy)
        logged = mlflow.sklearn.log_model(
            trained,
            name="model",
            signature=infer_signature(features, trained.predict(features)),
            input_example=features.head(3),
            pip_requirements=REQUIREMENTS,
            registered_model_name=model,
        )
    return _registered(url, model, logged, predictions, tags)


def log_constant(
    url: str,
    model: str,
    *,
    answer: int = 7,
    at_load: str = "pass",
    at_predict: str = "pass",
    accuracy: float | None = 0.95,
    tags: dict[str, str] | None = None,
    bare: bool = False,
) -> Logged:
    """A Python model that answers one number, registered as a new version of `model`.

    A `bare` one has neither signature nor input example. `at_load` and `at_predict` are a statement it executes when
    it is loaded and asked, such as `time.sleep(4)` or `os._exit(3)`; logging it executes neither.
    """
    import mlflow
    import mlflow.pyfunc
    from mlflow.models import ModelSignature
    from mlflow.types import ColSpec, Schema

    features = flowers()
    signature = ModelSignature(
        Schema([ColSpec("double", each) for each in features.columns]), Schema([ColSpec("long")])
    )
    with tracking(url), _logging(), tempfile.TemporaryDirectory() as folder, mlflow.start_run():
        code = Path(folder) / "constant.py"
        code.write_text(CONSTANT.format(logging=LOGGING, answer=answer, at_load=at_load, at_predict=at_predict))
        if accuracy is not None:
            mlflow.log_metric("accuracy", accuracy)
        logged = mlflow.pyfunc.log_model(
            name="model",
            python_model=str(code),
            signature=None if bare else signature,
            input_example=None if bare else features.head(3),
            pip_requirements=REQUIREMENTS[:1],
            registered_model_name=model,
        )
    return _registered(url, model, logged, [answer] * len(features), tags)


def log_sleeper(url: str, model: str, seconds: float, *, answer: int = 7, tags: dict[str, str] | None = None) -> Logged:
    """A model that takes that long to load, so that there is a middle of its promotion."""
    return log_constant(url, model, answer=answer, at_load=f"time.sleep({seconds})", tags=tags)


@contextlib.contextmanager
def _logging() -> Iterator[None]:
    os.environ[LOGGING] = "1"
    try:
        yield
    finally:
        del os.environ[LOGGING]


def log_forest(url: str, model: str, *, accuracy: float = 0.95) -> Logged:
    """A forest logged as the shortest scripts do it: no signature, no example, nothing named but the model."""
    import mlflow
    import mlflow.sklearn
    from sklearn.datasets import load_iris
    from sklearn.ensemble import RandomForestClassifier

    features, kinds = load_iris(return_X_y=True)
    trained = RandomForestClassifier(n_estimators=20, random_state=7).fit(features, kinds)
    with tracking(url), mlflow.start_run():
        mlflow.log_metric("accuracy", accuracy)
        logged = mlflow.sklearn.log_model(trained, "model", registered_model_name=model)
    return _registered(url, model, logged, [int(each) for each in trained.predict(features)], None)


def register_again(url: str, logged: Logged, model: str, *, tags: dict[str, str] | None = None) -> Logged:
    """The same files as another version, of this model or another: nothing is trained or uploaded."""
    from mlflow.exceptions import MlflowException

    with tracking(url) as client:
        original = client.get_model_version(logged.model, str(logged.version))
        with contextlib.suppress(MlflowException):  # it may be there already
            client.create_registered_model(model)
        id = original.source.removeprefix("models:/")
        made = client.create_model_version(model, original.source, original.run_id, tags=tags, model_id=id)
    return Logged(model, int(made.version), logged.predictions)


def files(url: str, home: Path, logged: Logged) -> Path:
    """The folder in which the server keeps the artifacts of a version."""
    with tracking(url) as client:
        uri = client.get_model_version_download_uri(logged.model, str(logged.version))
        if uri.startswith("models:/"):
            uri = client.get_logged_model(uri.removeprefix("models:/")).artifact_location
    return home / "artifacts" / uri.removeprefix("mlflow-artifacts:").lstrip("/")


def _registered(url: str, model: str, logged: Any, predictions: list[int], tags: dict[str, str] | None) -> Logged:
    version = int(logged.registered_model_version)
    with tracking(url) as client:
        for key, value in (tags or {}).items():
            client.set_model_version_tag(model, str(version), key, value)
    return Logged(model, version, predictions)
