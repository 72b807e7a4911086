"""The outermost application: up within a second because it imports no framework, and every request passes its doors."""

from __future__ import annotations

from collections.abc import Callable

from lockgate.domain.errors import LockgateError
from lockgate.server.arrival import CLOSED, Openings
from lockgate.server.limits import BODY_LIMIT, Doors, Size
from lockgate.server.replies import App, Receive, Scope, Send
from lockgate.server.waiting import WAIT_LIMIT, Waiting


class Front:
    """Doors and size, then waiting for what `build` makes. `failed` hears why it could not be made.

    Who asks is looked at behind that: it takes the database, and before it is there only the health is told.
    """

    def __init__(
        self,
        build: Callable[[], App],
        failed: Callable[[LockgateError], None],
        doors: Openings = CLOSED,
        *,
        ready: Callable[[], None] = lambda: None,
        body_limit: int = BODY_LIMIT,
        wait_limit: float = WAIT_LIMIT,
    ) -> None:
        self._waiting = Waiting(build, failed, ready=ready, wait_limit=wait_limit)
        self._http: App = Doors(Size(self._waiting, body_limit), doors)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        match scope["type"]:
            case "http":
                await self._http(scope, receive, send)
            case "lifespan":
                await self._lifespan(receive, send)
            case _:
                await send({"type": "websocket.close", "code": 1000})

    async def _lifespan(self, receive: Receive, send: Send) -> None:
        # MLflow's own lifespan looks after its assistant's sandboxes, which are off here, so it is not run
        while True:
            message = await receive()
            if message["type"] == "lifespan.startup":
                self._waiting.start()
                await send({"type": "lifespan.startup.complete"})
            else:
                await send({"type": "lifespan.shutdown.complete"})
                return
