"""MLflow's registry handlers called without the two frameworks around them: each ends in the governed store.

The handlers stay MLflow's own, because what they check (a version's source above all) is what keeps a client from
registering somebody else's files. Flask lends them its request; its routing, its hooks and FastAPI's bridge to it are
left out: what those protect, our doors protect before.
"""

from __future__ import annotations

import io
import logging
import sys
from collections.abc import Callable, Mapping
from typing import Any

from mlflow.exceptions import MlflowException
from mlflow.protos.databricks_pb2 import ErrorCode
from mlflow.server import app as flask_app
from mlflow.server import handlers

from lockgate.server.registry.reads import PREFIXES
from lockgate.server.registry.stumbles import problem_of
from lockgate.server.replies import Scope

_BENEATH: Mapping[tuple[str, str], Callable[[], Any]] = {
    ("POST", "registered-models/create"): handlers._create_registered_model,
    ("PATCH", "registered-models/update"): handlers._update_registered_model,
    ("POST", "registered-models/rename"): handlers._rename_registered_model,
    ("DELETE", "registered-models/delete"): handlers._delete_registered_model,
    ("POST", "registered-models/set-tag"): handlers._set_registered_model_tag,
    ("DELETE", "registered-models/delete-tag"): handlers._delete_registered_model_tag,
    ("POST", "registered-models/alias"): handlers._set_registered_model_alias,
    ("DELETE", "registered-models/alias"): handlers._delete_registered_model_alias,
    ("POST", "model-versions/create"): handlers._create_model_version,
    ("PATCH", "model-versions/update"): handlers._update_model_version,
    ("DELETE", "model-versions/delete"): handlers._delete_model_version,
    ("POST", "model-versions/transition-stage"): handlers._transition_stage,
    ("POST", "model-versions/set-tag"): handlers._set_model_version_tag,
    ("DELETE", "model-versions/delete-tag"): handlers._delete_model_version_tag,
}
HANDLERS: Mapping[tuple[str, str], Callable[[], Any]] = {
    (method, prefix + path): handler for prefix in PREFIXES for (method, path), handler in _BENEATH.items()
}

log = logging.getLogger("lockgate.server")


def _not_asked(_name: str) -> bool:
    return False


# after a tag or an alias was written MLflow's handlers read the model, to know which of two webhooks to send. The store
# has seen to that; and a model that somebody deleted meanwhile would turn a write that was done into an error
handlers._is_prompt = _not_asked


def environ(scope: Scope, body: bytes) -> dict[str, Any]:
    """A request as Flask reads it (PEP 3333). Its length is that of the body, whatever the client said or left out."""
    host, port = scope.get("server") or ("localhost", 80)
    told = {
        "REQUEST_METHOD": scope["method"],
        "SCRIPT_NAME": "",
        "PATH_INFO": scope["path"].encode().decode("latin-1"),
        "QUERY_STRING": scope["query_string"].decode("latin-1"),
        "SERVER_NAME": host,
        "SERVER_PORT": str(port),
        "SERVER_PROTOCOL": f"HTTP/{scope['http_version']}",
        "REMOTE_ADDR": (scope.get("client") or ("",))[0],
        "wsgi.version": (1, 0),
        "wsgi.url_scheme": scope.get("scheme", "http"),
        "wsgi.input": io.BytesIO(body),
        # else nothing is read of a body that came in chunks
        "wsgi.input_terminated": True,
        "wsgi.errors": sys.stderr,
        "wsgi.multithread": True,
        "wsgi.multiprocess": True,
        "wsgi.run_once": False,
    }
    for name, value in scope["headers"]:
        key = name.decode("latin-1").upper().replace("-", "_")
        key = key if key == "CONTENT_TYPE" else f"HTTP_{key}"
        told[key] = f"{told[key]},{value.decode('latin-1')}" if key in told else value.decode("latin-1")
    return {**told, "CONTENT_LENGTH": str(len(body))}


def write(handler: Callable[[], Any], scope: Scope, body: bytes) -> tuple[int, str]:
    """Status and JSON of what MLflow's handler answers to this request. Blocks: it is a transaction, or several.

    Raises MlflowException where MLflow itself stumbles over the request.
    """
    try:
        with flask_app.request_context(environ(scope, body)):
            answer = handler()
            return answer.status_code, answer.get_data(as_text=True)
    except MlflowException:
        raise
    except Exception as unforeseen:
        log.exception("%s %s", scope["method"], scope["path"])
        told = problem_of(unforeseen)
        raise MlflowException(told.message, ErrorCode.Value(told.code)) from unforeseen
