"""Open at once, ready later: requests wait while a thread imports MLflow and builds what is behind this door."""

from __future__ import annotations

import asyncio
import logging
import threading
from collections.abc import Callable

from lockgate.domain.errors import LockgateError, Unavailable
from lockgate.server import replies
from lockgate.server.problems import Problem
from lockgate.server.replies import App, Receive, Scope, Send

log = logging.getLogger("lockgate.server")
WAIT_LIMIT = 60.0  # seconds a request waits for MLflow: longer than any import takes, shorter than a client's patience


class Waiting:
    """Answers `/health` and `/ready` itself and passes everything else on, as soon as there is something to pass it to.

    `build` runs once, in a thread. Then `ready` is called in the event loop, or `failed` with the reason.
    """

    def __init__(
        self,
        build: Callable[[], App],
        failed: Callable[[LockgateError], None],
        *,
        ready: Callable[[], None] = lambda: None,
        wait_limit: float = WAIT_LIMIT,
    ) -> None:
        self._build = build
        self._failed = failed
        self._is_ready = ready
        self._wait_limit = wait_limit
        self._inner: App | None = None
        self._because = ""
        self._settled = asyncio.Event()

    def start(self) -> None:
        """Begin building. Called once, from the event loop."""
        loop = asyncio.get_running_loop()
        # a daemon: a stop in the middle of the import must not wait for its end
        threading.Thread(target=self._work, args=(loop,), name="build", daemon=True).start()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        match scope["path"]:
            case "/health":
                await replies.text(send, 200, "OK")
            case "/ready":
                await self._ready(send)
            case _:
                await self._pass_on(scope, receive, send)

    def _work(self, loop: asyncio.AbstractEventLoop) -> None:
        inner: App | None = None
        error: LockgateError | None = None
        try:
            inner = self._build()
        except LockgateError as known:
            error = known
        except Exception as unknown:  # whatever keeps us from starting is the reason we give
            log.debug("the server could not be put together", exc_info=True)
            error = Unavailable(f"The server could not start: {type(unknown).__name__}: {unknown}")
        try:
            loop.call_soon_threadsafe(self._settle, inner, error)
        except RuntimeError:  # the loop was closed: we are being stopped, and nobody waits for this any more
            return

    def _settle(self, inner: App | None, error: LockgateError | None) -> None:
        self._inner, self._because = inner, str(error or "")
        self._settled.set()
        if error is not None:
            self._failed(error)
        else:
            self._is_ready()

    async def _ready(self, send: Send) -> None:
        if self._inner is not None:
            await replies.json_body(send, 200, {"ready": True})
        else:
            because = self._because or "MLflow is still being loaded"
            await replies.json_body(send, 503, {"ready": False, "because": because})

    async def _pass_on(self, scope: Scope, receive: Receive, send: Send) -> None:
        if not self._settled.is_set():
            try:
                async with asyncio.timeout(self._wait_limit):
                    await self._settled.wait()
            except TimeoutError:
                said = f"MLflow is not loaded after {self._wait_limit:.0f} s. Ask GET /ready, and try again."
                await replies.problem(send, Problem(503, "TEMPORARILY_UNAVAILABLE", said))
                return
        if self._inner is None:
            await replies.problem(send, Problem(503, "TEMPORARILY_UNAVAILABLE", self._because))
            return
        await self._inner(scope, receive, send)
