"""MLflow's hot reads as plain ASGI: one or two statements each, before any framework is reached.

A request in the form MLflow's clients and pages send is answered here. Anything else (a parameter that is missing or
malformed, a body where a query is usual, a page of another origin) goes on to MLflow's own code, which reads the same
store.
"""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable, Mapping
from typing import Any
from urllib.parse import unquote_plus

import anyio.to_thread
import orjson
from mlflow.exceptions import MlflowException
from mlflow.server import handlers

from lockgate.domain.errors import LockgateError
from lockgate.server import replies
from lockgate.server.limits import has_no_body
from lockgate.server.problems import explain
from lockgate.server.registry import answers, bodies
from lockgate.server.registry.workspaces import active
from lockgate.server.replies import App, Receive, Scope, Send

Parameters = Mapping[str, Any]  # one text each; a list where a parameter may be repeated
Read = Callable[[Parameters], Awaitable[Any]]

PREFIXES = ("/api/2.0/mlflow/", "/ajax-api/2.0/mlflow/")
_LISTS = frozenset({"stages", "order_by"})
_MOST_DIGITS = 6  # of a page's size: no limit of MLflow's has more
_LONG = 2_000  # characters of a filter or an order that may take a while to understand
_JSON = (b"application/json", b"application/json; charset=utf-8")
_HEADERS = [
    (b"content-type", b"application/json"),
    (b"x-content-type-options", b"nosniff"),
    (b"x-frame-options", b"SAMEORIGIN"),
]

log = logging.getLogger("lockgate.server")


class _Unusual(Exception):
    """A form that is MLflow's to judge."""


class NativeReads:
    """Answers reads of the registry from `store`, MLflow's if none is given; everything else goes on to `app`."""

    def __init__(self, app: App, store: Any = None) -> None:
        self._app = app
        self._store = store or handlers._get_model_registry_store()
        gets: dict[str, Read] = {
            "model-versions/get": self._version,
            "model-versions/get-download-uri": self._location,
            "model-versions/search": self._search_versions,
            "registered-models/alias": self._by_alias,
            "registered-models/get": self._model,
            "registered-models/get-latest-versions": self._latest,
            "registered-models/search": self._search_models,
        }
        self._gets = {prefix + path: read for prefix in PREFIXES for path, read in gets.items()}
        self._posts = {f"{prefix}registered-models/get-latest-versions": self._latest for prefix in PREFIXES}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        method, path = scope["method"], scope["path"]
        if method == "GET" and (read := self._gets.get(path)) is not None:
            # a page of another origin is told by MLflow whether it may read the answer; without a query MLflow reads
            # the body of a GET
            if replies.header(scope, b"origin") is None and (scope["query_string"].strip(b"&") or has_no_body(scope)):
                try:
                    await self._answer(read, _asked(scope["query_string"]), send)
                    return
                except _Unusual:
                    pass
        elif method == "POST" and (read := self._posts.get(path)) is not None:
            body = await bodies.whole(receive)
            if body is None:
                return  # the client left in the middle of its request
            receive = bodies.again(body, receive)
            try:
                await self._answer(read, _told(scope, body), send)
                return
            except _Unusual:
                pass
        await self._app(scope, receive, send)

    async def _answer(self, read: Read, asked: Parameters, send: Send) -> None:
        try:
            body = orjson.dumps(await read(asked))
        except MlflowException as error:
            await replies.raw_json(send, error.get_http_status_code(), error.serialize_as_json())
            return
        except LockgateError as error:
            log.warning("%s", error)
            await replies.problem(send, explain(error))
            return
        length = (b"content-length", str(len(body)).encode())
        await send({"type": "http.response.start", "status": 200, "headers": [*_HEADERS, length]})
        await send({"type": "http.response.body", "body": body})

    # --- the reads --------------------------------------------------------------------------------------------------

    async def _version(self, asked: Parameters) -> Any:
        steps = self._store.reading.version(active(), _text(asked, "name"), _text(asked, "version"))
        return {"model_version": answers.version(await self._store.answer(steps))}

    async def _by_alias(self, asked: Parameters) -> Any:
        steps = self._store.reading.by_alias(active(), _text(asked, "name"), _text(asked, "alias"))
        return {"model_version": answers.version(await self._store.answer(steps))}

    async def _latest(self, asked: Parameters) -> Any:
        steps = self._store.reading.latest(active(), _text(asked, "name"), asked.get("stages"))
        found = [answers.version(row) for row in await self._store.answer(steps)]
        return {"model_versions": found} if found else {}

    async def _location(self, asked: Parameters) -> Any:
        steps = self._store.reading.location(active(), _text(asked, "name"), _text(asked, "version"))
        found = await self._store.answer(steps)
        return {} if found is None else {"artifact_uri": found}

    async def _model(self, asked: Parameters) -> Any:
        steps = self._store.reading.model(active(), _text(asked, "name"))
        return {"registered_model": answers.model(await self._store.answer(steps), found_by_search=False)}

    async def _search_models(self, asked: Parameters) -> Any:
        page = await self._searched(self._store.reading.search_models, asked, most=1_000, usual=100)
        found = [answers.model(row, found_by_search=True) for row in page.rows]
        return _page("registered_models", found, page.token)

    async def _search_versions(self, asked: Parameters) -> Any:
        page = await self._searched(self._store.reading.search_versions, asked, most=200_000, usual=200_000)
        return _page("model_versions", [answers.version(row) for row in page.rows], page.token)

    async def _searched(self, search: Callable[..., Any], asked: Parameters, *, most: int, usual: int) -> Any:
        size = _number(asked, "max_results", usual)
        if size > most:
            raise _Unusual
        written, order_by = asked.get("filter", ""), asked.get("order_by", ())
        steps = search(active(), written, size, order_by, asked.get("page_token"))
        if len(written) + sum(map(len, order_by)) > _LONG:
            return await anyio.to_thread.run_sync(self._store.read, steps)
        return await self._store.answer(steps)


def _page(name: str, found: list[dict[str, Any]], token: str | None) -> dict[str, Any]:
    told: dict[str, Any] = {name: found} if found else {}
    return {**told, "next_page_token": token} if token else told


def _asked(query: bytes) -> Parameters:
    """The parameters of a query as Flask reads them: of one that stands twice the first counts."""
    found: dict[str, Any] = {}
    try:
        written = query.decode("ascii")
        for part in written.split("&"):
            name, _, value = part.partition("=")
            if "%" in part or "+" in part:
                name, value = unquote_plus(name, errors="strict"), unquote_plus(value, errors="strict")
            if name in _LISTS:
                found.setdefault(name, []).append(value)
            else:
                found.setdefault(name, value)
    except UnicodeDecodeError:
        raise _Unusual from None
    return found


def _told(scope: Scope, body: bytes) -> Parameters:
    """The parameters of a JSON body, when it is a plain object of texts and lists of texts."""
    kind = replies.header(scope, b"content-type")
    if kind not in _JSON:  # MLflow knows it in lower case only
        raise _Unusual
    try:
        told = orjson.loads(body)
    except orjson.JSONDecodeError:
        raise _Unusual from None
    if not isinstance(told, dict) or not told.keys() <= {"name", "stages"}:
        raise _Unusual
    stages = told.get("stages", [])
    if not isinstance(stages, list) or not all(isinstance(stage, str) for stage in stages):
        raise _Unusual
    return told


def _text(asked: Parameters, name: str) -> str:
    value = asked.get(name)
    if not isinstance(value, str) or not value:
        raise _Unusual
    return value


def _number(asked: Parameters, name: str, usual: int) -> int:
    value = asked.get(name)
    if value is None:
        return usual
    if not value.isascii() or not value.isdigit() or len(value) > _MOST_DIGITS:
        raise _Unusual
    return int(value)
