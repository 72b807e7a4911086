"""Models of every flavor that has engines, saved by MLflow as its users save them."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

FEATURES = 6
COLUMNS = [f"f{place}" for place in range(FEATURES)]
_LIBRARIES = ["mlflow"]  # else MLflow starts a process to find out


def data(seed: int = 0, rows: int = 300) -> tuple[pd.DataFrame, np.ndarray, np.ndarray]:
    """Rows, a class out of three and a number, which depend on the rows."""
    random = np.random.default_rng(seed)
    frame = pd.DataFrame(random.normal(size=(rows, FEATURES)) * 3, columns=COLUMNS)
    score = frame["f0"] - 2 * frame["f1"] + frame["f2"] * frame["f3"] / 3
    return frame, np.digitize(score, [-4.0, 4.0]), (score + 0.1 * random.normal(size=rows)).to_numpy()


def _estimators() -> dict[str, Any]:
    from sklearn.compose import ColumnTransformer
    from sklearn.ensemble import (
        ExtraTreesRegressor,
        HistGradientBoostingClassifier,
        RandomForestClassifier,
        RandomForestRegressor,
    )
    from sklearn.linear_model import LinearRegression, LogisticRegression, RidgeClassifier
    from sklearn.neighbors import KNeighborsClassifier
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import MinMaxScaler, StandardScaler
    from sklearn.svm import SVC
    from sklearn.tree import DecisionTreeClassifier

    columns = ColumnTransformer([("some", StandardScaler(), COLUMNS[:3])], remainder="passthrough")
    return {
        "logistic": make_pipeline(StandardScaler(), LogisticRegression(max_iter=300)),
        "linear": make_pipeline(MinMaxScaler(), LinearRegression()),
        "ridge": RidgeClassifier(),
        "forest": RandomForestClassifier(12, random_state=0),
        "scaled forest": make_pipeline(StandardScaler(), RandomForestClassifier(5, random_state=0)),
        "forest of numbers": RandomForestRegressor(7, random_state=0),
        "extra trees": ExtraTreesRegressor(5, random_state=0),
        "tree": DecisionTreeClassifier(random_state=0),
        "histogram": HistGradientBoostingClassifier(max_iter=5),
        "neighbours": KNeighborsClassifier(3),
        "support vectors": SVC(),
        "columns": make_pipeline(columns, LogisticRegression(max_iter=300)),
    }


def scikit_learn(folder: Path, name: str, *, signature: bool, words: bool = False, method: str = "predict") -> Path:
    """Fit and save an estimator by its name here. With `words` its classes are texts."""
    import mlflow.sklearn

    frame, classes, numbers = data()
    estimator = _estimators()[name]
    numeric = name in ("linear", "forest of numbers", "extra trees")
    target = numbers if numeric else np.array(["low", "middle", "höch"])[classes] if words else classes
    estimator.fit(frame if signature or name == "columns" else frame.to_numpy(), target)
    return _saved(
        mlflow.sklearn.save_model,
        estimator,
        folder,
        frame if signature else None,
        serialization_format="pickle",
        pyfunc_predict_fn=method,
    )


def lightgbm(folder: Path, kind: str, *, signature: bool) -> Path:
    import lightgbm as library
    import mlflow.lightgbm

    frame, classes, numbers = data()
    common = {"verbose": -1, "n_estimators": 12, "n_jobs": 1}
    model: Any
    match kind:
        case "two":
            model = library.LGBMClassifier(**common).fit(frame, classes > 0)
        case "three":
            model = library.LGBMClassifier(**common).fit(frame, np.array(["a", "b", "c"])[classes])
        case "numbers":
            model = library.LGBMRegressor(**common).fit(frame, numbers)
        case _:
            model = library.train(
                {"objective": "binary", "verbose": -1, "num_threads": 1}, library.Dataset(frame, classes > 0), 10
            )
    return _saved(mlflow.lightgbm.save_model, model, folder, frame if signature else None)


def xgboost(folder: Path, kind: str, *, signature: bool) -> Path:
    import mlflow.xgboost
    import xgboost as library

    frame, classes, numbers = data()
    model: Any
    match kind:
        case "two":
            model = library.XGBClassifier(n_estimators=8, n_jobs=1).fit(frame, classes > 0)
        case "three":
            model = library.XGBClassifier(n_estimators=8, n_jobs=1).fit(frame, classes)
        case "numbers":
            model = library.XGBRegressor(n_estimators=8, n_jobs=1).fit(frame, numbers)
        case _:
            model = library.train(
                {"objective": "binary:logistic", "nthread": 1}, library.DMatrix(frame, classes > 0), 8
            )
    return _saved(mlflow.xgboost.save_model, model, folder, frame if signature else None)


def catboost(folder: Path, kind: str, *, signature: bool) -> Path:
    import catboost as library
    import mlflow.catboost

    frame, classes, numbers = data()
    common = {"iterations": 8, "thread_count": 1, "verbose": 0, "allow_writing_files": False}
    model = library.CatBoostRegressor(**common) if kind == "numbers" else library.CatBoostClassifier(**common)
    model.fit(frame, numbers if kind == "numbers" else (classes > 0).astype(int))
    return _saved(mlflow.catboost.save_model, model, folder, frame if signature else None)


def onnx(folder: Path) -> Path:
    import mlflow.onnx
    from skl2onnx import to_onnx
    from sklearn.linear_model import LinearRegression

    frame, _, numbers = data()
    fitted = LinearRegression().fit(frame.to_numpy(), numbers)
    made = to_onnx(fitted, frame.to_numpy()[:1].astype(np.float32))
    return _saved(mlflow.onnx.save_model, made, folder, frame)


def custom(folder: Path) -> Path:
    """A model of somebody's own code."""
    import mlflow.pyfunc

    script = folder.with_suffix(".py")
    script.write_text(
        "import mlflow\n"
        "class Own(mlflow.pyfunc.PythonModel):\n"
        "    def predict(self, context, model_input, params=None):\n"
        "        return model_input.sum(axis=1).to_numpy()\n"
        "mlflow.models.set_model(Own())\n"
    )
    frame, _, _ = data()
    return _saved(
        lambda model, path, **more: mlflow.pyfunc.save_model(path, python_model=model, **more),
        str(script),
        folder,
        frame,
    )


def _saved(save: Callable[..., Any], model: Any, folder: Path, frame: pd.DataFrame | None, **more: Any) -> Path:
    from mlflow.models import infer_signature

    if frame is not None:
        more |= {"signature": infer_signature(frame), "input_example": frame.head(3)}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        save(model, str(folder), pip_requirements=_LIBRARIES, **more)
    return folder
