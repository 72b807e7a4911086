"""The door before MLflow's artifact routes: what belongs to a registered version is not written to, nor is too much."""

from __future__ import annotations

import json
import posixpath
from collections.abc import Callable
from typing import Any
from urllib.parse import parse_qs

import anyio.to_thread
from mlflow.exceptions import MlflowException
from mlflow.server import handlers
from mlflow.utils.uri import validate_path_is_safe

from lockgate.domain.errors import BadInput, Forbidden
from lockgate.domain.places import place_of, proxied
from lockgate.server import replies
from lockgate.server.problems import Problem, explain
from lockgate.server.registry import artifact_routes, bodies
from lockgate.server.registry.artifact_routes import Kind, Route
from lockgate.server.registry.downloads import download
from lockgate.server.replies import App, Message, Receive, Scope, Send

LONGEST_TOLD = 200
LONGEST_NAME, LONGEST_PATH = 255, 3_000  # bytes: what a disk takes, and leaves room for where the store lies on it
_TELL_IN_BODY = (Kind.MULTIPART, Kind.PRESIGNED_UPLOAD, Kind.PROMPTLAB_RUN)

Judge = Callable[[str, list[str], bool], Forbidden | None]
"""Why nobody may write at these places (delete them, when True) by this route; the refusal is on the record then."""


class ArtifactDoor:
    """Stands before MLflow's application and answers downloads itself. `limit` is the largest upload in bytes.

    An upload is judged before its first byte is read, and again before its last one is passed on: a version may have
    been registered meanwhile, and what was not passed on whole is thrown away.
    """

    def __init__(self, app: App, judge: Judge, *, limit: int) -> None:
        self._app = app
        self._judge = judge
        self._limit = limit

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        route = artifact_routes.find(scope["method"], scope["path"])
        if route is None:
            await self._app(scope, receive, send)
        elif route.kind.is_download:
            if not await download(route, scope, receive, send):
                await self._app(scope, receive, send)
        else:
            await self._write(route, scope, receive, send)

    async def _write(self, route: Route, scope: Scope, receive: Receive, send: Send) -> None:
        if route.kind is Kind.UPLOAD and _told_length(scope) > self._limit:
            await replies.problem(send, _too_large(self._limit))
            return
        if route.kind is Kind.UPLOAD and _is_too_long(route.path):
            await replies.problem(send, _TOO_LONG)
            return
        if route.kind in _TELL_IN_BODY:
            body = await bodies.whole(receive)
            if body is None:
                return  # the client left in the middle of its request
            receive = bodies.again(body, receive)
        else:
            body = b""
        told = f"{scope['method']} {scope['path'][:LONGEST_TOLD]}"
        try:
            places = await anyio.to_thread.run_sync(_places, route, scope, body)
        except (MlflowException, ValueError):
            places = []  # MLflow says what is wrong with it, and writes nothing
        except BadInput as wrong:
            await replies.problem(send, explain(wrong))
            return
        refusal = await self._judged(told, places, route)
        if refusal is not None:
            await replies.problem(send, refusal)
            return
        if route.kind is not Kind.UPLOAD:
            await self._app(scope, receive, send)
            return
        checked = _Checked(receive, send, self._limit, lambda: self._judged(told, places, route))
        await checked.run(self._app, scope)

    async def _judged(self, told: str, places: list[str], route: Route) -> Problem | None:
        if not places:
            return None
        refusal = await anyio.to_thread.run_sync(self._judge, told, places, route.kind is Kind.DELETE)
        return None if refusal is None else explain(refusal)


class _Checked:
    """An upload whose last bytes are passed on only when it may still be written; else its writer sees it break off."""

    def __init__(self, receive: Receive, send: Send, limit: int, judged: Callable[[], Any]) -> None:
        self._receive = receive
        self._send = send
        self._limit = limit
        self._judged = judged
        self._size = 0
        self._refusal: Problem | None = None

    async def run(self, app: App, scope: Scope) -> None:
        try:
            await app(scope, self._next, self._answer)
        except Exception:
            # that it broke off is the writer's trouble only when it was not our doing
            if self._refusal is None:
                raise
        if self._refusal is not None:
            await replies.problem(self._send, self._refusal)

    async def _next(self) -> Message:
        if self._refusal is not None:
            return {"type": "http.disconnect"}
        message = await self._receive()
        if message["type"] != "http.request":
            return message
        self._size += len(message.get("body", b""))
        if self._size > self._limit:
            self._refusal = _too_large(self._limit)
        elif not message.get("more_body", False):
            self._refusal = await self._judged()
        return message if self._refusal is None else {"type": "http.disconnect"}

    async def _answer(self, message: Message) -> None:
        if self._refusal is None:
            await self._send(message)


def _places(route: Route, scope: Scope, body: bytes) -> list[str]:
    """Where the request would write. Raises what MLflow raises for a path that it refuses."""
    match route.kind:
        case Kind.UPLOAD | Kind.DELETE:
            return [_proxied(route.path)]
        case Kind.MULTIPART:
            # the file's name is taken from the body, and whatever folders it names there are not
            name = posixpath.basename(str(_told(body).get("path") or ""))
            return [_proxied(posixpath.join(route.path, name))]
        case Kind.PRESIGNED_UPLOAD:
            return _presigned(_told(body))
        case Kind.PROMPTLAB_RUN:
            return _of_experiment(_told(body))
    return _of_run(parse_qs(scope["query_string"].decode("latin-1")))


def _proxied(path: str) -> str:
    path = validate_path_is_safe(path)
    return proxied(handlers._get_workspace_scoped_repo_path_if_enabled(path) or "")


def _told(body: bytes) -> dict[str, Any]:
    """What the body says. Raises ValueError where it is no JSON, and BadInput where it is no object."""
    told = json.loads(body)
    if told is None:
        return {}
    if not isinstance(told, dict):
        raise BadInput("The body is JSON, but no object.", hint='Send an object, for example {"path": "model"}.')
    return told


def _of_experiment(told: dict[str, Any]) -> list[str]:
    experiment = handlers._get_tracking_store().get_experiment(str(told.get("experiment_id") or ""))
    place = place_of(experiment.artifact_location)
    return [] if place is None else [place]


def _presigned(told: dict[str, Any]) -> list[str]:
    path = validate_path_is_safe(str(told.get("path") or ""))
    store = handlers._get_tracking_store()
    locations = []
    if told.get("run_id"):
        locations.append(store.get_run(told["run_id"]).info.artifact_uri)
    if told.get("model_id"):
        locations.append(store.get_logged_model(told["model_id"]).artifact_location)
    found = (place_of(posixpath.join(location, path)) for location in locations)
    return [place for place in found if place is not None]


def _of_run(told: dict[str, list[str]]) -> list[str]:
    if "run_uuid" not in told or "path" not in told:
        return []
    path = validate_path_is_safe(told["path"][0])
    info = handlers._get_tracking_store().get_run(told["run_uuid"][0]).info
    # what is proxied MLflow writes below the run's usual folder, wherever the run has its artifacts
    usual = _proxied(posixpath.join(info.experiment_id, info.run_id, "artifacts", path))
    own = place_of(posixpath.join(info.artifact_uri, path))
    return [usual] if own is None else [usual, own]


def _told_length(scope: Scope) -> int:
    told = replies.header(scope, b"content-length")
    return int(told) if told is not None and told.isdigit() else 0


def _is_too_long(path: str) -> bool:
    written = path.encode(errors="surrogatepass")
    return len(written) > LONGEST_PATH or any(len(name) > LONGEST_NAME for name in written.split(b"/"))


def _too_large(limit: int) -> Problem:
    said = f"The file is larger than {limit} bytes. Whoever runs the server may raise LOCKGATE_ARTIFACT_LIMIT."
    return Problem(413, "INVALID_PARAMETER_VALUE", said)


_TOO_LONG = Problem(
    400,
    "INVALID_PARAMETER_VALUE",
    f"The file's path is longer than {LONGEST_PATH} bytes, or a name in it than {LONGEST_NAME}. Choose a shorter one.",
)
