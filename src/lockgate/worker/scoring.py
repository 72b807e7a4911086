"""One loaded model and the answers it gives: MLflow's own scoring code, without the stack traces."""

from __future__ import annotations

import json
import logging
import os
import re
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from mlflow.pyfunc import PyFuncModel

_log = logging.getLogger("lockgate.worker")
_LONGEST_REASON = 400
_PACKAGES = {
    "sklearn": "scikit-learn",
    "cv2": "opencv-python",
    "PIL": "pillow",
    "yaml": "pyyaml",
    "bs4": "beautifulsoup4",
}


@dataclass(frozen=True, slots=True)
class Answer:
    """One HTTP answer, still without the headers that every answer of this worker carries."""

    status: int
    body: bytes
    content_type: str = "application/json"
    headers: tuple[tuple[bytes, bytes], ...] = ()


class Scorer:
    """A model in memory."""

    def __init__(self, model: PyFuncModel) -> None:
        self._model = model
        self._schema = model.metadata.get_input_schema()

    @classmethod
    def load(cls, folder: Path) -> Scorer:
        """Load the model in `folder` the way `mlflow models serve` does. Raises whatever the model's code raises."""
        os.environ["MLFLOW_DISABLE_TELEMETRY"] = "true"
        # a model's own code must not leave compiled files among the pinned ones: the digest would no longer hold
        sys.dont_write_bytecode = True
        import mlflow.pyfunc
        from mlflow.environment_variables import _MLFLOW_IS_IN_SERVING_ENVIRONMENT

        os.environ[_MLFLOW_IS_IN_SERVING_ENVIRONMENT.name] = "true"
        return cls(mlflow.pyfunc.load_model(str(folder)))

    def warm_up(self, folder: Path) -> None:
        """Answer the model's own input example once, if it has one. A failure is logged and is not fatal."""
        import mlflow.pyfunc.scoring_server  # noqa: F401 - the first request must not pay for the import

        example = self._model.metadata.get_serving_input(str(folder))
        if example is None:
            return
        answer = self.score(example.encode(), "application/json")
        if answer.status != 200:
            _log.warning("the model's own input example gets status %s: %s", answer.status, answer.body[:500])

    def score(self, body: bytes, content_type: str) -> Answer:
        """MLflow's answer to one invocation. A model that raises gets an error answer; nothing is raised."""
        from mlflow.exceptions import MlflowException
        from mlflow.pyfunc import scoring_server

        try:
            result = scoring_server.invocations(body, content_type, self._model, self._schema)
        except MlflowException as error:
            return _refusal(error)
        except (Exception, SystemExit) as error:  # noqa: BLE001 - whatever a model raises has an answer, as in MLflow: 500
            _log.exception("the model's answer could not be given")
            return failure(500, "INTERNAL_ERROR", f"The model's answer could not be given: {one_line(error)}")
        # Starlette adds the charset to text and to nothing else, and MLflow's answers come through Starlette
        charset = "; charset=utf-8" if result.mimetype.startswith("text/") else ""
        return Answer(result.status, result.response.encode(), result.mimetype + charset)


def failure(status: int, code: str, message: str, *headers: tuple[bytes, bytes]) -> Answer:
    """An error in the form MLflow's clients read."""
    return Answer(status, json.dumps({"error_code": code, "message": message}).encode(), headers=headers)


def why_it_did_not_load(error: BaseException, folder: Path) -> str:
    """One line for a person: what was raised and, for a missing library, the command that installs it."""
    missing = _missing_module(error)
    if missing is None:
        return one_line(error)
    return f"{one_line(error)}. Install it where Lockgate runs: pip install '{_requirement(missing, folder)}'"


def one_line(error: BaseException) -> str:
    """The error's type and first line, at most 400 characters."""
    text = " ".join(str(error).split())
    told = f"{type(error).__name__}: {text}" if text else type(error).__name__
    return told if len(told) <= _LONGEST_REASON else told[: _LONGEST_REASON - 1] + "…"


def _refusal(error: Any) -> Answer:
    told: dict[str, Any] = json.loads(error.serialize_as_json())
    trace = told.pop("stack_trace", None)
    if trace:
        _log.warning("answered %s\n%s", told.get("message"), trace)
        told["cause"] = str(trace).strip().splitlines()[-1][:_LONGEST_REASON]
    return Answer(int(error.get_http_status_code()), json.dumps(told).encode())


def _missing_module(error: BaseException) -> str | None:
    seen: BaseException | None = error
    while seen is not None:
        if isinstance(seen, ModuleNotFoundError) and seen.name:
            return seen.name.partition(".")[0]
        seen = seen.__cause__ or seen.__context__
    return None


def _requirement(module: str, folder: Path) -> str:
    """The model's own requirement for a module, else the package that usually brings it."""
    package = _PACKAGES.get(module, module)
    try:
        lines = (folder / "requirements.txt").read_text().splitlines()
    except OSError:
        return package
    plain = re.sub(r"[-_.]+", "-", package).lower()
    for line in lines:
        name = re.match(r"[A-Za-z0-9._-]+", line.strip())
        if name and re.sub(r"[-_.]+", "-", name[0]).lower() == plain:
            return line.strip()
    return package
