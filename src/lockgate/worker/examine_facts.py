"""What a model's own files say about it, read without running any of its code."""

from __future__ import annotations

import re
from importlib import metadata
from pathlib import Path
from typing import Any

from lockgate.domain.validation import Library, ModelFacts

# Where MLflow writes the version of the library a flavor belongs to: flavor, key, package.
_RECORDED = (
    ("sklearn", "sklearn_version", "scikit-learn"),
    ("lightgbm", "lgb_version", "lightgbm"),
    ("xgboost", "xgb_version", "xgboost"),
    ("catboost", "catboost_version", "catboost"),
    ("pytorch", "pytorch_version", "torch"),
    ("onnx", "onnx_version", "onnx"),
    ("statsmodels", "statsmodels_version", "statsmodels"),
    ("prophet", "prophet_version", "prophet"),
    ("pmdarima", "pmdarima_version", "pmdarima"),
    ("spacy", "spacy_version", "spacy"),
    ("h2o", "h2o_version", "h2o"),
    ("paddle", "paddle_version", "paddlepaddle"),
    ("shap", "shap_version", "shap"),
    ("spark", "pyspark_version", "pyspark"),
    ("transformers", "transformers_version", "transformers"),
    ("sentence_transformers", "sentence_transformers_version", "sentence-transformers"),
    ("langchain", "langchain_version", "langchain"),
    ("python_function", "cloudpickle_version", "cloudpickle"),
)
# Packages a flavor cannot be loaded without although MLmodel does not name their version: requirements.txt may.
_PINNED = {
    "onnx": ("onnxruntime",),
    "keras": ("keras",),
    "tensorflow": ("tensorflow", "keras"),
    "fastai": ("fastai",),
    "openai": ("openai",),
    "dspy": ("dspy",),
    "llama_index": ("llama-index",),
    "diviner": ("diviner",),
}
_PIN = re.compile(
    r"^(?P<name>[A-Za-z0-9][A-Za-z0-9._-]*)(?:\[[^\]]*\])?\s*===?\s*(?P<version>[^\s;,#*]+)\s*(?:[;#].*)?$"
)


class Unexaminable(Exception):
    """The files are no MLflow model; the text is for a person."""


def facts_of(folder: Path, sample: str | None) -> ModelFacts:
    """The facts of the model in `folder`. Raises Unexaminable when there is no readable MLmodel file."""
    told = _mlmodel(folder)
    flavors: dict[str, Any] = told["flavors"]
    inputs = None
    if told.get("saved_input_example_info"):
        inputs = "input_example"
    elif sample is not None:
        inputs = "sample"
    return ModelFacts(
        has_signature=bool(told.get("signature")), libraries=_libraries(flavors, _pins(folder)), inputs=inputs
    )


def missing(facts: ModelFacts) -> str:
    """Why nothing can be tried and the command that changes it; empty when every library is here."""
    absent = [library for library in facts.libraries if library.installed is None]
    if not absent:
        return ""
    names = " and ".join(f"{library.name} {library.logged}" for library in absent)
    wanted = " ".join(f"'{library.name}=={library.logged}'" for library in absent)
    are = "is" if len(absent) == 1 else "are"
    return f"the model needs {names}, which {are} not installed here: pip install {wanted}"


def _mlmodel(folder: Path) -> dict[str, Any]:
    import yaml

    try:
        told = yaml.safe_load((folder / "MLmodel").read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise Unexaminable(
            "there is no MLmodel file among the artifacts: log it with mlflow.<flavor>.log_model"
        ) from None
    except (OSError, UnicodeDecodeError) as error:
        raise Unexaminable(f"the MLmodel file cannot be read: {error}") from None
    except yaml.YAMLError as error:
        raise Unexaminable(f"the MLmodel file is no YAML: {' '.join(str(error).split())[:300]}") from None
    if not isinstance(told, dict) or not isinstance(told.get("flavors"), dict):
        raise Unexaminable("the MLmodel file names no flavors: log the model again with mlflow.<flavor>.log_model")
    if "python_function" not in told["flavors"]:
        raise Unexaminable(
            "the model has no python_function flavor, so nothing can predict with it: "
            f"it only has {', '.join(sorted(map(str, told['flavors'])))}"
        )
    return told


def _libraries(flavors: dict[str, Any], pins: dict[str, str]) -> tuple[Library, ...]:
    logged: dict[str, str] = {}
    for flavor, key, package in _RECORDED:
        about = flavors.get(flavor)
        if isinstance(about, dict) and about.get(key):
            logged[package] = str(about[key])
    for flavor, packages in _PINNED.items():
        if flavor in flavors:
            logged.update({package: pins[package] for package in packages if package in pins and package not in logged})
    return tuple(Library(name, version, _installed(name)) for name, version in sorted(logged.items()))


def _pins(folder: Path) -> dict[str, str]:
    try:
        lines = (folder / "requirements.txt").read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError):
        return {}
    found = (_PIN.match(line.strip()) for line in lines)
    return {re.sub(r"[-_.]+", "-", pin["name"]).lower(): pin["version"] for pin in found if pin}


def _installed(package: str) -> str | None:
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return None
