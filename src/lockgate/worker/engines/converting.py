"""A loaded version as an ONNX file. It takes libraries that serving does not need: `pip install 'lockgate[onnx]'`.

What comes out may answer otherwise: `parity` finds out. Thresholds of trees are compared as float32, as scikit-learn
and XGBoost do themselves: with float64 the trees of a forest go another way for many rows.
"""

from __future__ import annotations

import copy
import re
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lockgate.worker.engines.subjects import loader_of

if TYPE_CHECKING:
    from mlflow.pyfunc import PyFuncModel

ENTRY = "rows"
_LARGEST = 2**31 - 1  # bytes of a protocol buffer
_THRESHOLDS = re.compile(r"^threshold=(.*)$", re.MULTILINE)
_SIZES = re.compile(r"^tree_sizes=.*\n", re.MULTILINE)


class NotConverted(Exception):
    """There is no ONNX form of this version; the text says why, for a person."""


def convert(model: PyFuncModel, features: int) -> bytes:
    """The ONNX file for a loaded version that takes matrices with so many columns. Raises NotConverted."""
    loader, method = loader_of(model)
    if loader not in ("mlflow.sklearn", "mlflow.lightgbm", "mlflow.xgboost", "mlflow.catboost"):
        raise NotConverted(f"there is no converter for models that {loader or 'no flavor'} loads")
    if method not in ("predict", "predict_proba"):
        raise NotConverted(f"there is no converter for {method}")
    try:
        written: bytes = _written(model.get_raw_model(), features)
    except NotConverted:
        raise
    except ImportError as error:
        raise NotConverted(f"{error.name} is not installed: pip install 'lockgate[onnx]'") from None
    except Exception as error:
        told = " ".join(str(error).split())[:200]
        raise NotConverted(f"the converter does not know this model: {type(error).__name__}: {told}") from error
    if len(written) > _LARGEST:
        raise NotConverted("the converted model is larger than 2 GiB")
    return written


def _written(raw: Any, features: int) -> bytes:
    family = type(raw).__module__.partition(".")[0]
    if family == "lightgbm":
        return _lightgbm(raw, features)
    if family == "xgboost":
        return _xgboost(raw, features)
    if family == "catboost":
        return _catboost(raw)
    return _scikit_learn(raw, features)


def _scikit_learn(raw: Any, features: int) -> bytes:
    from skl2onnx import to_onnx
    from skl2onnx.common.data_types import DoubleTensorType, FloatTensorType

    kind = FloatTensorType if _is_of_trees(raw) else DoubleTensorType
    options = {"zipmap": False} if hasattr(raw, "classes_") else None
    told: bytes = to_onnx(raw, initial_types=[(ENTRY, kind([None, features]))], options=options).SerializeToString()
    return told


def _is_of_trees(raw: Any) -> bool:
    last = raw.steps[-1][1] if hasattr(raw, "steps") else raw
    return hasattr(last, "estimators_") or hasattr(last, "tree_")


def _lightgbm(raw: Any, features: int) -> bytes:
    from onnxmltools import convert_lightgbm
    from onnxmltools.convert.common.data_types import FloatTensorType

    rounded = _rounded(getattr(raw, "booster_", raw))
    if type(raw).__name__ != "Booster":
        estimator = copy.copy(raw)
        estimator._Booster = rounded
        if getattr(raw, "_classes", None) is not None and raw._classes.dtype.kind == "b":
            # the converter knows whole numbers and texts; who asks makes booleans of them again
            estimator._classes = raw._classes.astype(int)
        rounded = estimator
    made = convert_lightgbm(rounded, initial_types=[(ENTRY, FloatTensorType([None, features]))], zipmap=False)
    told: bytes = made.SerializeToString()
    return told


def _rounded(booster: Any) -> Any:
    """The booster with thresholds rounded down to float32: so every float32 goes the way that it went before.

    The converter rounds to the nearest, and a number between the two thresholds would go the other way.
    """
    import lightgbm

    text = _THRESHOLDS.sub(
        lambda found: "threshold=" + " ".join(map(_down, found[1].split())), booster.model_to_string()
    )
    # where each tree begins is no longer true; without that line LightGBM reads one after the other
    return lightgbm.Booster(model_str=_SIZES.sub("", text))


def _down(threshold: str) -> str:
    import numpy as np

    single = np.float32(threshold)
    if float(single) > float(threshold):
        single = np.nextafter(single, np.float32(-np.inf))
    return repr(float(single))


def _xgboost(raw: Any, features: int) -> bytes:
    from onnxmltools import convert_xgboost
    from onnxmltools.convert.common.data_types import FloatTensorType

    booster = raw if type(raw).__name__ == "Booster" else raw.get_booster()
    names = booster.feature_names
    try:
        # the converter finds a column by its number
        booster.feature_names = None
        told: bytes = convert_xgboost(
            raw, initial_types=[(ENTRY, FloatTensorType([None, features]))]
        ).SerializeToString()
    finally:
        booster.feature_names = names
    return told


def _catboost(raw: Any) -> bytes:
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "model.onnx"
        raw.save_model(str(file), format="onnx")
        return file.read_bytes()
