"""The life of one worker: load, warm up, wait for the word, answer, leave without cutting anyone off."""

from __future__ import annotations

import asyncio
import logging
import os
import signal
import socket
from pathlib import Path
from typing import Any

from lockgate.domain.serving import GroupState
from lockgate.wire.workers import STATUS_FILE, Command, WorkerConfig, WorkerStatus
from lockgate.worker.artifacts import manifest_of
from lockgate.worker.control import Control
from lockgate.worker.edge import Edge
from lockgate.worker.metrics import Metrics
from lockgate.worker.predictions import Predictions
from lockgate.worker.protocol import Connections
from lockgate.worker.scoring import Scorer, why_it_did_not_load
from lockgate.worker.traffic import Direction, Traffic

_log = logging.getLogger("lockgate.worker")
_BACKLOG = 4096
_LOOK_EVERY = 0.05
EXIT_STUCK = 4
EXIT_FAILED = 3


class NotLoaded(Exception):
    """The model cannot be served; the text is for a person."""


class Worker:
    """One model behind one shared listening socket."""

    def __init__(self, config: WorkerConfig, listener: socket.socket) -> None:
        self._config = config
        self._listener: socket.socket | None = listener
        self._direction = Direction()
        self._metrics = Metrics({"model": config.model, "version": str(config.version), "worker": config.worker})
        self._predictions = Predictions(threads=config.threads, queue_limit=config.queue_limit)
        self._edge = Edge(config, self._direction, self._predictions, self._metrics)
        self._connections = Connections(
            self._edge, keep_alive_seconds=config.keep_alive_seconds, identity=self._edge.identity
        )
        self._state = GroupState.STARTING
        self._because = ""
        self._accepting: asyncio.Server | None = None
        self._leaving: asyncio.Task[None] | None = None
        self._over: asyncio.Future[int] | None = None

    async def run(self) -> int:
        """Live until told to leave. The exit code: 0 after leaving, 3 when the model did not load, 4 when it hangs."""
        loop = asyncio.get_running_loop()
        self._over = loop.create_future()
        control = Control(Path(self._config.folder), self._handle, lambda: self._listener)
        tasks = [loop.create_task(control.serve()), loop.create_task(self._load()), loop.create_task(self._watch())]
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, self._stop)
        code = await self._over
        for task in tasks:
            task.cancel()
        return code

    async def _handle(self, command: Command, asked: dict[str, Any]) -> dict[str, Any]:
        done = True
        match command:
            case Command.HELLO:
                pass
            case Command.GO:
                done = await self._go()
            case Command.DRAIN:
                self._drain(Traffic.FORWARD if asked.get("forward") else Traffic.REFUSE)
            case Command.REST:
                done = self._rest()
            case Command.STOP:
                self._stop()
            case Command.LISTENER:
                done = self._listener is not None
            case Command.TOKENS:
                self._edge.entrance.admit(map(str, asked["tokens"]))
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

    async def _load(self) -> None:
        try:
            await self._predictions.run(self._load_here, None)
        except NotLoaded as error:
            self._fail(str(error))
            return
        if self._state is GroupState.STARTING:
            self._state = GroupState.READY
        _log.info("ready")

    def _load_here(self) -> None:
        folder = Path(self._config.artifacts)
        try:
            if not folder.is_dir():
                raise NotLoaded(f"The artifacts are not there: {folder} does not exist.")
            if manifest_of(folder).digest != self._config.digest:
                raise NotLoaded("The artifacts have changed since they were pinned: their digest is another one.")
            scorer = Scorer.load(folder)
            scorer.warm_up(folder)
            from mlflow.version import VERSION
        except NotLoaded:
            raise
        except BaseException as error:  # a model's code can raise anything, SystemExit too, and each is a reason
            _log.exception("the model did not load")
            raise NotLoaded(why_it_did_not_load(error, folder)) from error
        self._edge.mlflow_version = VERSION
        self._edge.scorer = scorer

    def _fail(self, because: str) -> None:
        self._state, self._because = GroupState.FAILED, because
        path = Path(self._config.folder) / STATUS_FILE
        whole = path.with_suffix(".tmp")
        whole.write_bytes(self._status().encode())
        whole.rename(path)
        self._end(EXIT_FAILED)

    async def _go(self) -> bool:
        if self._state not in (GroupState.READY, GroupState.DRAINING, GroupState.SERVING) or self._listener is None:
            return False
        self._stay()
        if self._accepting is None:
            # a duplicate, because the loop closes what it is given and this process may be asked for the listener later
            shared = self._listener.dup()
            loop = asyncio.get_running_loop()
            self._accepting = await loop.create_server(self._connections, sock=shared, backlog=_BACKLOG)
        self._direction.now = Traffic.ANSWER
        self._state = GroupState.SERVING
        return True

    def _rest(self) -> bool:
        if self._state is GroupState.DRAINING and self._listener is not None:
            self._stay()
            self._state = GroupState.READY
        return self._state is GroupState.READY

    def _drain(self, direction: Traffic) -> None:
        self._accept_no_more()
        self._direction.now = direction
        if direction is Traffic.REFUSE:
            self._drop_listener()
        if self._state is not GroupState.DRAINING:
            self._leave(self._config.idle_seconds)

    def _stop(self) -> None:
        self._accept_no_more()
        if self._direction.now is Traffic.ANSWER:
            self._direction.now = Traffic.REFUSE
        self._drop_listener()
        self._stay()
        self._leave(0.0)

    def _accept_no_more(self) -> None:
        if self._accepting is not None:
            self._accepting.close()
            self._accepting = None

    def _drop_listener(self) -> None:
        # the address is free only when nobody holds the socket any more
        if self._listener is not None:
            self._listener.close()
            self._listener = None

    def _leave(self, idle_seconds: float) -> None:
        self._state = GroupState.DRAINING
        self._connections.leave()
        self._leaving = asyncio.get_running_loop().create_task(self._leave_when_quiet(idle_seconds))

    def _stay(self) -> None:
        if self._leaving is not None:
            self._leaving.cancel()
            self._leaving = None

    async def _leave_when_quiet(self, idle_seconds: float) -> None:
        """Exit when the last connection is gone. Idle ones are closed in time; a request under way gets its own."""
        loop = asyncio.get_running_loop()
        began = loop.time()
        last = began + max(self._config.grace_seconds, self._config.timeout_seconds + 1)
        # at least one wait: whoever gave the command gets its answer first
        await asyncio.sleep(_LOOK_EVERY)
        while len(self._connections) and loop.time() < last:
            if loop.time() >= began + idle_seconds:
                self._connections.close_idle()
            if not self._connections.busy and loop.time() >= began + self._config.grace_seconds:
                break
            await asyncio.sleep(_LOOK_EVERY)
        self._end(0)

    async def _watch(self) -> None:
        """End a worker whose predictions never come back: its owner starts another."""
        await self._predictions.stuck.wait()
        _log.error("too many predictions never ended, giving up")
        self._end(EXIT_STUCK)

    def _end(self, code: int) -> None:
        if self._over is not None and not self._over.done():
            self._over.set_result(code)


def _fields(status: WorkerStatus) -> dict[str, Any]:
    return {name: getattr(status, name) for name in status.__dataclass_fields__}
