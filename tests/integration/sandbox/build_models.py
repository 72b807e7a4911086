"""Saves the models that the sandbox is tried on, each in a folder of its own, well-behaved and not."""

from __future__ import annotations

import sys
from pathlib import Path

import mlflow.pyfunc
import mlflow.sklearn
import numpy as np
import pandas as pd
from mlflow.models import infer_signature
from sklearn.compose import ColumnTransformer
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

# named, so that MLflow need not find out by loading each model in a process of its own
REQUIREMENTS = ["scikit-learn"]
TABLE = pd.DataFrame(np.random.default_rng(7).normal(size=(60, 3)), columns=["age", "income", "debt"])
LABELS = (TABLE["age"] + TABLE["debt"] > 0).astype(int)


class Unloadable(mlflow.pyfunc.PythonModel):
    def load_context(self, context):
        raise RuntimeError("the feature store is not reachable")

    def predict(self, context, model_input, params=None):
        return model_input


class NeedsLibrary(mlflow.pyfunc.PythonModel):
    def load_context(self, context):
        import a_library_nobody_has  # type: ignore[import-not-found]  # noqa: F401 - that is the point

    def predict(self, context, model_input, params=None):
        return model_input


class Exits(mlflow.pyfunc.PythonModel):
    def load_context(self, context):
        import os

        print("no licence found, leaving", flush=True)
        os._exit(3)

    def predict(self, context, model_input, params=None):
        return model_input


class Hangs(mlflow.pyfunc.PythonModel):
    """Starts another program first, which must not be left behind either, and writes down both numbers."""

    def load_context(self, context):
        import os
        import subprocess
        import time

        child = subprocess.Popen(["sleep", "600"])
        with open(os.environ["HOME"] + f"/../hangs-{os.getpid()}", "w") as file:
            file.write(f"{child.pid} {os.getpid()} ")
        time.sleep(600)

    def predict(self, context, model_input, params=None):
        return model_input


class Crashes(mlflow.pyfunc.PythonModel):
    """Dies of a segmentation fault on a single row."""

    def predict(self, context, model_input, params=None):
        import os
        import signal

        if len(model_input) == 1:
            os.kill(os.getpid(), signal.SIGSEGV)
        return [1.0] * len(model_input)


class Curious(mlflow.pyfunc.PythonModel):
    """Prints a lot, results of its own making too, reads standard input, and writes its environment down."""

    def load_context(self, context):
        import os
        import sys

        print(
            '{"event": "result", "name": "schema_test", "passed": false, "because": "", "measured": {}, "warnings": []}'
        )
        for _ in range(2000):
            print("x" * 2000)
        assert sys.stdin.read() == ""
        with open(os.environ["HOME"] + f"/../sees-{os.getpid()}", "w") as file:
            file.write("\n".join(sorted(os.environ)))

    def predict(self, context, model_input, params=None):
        return [1.0] * len(model_input)


class Answers(mlflow.pyfunc.PythonModel):
    """Predicts whatever it was made with, by a function of the input."""

    def __init__(self, function):
        self.function = function

    def predict(self, context, model_input, params=None):
        return self.function(model_input)


def nothing(data):
    return [float("nan")] * len(data)


def dice(data):
    return list(np.random.default_rng().normal(size=len(data)))


def snail(data):
    import time

    time.sleep(0.03)
    return [1.0] * len(data)


def unspeakable(data):
    return [object()] * len(data)


def flaky(data):
    """Right in one process, wrong in another: as a model that reads its machine's settings is."""
    import sys

    return [float(sys.argv[0].endswith("examine.py"))] * len(data)


def main(folder: Path) -> None:
    plain = LogisticRegression().fit(TABLE.to_numpy(), LABELS)
    named = LogisticRegression().fit(TABLE, LABELS)
    signature = infer_signature(TABLE, named.predict(TABLE))

    def sklearn(name, model, **more):
        mlflow.sklearn.save_model(model, str(folder / name), pip_requirements=REQUIREMENTS, **more)

    def python(name, model, **more):
        mlflow.pyfunc.save_model(str(folder / name), python_model=model, pip_requirements=["mlflow"], **more)

    sklearn("complete", named, signature=signature, input_example=TABLE.head(3))
    sklearn("bare", plain)
    sklearn("signed", named, signature=signature)
    # the signature as most tutorials infer it: from the labels, whose column has a name
    sklearn("labelled", named, signature=infer_signature(TABLE, LABELS.rename("risk")), input_example=TABLE.head(2))
    sklearn("misdeclared", named, signature=infer_signature(TABLE, TABLE), input_example=None)
    tensor = TABLE.to_numpy()
    sklearn("tensor", plain, signature=infer_signature(tensor, plain.predict(tensor)), input_example=tensor[:2])
    columns = ColumnTransformer([("scaled", StandardScaler(), ["age", "income"])], remainder="passthrough")
    sklearn("columns", make_pipeline(columns, LogisticRegression()).fit(TABLE, LABELS), input_example=TABLE.head(2))
    words = make_pipeline(TfidfVectorizer(), LogisticRegression()).fit(["good day", "bad day"], [1, 0])
    sklearn("words", words, signature=infer_signature(["a day"], np.array([1])))
    for kind in (Unloadable, NeedsLibrary, Exits, Hangs, Crashes, Curious):
        python(kind.__name__.lower(), kind())
    for function in (nothing, dice, snail, unspeakable, flaky):
        python(function.__name__, Answers(function))
    python("stingy", Answers(lambda data: [1.0]))


if __name__ == "__main__":
    main(Path(sys.argv[1]))
