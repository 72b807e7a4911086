"""The routes that change the registry. Those that move versions wait for the promotion without holding anything.

A thread, a connection or a transaction held for the length of a rollout would let a handful of clients stop the server.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import logging
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, TypeVar

import anyio.to_thread
from flask import Request
from mlflow.exceptions import MlflowException
from mlflow.protos.model_registry_pb2 import SetRegisteredModelAlias, TransitionModelVersionStage
from mlflow.server import handlers
from mlflow.utils.proto_json_utils import message_to_json

from lockgate.domain.errors import BadInput, LockgateError
from lockgate.domain.promotion import Promotion
from lockgate.server import replies
from lockgate.server.problems import explain
from lockgate.server.registry import bodies
from lockgate.server.registry.reads import PREFIXES
from lockgate.server.registry.writes import HANDLERS, environ, write
from lockgate.server.replies import App, Receive, Scope, Send
from lockgate.usecases import promote
from lockgate.usecases.ports import Ports
from lockgate.usecases.promote import Ask

T = TypeVar("T")
FIRST_PAUSE, LONGEST_PAUSE = 0.05, 0.2  # seconds between two looks at a promotion that goes on
_NAME = {"name": [handlers._assert_string, handlers._assert_required]}
_VERSION = {"version": [handlers._assert_string, handlers._assert_required]}
_TRANSITION = {
    **_NAME,
    **_VERSION,
    "stage": [handlers._assert_string, handlers._assert_required],
    "archive_existing_versions": [handlers._assert_bool],
}
_ALIAS = {**_NAME, "alias": [handlers._assert_string, handlers._assert_required], **_VERSION}

log = logging.getLogger("lockgate.server")


@dataclass(frozen=True, slots=True)
class Wanted:
    """What a request asks for, and how it is answered once that is so: with the version as that step left it.

    The version is None where the promotion took more than one step, and is read then.
    """

    ask: Ask
    answer: Callable[[Any], str]


class NativeRoutes:
    """Takes over what changes models and versions; everything else goes on to MLflow. `wait` is in seconds."""

    def __init__(self, app: App, ports: Ports, wait: float) -> None:
        self._app = app
        self._ports = ports
        self._wait = wait
        self._routes: dict[tuple[str, str], Callable[[Request], Wanted | None]] = {}
        for prefix in PREFIXES:
            self._routes["POST", f"{prefix}model-versions/transition-stage"] = _transition
            self._routes["POST", f"{prefix}registered-models/alias"] = _alias

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        handler = HANDLERS.get((scope["method"], scope["path"]))
        if handler is None:
            await self._app(scope, receive, send)
            return
        body = await bodies.whole(receive)
        if body is None:
            return  # the client left in the middle of its request
        try:
            _refuse_what_is_no_object(body)
            status, answer = await self._done(handler, scope, body)
        except MlflowException as error:
            await _mlflow_error(send, error)
        except LockgateError as error:
            await replies.problem(send, explain(error))
        else:
            await replies.raw_json(send, status, answer)

    async def _done(self, handler: Callable[[], Any], scope: Scope, body: bytes) -> tuple[int, str]:
        read = self._routes.get((scope["method"], scope["path"]))
        begun = None if read is None else await _in_thread(lambda: _begin(read(Request(environ(scope, body)))))
        if begun is None:
            return await _in_thread(lambda: write(handler, scope, body))
        wanted, promotion, version = begun
        promotion = await self._waited(promotion)
        promote.answer(promotion)
        # mostly it is done by now, and there is nothing left to ask the database for
        return 200, wanted.answer(version) if version is not None else await _in_thread(lambda: wanted.answer(None))

    async def _waited(self, promotion: Promotion) -> Promotion:
        loop = asyncio.get_running_loop()
        give_up = loop.time() + self._wait
        pause = FIRST_PAUSE
        while not promotion.state.is_over and loop.time() < give_up:
            await asyncio.sleep(min(pause, max(0.0, give_up - loop.time())))
            pause = min(LONGEST_PAUSE, pause * 1.5)
            promotion = await _in_thread(lambda: promote.look(self._ports, promotion.id))  # noqa: B023 - awaited at once
        return promotion


def _begin(wanted: Wanted | None) -> tuple[Wanted, Promotion, Any] | None:
    if wanted is None:
        return None
    promotion, version = handlers._get_model_registry_store().promote(wanted.ask)
    return wanted, promotion, version


def _transition(request: Request) -> Wanted:
    told = handlers._get_request_message(TransitionModelVersionStage(), request, _TRANSITION)
    store = handlers._get_model_registry_store()
    ask = store.ask_for_stage(told.name, told.version, told.stage, told.archive_existing_versions)

    def answer(version: Any) -> str:
        version = version or store.get_model_version(told.name, told.version)
        return str(message_to_json(TransitionModelVersionStage.Response(model_version=version.to_proto())))

    return Wanted(ask, answer)


def _alias(request: Request) -> Wanted | None:
    told = handlers._get_request_message(SetRegisteredModelAlias(), request, _ALIAS)
    store = handlers._get_model_registry_store()
    ask = store.ask_for_alias(told.name, told.alias, told.version)

    def answer(_version: Any) -> str:
        return "{}"

    return None if ask is None else Wanted(ask, answer)


def _refuse_what_is_no_object(body: bytes) -> None:
    # MLflow answers a list or a number with a page that says 500; what is no JSON at all it explains itself
    told: Any = []
    try:
        told = json.loads(body)
    except ValueError:
        return
    except RecursionError:
        told = []
    if isinstance(told, str):  # as MLflow's older clients send it: JSON within JSON
        with contextlib.suppress(ValueError, RecursionError):
            told = json.loads(told)
    if told is not None and not isinstance(told, dict):
        raise BadInput("The body is JSON, but no object.", hint='Send an object, for example {"name": "fraud"}.')


async def _in_thread(work: Callable[[], T]) -> T:
    return await anyio.to_thread.run_sync(work)


async def _mlflow_error(send: Send, error: Any) -> None:
    status = error.get_http_status_code()
    if status >= 500:
        log.error("%s: %s", error.error_code, error.message)
    await replies.raw_json(send, status, error.serialize_as_json())
