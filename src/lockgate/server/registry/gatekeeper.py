"""Which of MLflow's routes are open: a change by a way that nobody has read is refused, and some routers are off."""

from __future__ import annotations

from collections.abc import Callable, Collection

import anyio.to_thread

from lockgate.config import Router
from lockgate.domain.errors import Forbidden
from lockgate.server import replies
from lockgate.server.limits import SAFE
from lockgate.server.problems import Problem, explain
from lockgate.server.registry import known_routes
from lockgate.server.registry.known_routes import Changes
from lockgate.server.replies import App, Receive, Scope, Send

LONGEST_TOLD = 200


class Gatekeeper:
    """Stands before MLflow's application. `opened` are the routers that are on.

    `refused` is told of each refused change, with the route and the reason; `called` of each call through an opened
    router that can change something, before it goes on: what cannot be put on the record does not happen.
    """

    def __init__(
        self,
        app: App,
        *,
        refused: Callable[[str, Forbidden], object],
        called: Callable[[str, str], object],
        opened: Collection[Router] = (),
    ) -> None:
        self._app = app
        self._refused = refused
        self._called = called
        self._opened = frozenset(opened)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        method, path = scope["method"], scope["path"]
        route = known_routes.find(method, path)
        if route is not None and route.router is None:
            await self._app(scope, receive, send)
            return
        told = f"{method} {path[:LONGEST_TOLD]}"
        match judge_route(method, path, self._opened):
            case Forbidden() as refusal:
                if method not in SAFE:
                    # off the loop: it is a transaction
                    await anyio.to_thread.run_sync(self._refused, told, refusal)
                await replies.problem(send, explain(refusal))
            case Problem() as unknown:
                await replies.problem(send, unknown)
            case None:
                if route is not None and route.router is not None and route.changes is not Changes.NOTHING:
                    await anyio.to_thread.run_sync(self._called, route.router.value, told)
                await self._app(scope, receive, send)


def judge_route(method: str, path: str, opened: Collection[Router] = ()) -> Forbidden | Problem | None:
    """None when the route is open. Else why it is closed, or what is told of a route that nobody knows."""
    route = known_routes.find(method, path)
    if route is not None and route.router is None:
        return None
    router = known_routes.router_of(path) if route is None else route.router
    in_registry, path = known_routes.is_of_the_registry(path), path[:LONGEST_TOLD]
    if router is not None and router not in opened:
        return Forbidden(
            f"{method} {path} is off by default on this server: it belongs to {router.value}.",
            hint=f"Whoever runs the server opens it with --mlflow-routers {router.value}.",
        )
    if route is not None or method in SAFE:
        return None
    if in_registry:
        return Forbidden(
            f"{method} {path} is no way to change the registry that Lockgate knows, so it is refused.",
            hint="Look whether this server's MLflow release has the route you mean.",
        )
    # the code that MLflow's clients take for a server of another release, where some of them have another way
    return Problem(404, "ENDPOINT_NOT_FOUND", f"There is no {method} {path} here: docs/reference/routes.md lists all.")
