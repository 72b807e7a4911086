"""Models of every kind that the fast way treats on its own, saved once."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from lockgate.wire.workers import WorkerConfig
from lockgate.worker.artifacts import manifest_of

_NO_INFERENCE = ["mlflow"]
_PYFUNC = """
import mlflow
from mlflow.pyfunc import PythonModel

class Sums(PythonModel):
    def predict(self, context, model_input, params=None):
        times = (params or {}).get("times", 1)
        return [float(sum(row)) * times for row in model_input.to_numpy(dtype="float64")]

mlflow.models.set_model(Sums())
"""


@dataclass(frozen=True)
class Subject:
    """One saved model. `names` are its columns as a client would call them, `kinds` what stands in them."""

    name: str
    folder: Path
    names: tuple[str, ...]
    kinds: str
    fast: bool = True

    def config(self, **told: Any) -> WorkerConfig:
        """What a worker of this model is told."""
        return WorkerConfig(
            worker="w1", endpoint="e1", release="r1", generation=1, model=self.name, version=1,
            digest=manifest_of(self.folder).digest, artifacts=str(self.folder), folder=str(self.folder.parent),
            host="127.0.0.1", port=0, listener_fd=-1, **told,
        )  # fmt: skip


def make_subject(name: str, home: Path) -> Subject:
    """Train and save the one of this name. `kinds` has a letter a column: float, whole, boolean, single."""
    names, kinds, fast = MAKERS[name](home / name)
    return Subject(name, home / name, tuple(names), kinds, fast)


def _rows(names: str) -> tuple[pd.DataFrame, np.ndarray[Any, Any]]:
    rng = np.random.default_rng(11)
    rows = pd.DataFrame(rng.normal(size=(120, len(names))) * 3, columns=list(names))
    return rows, (rows.iloc[:, 0] + rows.iloc[:, -1] > 0).astype(int).to_numpy()


def _save(model: Any, folder: Path, **more: Any) -> None:
    import mlflow.sklearn

    mlflow.sklearn.save_model(model, str(folder), pip_requirements=_NO_INFERENCE, **more)


def _tutorial(folder: Path) -> tuple[str, str, bool]:
    """A forest fitted on an array and logged without a signature, as the tutorial does."""
    from sklearn.ensemble import RandomForestClassifier

    rows, labels = _rows("abcd")
    _save(RandomForestClassifier(n_estimators=5, random_state=1).fit(rows.to_numpy(), labels), folder)
    return "abcd", "ffff", True


def _named(folder: Path) -> tuple[str, str, bool]:
    """No signature, but the model knows the names of its columns; its answers are texts."""
    from sklearn.linear_model import LogisticRegression

    rows, labels = _rows("abc")
    _save(LogisticRegression().fit(rows, np.array(["no", "yés"])[labels]), folder)
    return "abc", "fff", True


def _signed(folder: Path) -> tuple[str, str, bool]:
    from mlflow.models import infer_signature
    from sklearn.linear_model import LogisticRegression
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    rows, labels = _rows("abc")
    model = make_pipeline(StandardScaler(), LogisticRegression()).fit(rows, labels)
    _save(model, folder, signature=infer_signature(rows, labels), input_example=rows.head(2))
    return "abc", "fff", True


def _mixed(folder: Path) -> tuple[str, str, bool]:
    """Columns of four types, answered by sums that show each bit of each number."""
    from mlflow.models import infer_signature
    from sklearn.linear_model import LinearRegression

    rows, _ = _rows("abcd")
    rows = rows.assign(
        b=rows["b"].round().astype("int64"), c=rows["c"].astype("float32"), d=rows["d"].round().astype("int32")
    )
    answers = rows.sum(axis=1)
    model = LinearRegression().fit(rows, answers)
    _save(model, folder, signature=infer_signature(rows, answers))
    return "abcd", "fwsi", True


def _tensor(folder: Path) -> tuple[str, str, bool]:
    from mlflow.models import infer_signature
    from sklearn.linear_model import Ridge

    rows, _ = _rows("abc")
    array = rows.to_numpy().astype("float32")
    _save(Ridge().fit(array, array.sum(axis=1)), folder, signature=infer_signature(array, array[:, 0]))
    return "abc", "fff", True


def _single(folder: Path) -> tuple[str, str, bool]:
    """One column of float32, with the probabilities of three classes as the answer."""
    from mlflow.models import infer_signature
    from sklearn.linear_model import LogisticRegression

    rows, _ = _rows("a")
    rows = rows.astype("float32")
    labels = np.digitize(rows["a"], [-1, 1])
    signature = infer_signature(rows, labels)
    _save(LogisticRegression().fit(rows, labels), folder, signature=signature, pyfunc_predict_fn="predict_proba")
    return "a", "s", True


def _sums(folder: Path) -> tuple[str, str, bool]:
    """No names and no signature, and sums that come out otherwise when whole numbers stay whole."""
    from sklearn.linear_model import LinearRegression

    rows, _ = _rows("abcdefgh")
    _save(LinearRegression().fit(rows.to_numpy(), rows.sum(axis=1)), folder)
    return "abcdefgh", "ffffffff", True


def _optional(folder: Path) -> tuple[str, str, bool]:
    """A column that may be missing and one of booleans: for MLflow's own code."""
    from mlflow.models import ModelSignature
    from mlflow.types import ColSpec, Schema
    from sklearn.ensemble import RandomForestClassifier

    rows, labels = _rows("abc")
    rows = rows.assign(c=rows["c"] > 0)
    inputs = Schema([ColSpec("double", "a"), ColSpec("double", "b", required=False), ColSpec("boolean", "c")])
    model = RandomForestClassifier(n_estimators=3, random_state=1).fit(rows, labels)
    _save(model, folder, signature=ModelSignature(inputs, Schema([ColSpec("long")])))
    return "abc", "ffb", False


def _boosted(folder: Path) -> tuple[str, str, bool]:
    import mlflow.lightgbm
    from lightgbm import LGBMRegressor
    from mlflow.models import infer_signature

    rows, _ = _rows("abcd")
    model = LGBMRegressor(n_estimators=8, n_jobs=1, verbose=-1, min_child_samples=5).fit(rows, rows.sum(axis=1))
    signature = infer_signature(rows, rows["a"])
    mlflow.lightgbm.save_model(model, str(folder), signature=signature, pip_requirements=_NO_INFERENCE)
    return "abcd", "ffff", True


def _custom(folder: Path) -> tuple[str, str, bool]:
    """Somebody's own class, with params."""
    import mlflow.pyfunc
    from mlflow.models import ModelSignature
    from mlflow.types import ColSpec, ParamSchema, ParamSpec, Schema

    code = folder.parent / "sums.py"
    code.write_text(_PYFUNC)
    inputs = Schema([ColSpec("double", name) for name in "ab"])
    params = ParamSchema([ParamSpec("times", "long", 1)])
    signature = ModelSignature(inputs, Schema([ColSpec("double")]), params)
    mlflow.pyfunc.save_model(str(folder), python_model=str(code), signature=signature, pip_requirements=_NO_INFERENCE)
    return "ab", "ff", False


MAKERS: dict[str, Callable[[Path], tuple[str, str, bool]]] = {
    "tutorial": _tutorial,
    "named": _named,
    "signed": _signed,
    "mixed": _mixed,
    "tensor": _tensor,
    "single": _single,
    "sums": _sums,
    "optional": _optional,
    "boosted": _boosted,
    "custom": _custom,
}
