"""Which of MLflow's routes are open: unknown ways to change the registry are refused, and some routers are off."""

from __future__ import annotations

import re
from collections.abc import Callable

from lockgate.domain.errors import Forbidden
from lockgate.server import replies
from lockgate.server.limits import CHANGING
from lockgate.server.problems import explain
from lockgate.server.replies import App, Receive, Scope, Send

# every route of MLflow 3.17 that changes the registry, beneath registered-models and model-versions; each ends in a
# mutator of the governed store
KNOWN = frozenset(
    {
        ("POST", "registered-models/create"),
        ("PATCH", "registered-models/update"),
        ("POST", "registered-models/rename"),
        ("DELETE", "registered-models/delete"),
        ("POST", "registered-models/get-latest-versions"),
        ("POST", "registered-models/set-tag"),
        ("DELETE", "registered-models/delete-tag"),
        ("POST", "registered-models/alias"),
        ("DELETE", "registered-models/alias"),
        ("POST", "model-versions/create"),
        ("PATCH", "model-versions/update"),
        ("POST", "model-versions/transition-stage"),
        ("DELETE", "model-versions/delete"),
        ("POST", "model-versions/set-tag"),
        ("DELETE", "model-versions/delete-tag"),
    }
)
_REGISTRY = re.compile(
    r"^/(ajax-)?api/\d+\.\d+/(mlflow/|preview/)*"
    r"(?P<rest>(registered-models|model-versions|registered_models|model_versions|unity-catalog)(/.*)?)$"
)
_OFF = re.compile(
    r"^/(ajax-)?(api/\d+\.\d+/mlflow/(assistant|gateway|gateway-proxy|mcp-servers|mcp|jobs|scorer|prompt-optimization)|api/\d+\.\d+/jobs"
    r"|api/\d+\.\d+/mlflow/(issues|genai/evaluate)/invoke)(/|$)"
    r"|^/gateway(/|$)"
)
_WORKSPACES = re.compile(r"^/(ajax-)?api/\d+\.\d+/mlflow/workspaces(/|$)")
_SLASHES = re.compile(r"/{2,}")

Refusal = Callable[[str, Forbidden], None]


class Gatekeeper:
    """Stands before MLflow's application. `refused` is told of each refused change, with the route and the reason."""

    def __init__(self, app: App, refused: Callable[[str, Forbidden], object]) -> None:
        self._app = app
        self._refused = refused

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        refusal = judge_route(scope["method"], scope["path"])
        if refusal is None:
            await self._app(scope, receive, send)
            return
        if scope["method"] in CHANGING:
            # off the loop: it is a transaction
            import anyio.to_thread

            await anyio.to_thread.run_sync(self._refused, f"{scope['method']} {scope['path'][:200]}", refusal)
        await replies.problem(send, explain(refusal))


def judge_route(method: str, path: str) -> Forbidden | None:
    """Why this route is closed, or None when it is open."""
    path = _SLASHES.sub("/", path)
    if _OFF.match(path):
        return Forbidden(f"{path} is off by default on this server.", hint="Run what you need of it beside Lockgate.")
    if method not in CHANGING:
        return None
    if _WORKSPACES.match(path):
        return Forbidden("MLflow's workspaces are off on this server.", hint="Use the default one.")
    found = _REGISTRY.match(path)
    if found is None or (method, found["rest"].rstrip("/")) in KNOWN:
        return None
    return Forbidden(
        f"{method} {path} is no way to change the registry that Lockgate knows, so it is refused.",
        hint="Look whether this server's MLflow release has the route you mean.",
    )
