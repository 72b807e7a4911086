"""MLflow's workspaces: the one a request is about, found once for MLflow's routes and for ours."""

from __future__ import annotations

import anyio.to_thread
from mlflow.environment_variables import MLFLOW_ENABLE_WORKSPACES
from mlflow.exceptions import MlflowException
from mlflow.server.workspace_helpers import WORKSPACE_HEADER_NAME, resolve_workspace_for_request_if_enabled
from mlflow.utils.workspace_context import get_request_workspace, set_server_request_workspace
from mlflow.utils.workspace_utils import DEFAULT_WORKSPACE_NAME

from lockgate.server import replies
from lockgate.server.replies import App, Receive, Scope, Send

_HEADER = WORKSPACE_HEADER_NAME.lower().encode()


def active() -> str:
    """The workspace of the request that is being answered; MLflow's default one where workspaces are off."""
    if not MLFLOW_ENABLE_WORKSPACES.get():
        return DEFAULT_WORKSPACE_NAME
    return get_request_workspace() or DEFAULT_WORKSPACE_NAME


class Workspaces:
    """Finds the workspace that a request's header names, or the default one, before anything reads or writes.

    A name that is malformed or unknown, and any name where workspaces are off, is answered as MLflow answers it.
    """

    def __init__(self, app: App) -> None:
        self._app = app
        self._enabled = bool(MLFLOW_ENABLE_WORKSPACES.get())

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        named = replies.header(scope, _HEADER)
        if not self._enabled and not named:
            await self._app(scope, receive, send)
            return
        name = (named or b"").decode("latin-1")
        try:
            # a look into the database
            found = await anyio.to_thread.run_sync(resolve_workspace_for_request_if_enabled, scope["path"], name)
        except MlflowException as error:
            await replies.raw_json(send, error.get_http_status_code(), error.serialize_as_json())
            return
        # a request has a context of its own, so nothing has to be put back
        set_server_request_workspace(found.name if found else None)
        await self._app(scope, receive, send)
