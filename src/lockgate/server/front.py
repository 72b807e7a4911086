"""The outermost application: up within a second because it imports no framework, and every request passes its doors."""

from __future__ import annotations

from collections.abc import Callable, Iterable

from lockgate.domain.errors import LockgateError
from lockgate.server.identity import Identity
from lockgate.server.limits import BODY_LIMIT, Doors, Size
from lockgate.server.replies import App, Receive, Scope, Send
from lockgate.server.waiting import WAIT_LIMIT, Waiting


class Front:
    """Doors, size, identity, then waiting for what `build` makes. `failed` hears why it could not be made."""

    def __init__(
        self,
        build: Callable[[], App],
        failed: Callable[[LockgateError], None],
        *,
        ready: Callable[[], None] = lambda: None,
        hosts: Iterable[str] = (),
        body_limit: int = BODY_LIMIT,
        wait_limit: float = WAIT_LIMIT,
    ) -> None:
        self._waiting = Waiting(build, failed, ready=ready, wait_limit=wait_limit)
        self._http: App = Doors(Size(Identity(self._waiting), body_limit), hosts)

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
