"""The life of one worker: load, warm up, wait for the word, answer, hand its clients over, stay warm or leave."""

from __future__ import annotations

import asyncio
import gc
import logging
import os
import signal
import socket
from collections.abc import Awaitable, Sequence
from pathlib import Path
from typing import Any

from lockgate.domain.serving import GroupState
from lockgate.wire.workers import STATUS_FILE, Command, WorkerConfig, WorkerStatus
from lockgate.worker.control import Control
from lockgate.worker.edges import Edges
from lockgate.worker.http.messages import identity_of
from lockgate.worker.http.tls import BadCertificate
from lockgate.worker.invocations.reasons import NotLoaded
from lockgate.worker.invocations.served import EXIT_STUCK, Served
from lockgate.worker.observing.watch import Watch
from lockgate.worker.routing.app import Router
from lockgate.worker.routing.loading import LoadedBeside
from lockgate.worker.routing.traffic import Traffic

_log = logging.getLogger("lockgate.worker")
_LOOK_EVERY = 0.02
_HAND_OVER_AFTER = 0.01  # less than the first look of one that is to become quiet
EXIT_FAILED = 3


class Worker:
    """One version behind one shared listening socket."""

    def __init__(self, config: WorkerConfig, listener: socket.socket) -> None:
        self._config = config
        self._listener: socket.socket | None = listener
        self._watch = Watch(config, busy=lambda: self._edges.busy)
        self._router = Router(config, self._watch, LoadedBeside)
        self._edges = Edges(
            config,
            self._router,
            self._router.passed_on,
            self._watch,
            identity=identity_of(config.model, config.version, config.release),
        )
        self._state = GroupState.STARTING
        self._because = ""
        self._served: Served | None = None
        self._leaving: asyncio.Task[None] | None = None
        self._handing: asyncio.TimerHandle | None = None
        self._over: asyncio.Future[int] | None = None

    async def run(self) -> int:
        """Live until told to leave. The exit code: 0 after leaving, 3 when the model did not load, 4 when it hangs."""
        loop = asyncio.get_running_loop()
        self._over = loop.create_future()
        try:
            await self._edges.open()
        except BadCertificate as error:
            self._fail(str(error))
            return EXIT_FAILED
        control = Control(Path(self._config.folder), self._handle, lambda: self._listener)
        self._watch.start(loop)
        self._router.feedback = self._watch.feedback
        tasks = [loop.create_task(control.serve()), loop.create_task(self._load())]
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, self._stop)
        code = await self._over
        for task in tasks:
            task.cancel()
        self._watch.close()
        self._router.close()
        return code

    def _handle(self, command: Command, asked: dict[str, Any]) -> dict[str, Any] | Awaitable[dict[str, Any]]:
        done = True
        match command:
            case Command.HELLO:
                pass
            case Command.GO:
                return self._go()
            case Command.DRAIN if asked.get("forward"):
                self._make_way([Path(folder) for folder in asked.get("to", ())], park=bool(asked.get("park")))
            case Command.DRAIN:
                self._retire()
            case Command.REST:
                done = self._rest()
            case Command.STOP:
                self._stop()
            case Command.LISTENER:
                done = self._listener is not None
            case Command.TOKENS:
                self._router.entrance.admit(map(str, asked["tokens"]))
            case Command.ROUTES:
                self._router.tell_routes(asked)
            case Command.SPLIT:
                self._router.tell_split(asked)
        return self._told(done)

    def _told(self, done: bool) -> dict[str, Any]:
        return {"ok": done, "listener": self._listener is not None, **_fields(self._status())}

    def _status(self) -> WorkerStatus:
        told = self._config
        return WorkerStatus(
            worker=told.worker,
            endpoint=told.endpoint,
            release=told.release,
            generation=told.generation,
            pid=os.getpid(),
            state=self._state.value,
            host=told.host,
            port=told.port,
            because=self._because,
        )

    # --- loading

    async def _load(self) -> None:
        try:
            served, version = await asyncio.to_thread(self._loaded)
        except NotLoaded as error:
            self._fail(str(error))
            return
        self._served = served
        self._router.mlflow_version = version
        self._router.served = served
        self._watch.loaded(served.engine)
        if self._state is GroupState.STARTING:
            self._state = GroupState.READY
        _log.info("ready, with the engine %s", served.engine)
        await served.stuck.wait()
        # its owner starts another
        _log.error("too many predictions never ended, giving up")
        self._end(EXIT_STUCK)

    def _loaded(self) -> tuple[Served, str]:
        served = Served.load(self._config, self._watch)
        from mlflow.version import VERSION

        # what is here now stays: without it the collector looks at every object of MLflow's, in tenths of a second
        gc.collect()
        gc.freeze()
        return served, VERSION

    def _fail(self, because: str) -> None:
        self._state, self._because = GroupState.FAILED, because
        path = Path(self._config.folder) / STATUS_FILE
        whole = path.with_suffix(".tmp")
        whole.write_bytes(self._status().encode())
        whole.rename(path)
        self._end(EXIT_FAILED)

    # --- taking traffic, and giving it up

    async def _go(self) -> dict[str, Any]:
        if self._state not in (GroupState.READY, GroupState.DRAINING, GroupState.SERVING) or self._listener is None:
            return self._told(False)
        self._stay()
        self._router.turn(Traffic.ANSWER)
        await self._edges.accept(self._listener)
        self._state = GroupState.SERVING
        return self._told(True)

    def _make_way(self, to: Sequence[Path], *, park: bool) -> None:
        """Accept no more and let others have the clients; then stay warm, or leave."""
        self._edges.accept_no_more()
        self._router.turn(Traffic.FORWARD, to)
        # from here on nothing is answered here, which is what the agent waits to hear. Handing over takes time that the
        # other workers of this release need to stop as well, so it comes after; who asks meanwhile is handed over then
        if self._handing is not None:
            self._handing.cancel()
        self._handing = asyncio.get_running_loop().call_later(_HAND_OVER_AFTER, self._hand_over, to)
        self._quieten(self._config.idle_seconds, then_stay=park)

    def _hand_over(self, to: Sequence[Path]) -> None:
        if self._router.traffic is Traffic.FORWARD:
            self._edges.give_all(to)

    def _retire(self) -> None:
        """Accept no more, with nobody to take over."""
        self._edges.accept_no_more()
        self._router.turn(Traffic.REFUSE)
        self._drop_listener()
        self._edges.leave()
        self._quieten(self._config.idle_seconds)

    def _stop(self) -> None:
        self._edges.accept_no_more()
        if self._router.traffic is Traffic.ANSWER:
            self._router.turn(Traffic.REFUSE)
        self._drop_listener()
        self._edges.leave()
        self._quieten(0.0)

    def _rest(self) -> bool:
        if self._state is GroupState.DRAINING and self._listener is not None:
            self._stay()
            self._state = GroupState.READY
        return self._state is GroupState.READY

    def _drop_listener(self) -> None:
        # the address is free only when nobody holds the socket any more
        if self._listener is not None:
            self._listener.close()
            self._listener = None

    def _quieten(self, idle_seconds: float, *, then_stay: bool = False) -> None:
        self._stay()
        self._state = GroupState.DRAINING
        self._leaving = asyncio.get_running_loop().create_task(self._when_quiet(idle_seconds, then_stay))

    def _stay(self) -> None:
        if self._leaving is not None:
            self._leaving.cancel()
            self._leaving = None

    async def _when_quiet(self, idle_seconds: float, then_stay: bool) -> None:
        """Park or exit once the last connection is gone.

        Those that could not be handed over are closed when they have been idle; a request under way gets its answer.
        """
        # whoever gave the command gets its answer first
        await asyncio.sleep(_LOOK_EVERY)
        await self._empty(idle_seconds)
        if then_stay:
            self._leaving = None
            self._state = GroupState.READY
            return
        self._edges.close()
        await self._empty(idle_seconds)  # of what was on its way here from other workers
        self._end(0)

    async def _empty(self, idle_seconds: float) -> None:
        loop = asyncio.get_running_loop()
        began = loop.time()
        last = began + max(self._config.grace_seconds, self._config.timeout_seconds + 1)
        while len(self._edges) and loop.time() < last:
            if loop.time() >= began + idle_seconds:
                self._edges.close_idle()
            if not self._edges.busy and loop.time() >= began + self._config.grace_seconds:
                break
            await asyncio.sleep(_LOOK_EVERY)

    def _end(self, code: int) -> None:
        if self._over is not None and not self._over.done():
            self._over.set_result(code)


def _fields(status: WorkerStatus) -> dict[str, Any]:
    return {name: getattr(status, name) for name in status.__dataclass_fields__}
