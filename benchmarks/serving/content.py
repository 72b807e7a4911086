"""The models and the rows: made from one seed in whatever environment this runs, with what that environment predicts.

It runs under the interpreter of every peer, so it imports nothing of ours and of the others only what all of them have:
`python -m benchmarks.serving.content FOLDER` writes each model, and the right answers to all requests, into the folder.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

LOGISTIC, FOREST, BOOSTER = "logistic", "forest", "lightgbm"
MODELS = {
    LOGISTIC: "logistic pipeline (standard scaler, logistic regression)",
    FOREST: "forest of 150 trees (scikit-learn)",
    BOOSTER: "LightGBM of 200 trees",
}
FEATURES, TRAINED_ON, SEED = 30, 4_000, 7
ROWS = (1, 100)
REQUESTS = 16  # different ones of each size, so that an answer to another's request is seen


def names() -> list[str]:
    """What the columns are called."""
    return [f"feature_{number:02}" for number in range(FEATURES)]


def data() -> tuple[Any, Any]:
    """The rows, as float64 of four decimals, and their labels."""
    from sklearn.datasets import make_classification

    rows, labels = make_classification(
        n_samples=TRAINED_ON + REQUESTS * max(ROWS), n_features=FEATURES, n_informative=12, random_state=SEED
    )
    return rows.round(4), labels


def asked(rows: int) -> list[list[list[float]]]:
    """The rows of each request of that size: none of them was trained on."""
    fresh = data()[0][TRAINED_ON:]
    found: list[list[list[float]]] = [fresh[n * rows : (n + 1) * rows].tolist() for n in range(REQUESTS)]
    return found


def trained(model: str, *, named: bool = False) -> Any:
    """A model. `named`: trained on a frame with names, as MLflow's users do; the trees are the same."""
    rows, labels = data()
    rows, labels = rows[:TRAINED_ON], labels[:TRAINED_ON]
    if named:
        import pandas

        rows = pandas.DataFrame(rows, columns=names())
    return _estimator(model).fit(rows, labels)


def _estimator(model: str) -> Any:
    if model == LOGISTIC:
        from sklearn.linear_model import LogisticRegression
        from sklearn.pipeline import make_pipeline
        from sklearn.preprocessing import StandardScaler

        return make_pipeline(StandardScaler(), LogisticRegression(max_iter=1_000))
    if model == FOREST:
        from sklearn.ensemble import RandomForestClassifier

        return RandomForestClassifier(150, random_state=SEED)
    from lightgbm import LGBMClassifier

    return LGBMClassifier(n_estimators=200, random_state=SEED, n_jobs=1, verbosity=-1)


def load(folder: Path) -> dict[str, Any]:
    """The models that `make` wrote."""
    import joblib

    return {model: joblib.load(folder / f"{model}.joblib") for model in MODELS}


def make(folder: Path) -> None:
    """Train every model on plain arrays, keep it, and keep what it predicts for every request."""
    import joblib

    told: dict[str, dict[str, Any]] = {}
    for model in MODELS:
        estimator = trained(model)
        joblib.dump(estimator, folder / f"{model}.joblib")
        told[model] = {str(rows): [estimator.predict(one).tolist() for one in asked(rows)] for rows in ROWS}
        if model == BOOSTER:  # what a bare booster says: the probability of the second class
            estimator.booster_.save_model(folder / f"{model}.txt")
            told["booster"] = {
                str(rows): [estimator.booster_.predict(one).tolist() for one in asked(rows)] for rows in ROWS
            }
    (folder / "expected.json").write_text(json.dumps(told))


def save_for_mlflow(folder: Path) -> None:
    """Save every model as MLflow's users log it: with a signature, trained on a frame. Keep what pyfunc predicts."""
    import mlflow.lightgbm
    import mlflow.pyfunc
    import mlflow.sklearn
    import pandas
    from mlflow.models import infer_signature

    frames = {rows: [pandas.DataFrame(one, columns=names()) for one in asked(rows)] for rows in ROWS}
    told: dict[str, dict[str, Any]] = {}
    for model in MODELS:
        estimator, example = trained(model, named=True), frames[1][0]
        signature = infer_signature(example, estimator.predict(example))
        if model == BOOSTER:
            mlflow.lightgbm.save_model(estimator, folder / model, signature=signature, input_example=example)
        else:
            mlflow.sklearn.save_model(estimator, folder / model, signature=signature, input_example=example)
        predict = mlflow.pyfunc.load_model(str(folder / model)).predict
        told[model] = {str(rows): [predict(frame).tolist() for frame in frames[rows]] for rows in ROWS}
    (folder / "expected.json").write_text(json.dumps(told))


def main() -> None:
    """`make`, or with `--mlflow` before the folder `save_for_mlflow`."""
    *how, folder = sys.argv[1:]
    (save_for_mlflow if how == ["--mlflow"] else make)(Path(folder))


if __name__ == "__main__":
    main()
