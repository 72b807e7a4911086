"""The engine that asks a converted version in ONNX Runtime. Its labels are MLflow's; its numbers are near them."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lockgate.worker.engines import sessions
from lockgate.worker.engines.subjects import loader_of

if TYPE_CHECKING:
    from mlflow.pyfunc import PyFuncModel

Step = Callable[[Any], Any]
TOLERANCE = 1e-5
"""How far a number may be from MLflow's, as a share of it, or of 1 where it is smaller: float32 has seven digits."""


class NotUsable(Exception):
    """The file does not answer as the version does; the text says how, for a person."""


def asking(file: Path, model: PyFuncModel, like: Any) -> Step:
    """What asks a converted file, so that its answers have the type and shape of `like`, an answer of the version.

    Raises NotUsable for a file that cannot give such answers.
    """
    import numpy as np

    if not isinstance(like, np.ndarray):
        raise NotUsable("the version does not answer with an array")
    try:
        held = sessions.session(file)
    except Exception as error:
        raise NotUsable(f"ONNX Runtime cannot open it: {type(error).__name__}") from error
    ask = sessions.asked(held, _output(held, model), careful=True)
    if ask is None:
        raise NotUsable("it does not take one matrix of numbers")
    kind, flat, wide = like.dtype, like.ndim == 1, like.shape[1:]
    text = kind.kind in "OUS"

    def predict(rows: Any) -> Any:
        told = ask(rows)
        if flat and told.ndim == 2 and told.shape[1] == 2:
            told = told[:, 1]  # a booster tells of two classes the second one's probability
        told = told.reshape(-1) if flat else told.reshape(-1, *wide)
        return told.astype(kind) if not text else np.asarray(told, dtype=object).astype(kind)

    return predict


def near(one: Any, other: Any) -> bool:
    """Whether an answer is as good as another: labels the same, numbers within the tolerance."""
    return len(one) == len(other) and not bool(differences(one, other).any())


def differences(one: Any, other: Any) -> Any:
    """Which of the rows two answers differ on, as booleans (n,)."""
    import numpy as np

    if other.dtype.kind != "f":
        differs = one != other
    else:
        limit = TOLERANCE * np.maximum(np.abs(other), 1.0)
        # written so that what is no number differs, unless both are none
        differs = ~((np.abs(one - other) <= limit) | (one == other) | (np.isnan(one) & np.isnan(other)))
    return np.asarray(differs).reshape(len(other), -1).any(axis=1)


def largest(one: Any, other: Any) -> float:
    """The largest difference of two answers in numbers; of labels it is how many differ."""
    import numpy as np

    if other.dtype.kind != "f":
        return float(np.count_nonzero(differences(one, other)))
    apart = np.abs(one.astype(np.float64) - other.astype(np.float64))
    return float(np.nanmax(apart)) if apart.size and not np.isnan(apart).all() else 0.0


def _output(held: Any, model: PyFuncModel) -> str:
    """Converters of classifiers give labels first and probabilities second."""
    names = [output.name for output in held.get_outputs()]
    _, method = loader_of(model)
    raw = model.get_raw_model()
    # a LightGBM or XGBoost booster predicts probabilities, whatever its method is called
    probabilities = method == "predict_proba" or (type(raw).__name__ == "Booster" and len(names) > 1)
    return str(names[1] if probabilities and len(names) > 1 else names[0])
