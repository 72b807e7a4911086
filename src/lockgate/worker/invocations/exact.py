"""MLflow's own scoring code over one loaded model: always right, and what everything faster is compared with."""

from __future__ import annotations

import json
import logging
import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lockgate.worker.http.messages import Answer, failure
from lockgate.worker.invocations.reasons import LONGEST_REASON, one_line

if TYPE_CHECKING:
    from mlflow.pyfunc import PyFuncModel

_log = logging.getLogger("lockgate.worker")


class Scorer:
    """A model in memory."""

    def __init__(self, model: PyFuncModel) -> None:
        self.model = model
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

        example = self.model.metadata.get_serving_input(str(folder))
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
            result = scoring_server.invocations(body, content_type, self.model, self._schema)
        except MlflowException as error:
            return _refusal(error)
        except (Exception, SystemExit) as error:  # noqa: BLE001 - whatever a model raises has an answer, as in MLflow: 500
            _log.exception("the model's answer could not be given")
            return failure(500, "INTERNAL_ERROR", f"The model's answer could not be given: {one_line(error)}")
        rows = _rows(result.response) if result.status == 200 else 0
        # Starlette adds the charset to text and to nothing else, and MLflow's answers come through Starlette
        charset = "; charset=utf-8" if result.mimetype.startswith("text/") else ""
        return Answer(result.status, result.response.encode(), (result.mimetype + charset).encode(), rows=rows)

    def predictions(self, body: bytes) -> list[Any] | None:
        """The parsed predictions for a JSON body, None when MLflow refuses it or answers in another shape."""
        from mlflow.pyfunc import scoring_server

        try:
            result = scoring_server.invocations(body, "application/json", self.model, self._schema)
            told = json.loads(result.response)["predictions"]
        except (Exception, SystemExit):  # noqa: BLE001 - why is of no interest where this is asked
            return None
        return told if isinstance(told, list) else None


def _rows(answer: str) -> int:
    """How many predictions an answer holds."""
    told = json.loads(answer)
    predictions = told.get("predictions") if isinstance(told, dict) else told
    return len(predictions) if isinstance(predictions, list) else 1


def _refusal(error: Any) -> Answer:
    told: dict[str, Any] = json.loads(error.serialize_as_json())
    trace = told.pop("stack_trace", None)
    if trace:
        _log.warning("answered %s\n%s", told.get("message"), trace)
        told["cause"] = str(trace).strip().splitlines()[-1][:LONGEST_REASON]
    return Answer(int(error.get_http_status_code()), json.dumps(told).encode())
