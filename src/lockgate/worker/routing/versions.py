"""Further versions of the endpoint's model: who answers for each, how requests are divided among them, and copies."""

from __future__ import annotations

import asyncio
import logging
import os
import random
import time
from collections.abc import Callable, Coroutine, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any, Protocol

from lockgate.domain.traffic import Split, point_of
from lockgate.wire.routes import Beside
from lockgate.wire.workers import WorkerConfig
from lockgate.worker.http.messages import Answer, App, Reply, Request, failure
from lockgate.worker.observing.observer import Observer
from lockgate.worker.routing.passing import Address, Heard, Passer
from lockgate.worker.routing.served import How, Serves

_log = logging.getLogger("lockgate.worker")
_MOST_COPIES = 64
_MOST_COPIED_BYTES = 64 * 1024 * 1024
_LONGEST_KEY = 256
_AGAIN = (b"retry-after", b"1")


class Loaded(Protocol):
    """A version that was loaded beside the worker's own: what answers, and who counts for it."""

    @property
    def served(self) -> Serves: ...

    @property
    def observer(self) -> Observer: ...

    @property
    def stuck(self) -> asyncio.Event:
        """Set once its predictions never come back."""
        ...

    def close(self) -> None:
        """Let go of it, which may take some seconds. What is under way still gets its answer."""
        ...


Load = Callable[[WorkerConfig], Loaded]
"""Loads a version; blocks. Raises whatever the model raises."""


@dataclass(slots=True)
class _Here:
    """A version in this process."""

    loaded: Loaded
    clock: Callable[[], float]
    watching: asyncio.Task[None] | None = None

    def ask(self, how: How, request: Request, heard: Heard) -> None:
        how(self.loaded.served, request, partial(self._counted, request, heard))

    def _counted(self, request: Request, heard: Heard, answer: Answer) -> None:
        if not answer.identity:
            answer.identity = self.loaded.served.identity
        seconds = self.clock() - request.began
        heard(answer)
        self.loaded.observer.answered(request, answer, seconds, invocation=request.method == b"POST")


@dataclass(slots=True)
class _There:
    """A version in workers of its own."""

    folders: tuple[Address, ...]
    passer: Passer
    turn: int = 0

    def ask(self, how: How, request: Request, heard: Heard) -> None:  # noqa: ARG002 - the path says how
        self.turn = at = (self.turn + 1) % len(self.folders)
        self.passer.send(request, self.folders[at:] + self.folders[:at], heard)


class Versions:
    """The further versions that one worker was told of. For the loop's thread alone.

    `shares`: the worker's own version answers what others pass on to it, though its workers accept nothing.
    """

    def __init__(
        self,
        config: WorkerConfig,
        observer: Observer,
        passer: Passer,
        load: Load | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._config = config
        self._observer = observer
        self._passer = passer
        self._copier = Passer(limit=_MOST_COPIES, seconds=config.timeout_seconds)
        self._load = load
        self._clock = clock
        self._told: dict[int, Beside] = {}
        self._ones: dict[int, _Here | _There] = {}
        self._failed: dict[int, str] = {}
        self._loading: set[Beside] = set()
        self._tasks: set[asyncio.Task[None]] = set()
        self._split: Split | None = None
        self.shares = False
        self._copied_bytes = 0
        self._copies = 0

    @property
    def numbers(self) -> Sequence[int]:
        """The versions that it was told of."""
        return tuple(self._told)

    @property
    def divides(self) -> bool:
        """Whether requests that name no version are divided."""
        return self._split is not None

    def tell(self, told: Mapping[str, Any]) -> None:
        """Take what the agent says: `versions`, each a `Beside`, `split`, or None, and `shares`.

        Raises KeyError, TypeError or ValueError when it is something else, and has then changed nothing.
        """
        besides = {beside.version: beside for beside in map(Beside.of, told["versions"])}
        shares = bool(told["shares"])
        split = None if told["split"] is None else Split.of(told["split"])
        gone = [number for number, beside in self._told.items() if besides.get(number) != beside]
        new = [beside for number, beside in besides.items() if self._told.get(number) != beside]
        self._told, self._split, self.shares = besides, split, shares
        self._failed.clear()  # whoever tells something new may have mended it
        for number in gone:
            self._close(self._ones.pop(number, None))
        for beside in new:
            if beside.folders:
                self._ones[beside.version] = _There(tuple(map(Path, beside.folders)), self._passer)
            elif split is not None and beside.version in split.versions:
                self._start_loading(beside)

    def exactly(self, number: int, how: How, request: Request, reply: Reply) -> None:
        """Let that version answer and no other. One that has no share is loaded when it is asked for first."""
        one = self._ones.get(number)
        if one is not None:
            one.ask(how, request, partial(_or_unavailable, number, reply))
        elif because := self._failed.get(number):
            reply(_unavailable(f"Version {number} cannot be served: {because}"))
        else:
            self._start_loading(self._told[number])
            reply(_unavailable(f"Version {number} is being loaded. Try again."))

    def divide(self, how: How, primary: App, request: Request, reply: Reply) -> None:
        """Let the version answer whose turn it is. One that fails is stood in for by `primary`."""
        split = self._split
        if split is None:
            primary(request, reply)
            return
        if split.shadow is not None:
            reply = partial(self._then_copied, split, request, reply)
        named = request.header(split.header.lower().encode()) if split.header else b""
        if named:
            self._as_named(named, how, primary, request, reply)
            return
        point, reply = self._point(split, request, reply)
        number = split.at(point)
        one = None if number is None else self._ones.get(number)
        if one is None:
            primary(request, reply)
        else:
            one.ask(how, request, partial(self._or_primary, primary, request, reply))

    def close(self) -> None:
        """Let go of everything, when requests are over: it may take some seconds."""
        for task in self._tasks:
            task.cancel()
        for one in self._ones.values():
            if isinstance(one, _Here):
                one.loaded.close()
        self._ones.clear()
        self._copier.close()

    def _as_named(self, named: bytes, how: How, primary: App, request: Request, reply: Reply) -> None:
        number = int(named) if named.isdigit() and len(named) < 10 else 0
        if number == self._config.version:
            primary(request, reply)
        elif number in self._told:
            self.exactly(number, how, request, reply)
        else:
            there = ", ".join(map(str, sorted({self._config.version, *self._told})))
            told = f"No version {named.decode('latin-1')[:100]!r} answers here. There are: {there}."
            reply(failure(404, "RESOURCE_DOES_NOT_EXIST", told))

    def _point(self, split: Split, request: Request, reply: Reply) -> tuple[float, Reply]:
        """Where the request falls between 0 and 1, and the reply that makes the client come back to the same place."""
        if split.key:
            key = request.header(split.key.lower().encode())[:_LONGEST_KEY]
            return (point_of(self._config.endpoint, key) if key else random.random()), reply  # noqa: S311 - no secret
        if split.cookie:
            name = split.cookie.encode()
            key = _cookie(request, name)
            if not key:
                key = os.urandom(8).hex().encode()
                set_cookie = (b"set-cookie", name + b"=" + key + b"; Path=/; HttpOnly; SameSite=Lax")
                reply = partial(_with_header, set_cookie, reply)
            return point_of(self._config.endpoint, key), reply
        return random.random(), reply  # noqa: S311 - no secret

    def _or_primary(self, primary: App, request: Request, reply: Reply, answer: Answer | None) -> None:
        late = self._clock() - request.began >= self._config.timeout_seconds
        if answer is not None and (answer.status < 500 or late):
            reply(answer)
        elif late:
            reply(Answer(504, b"Request processing time exceeded limit"))
        else:
            self._observer.passed("fell_back")
            primary(request, reply)

    def _then_copied(self, split: Split, request: Request, reply: Reply, answer: Answer) -> None:
        """The copy goes when the answer is on its way: it cannot delay or change it."""
        reply(answer)
        one = self._ones.get(split.shadow or 0)
        if not isinstance(one, _There) or random.random() * 100 >= split.shadow_percent:  # noqa: S311 - no secret
            return
        size = len(request.body)
        if self._copies >= _MOST_COPIES or self._copied_bytes + size > _MOST_COPIED_BYTES:
            self._observer.passed("shadow_dropped")
            return
        self._copies += 1
        self._copied_bytes += size
        self._observer.passed("shadowed")

        def over(_: Answer | None) -> None:
            self._copies -= 1
            self._copied_bytes -= size

        # a client may name a version or not: the copy is for the shadow
        self._copier.send(replace(request, link=None), one.folders, over)

    def _start_loading(self, beside: Beside) -> None:
        load = self._load
        if load is None or beside.apart or beside in self._loading:
            return
        self._loading.add(beside)
        config = replace(
            self._config,
            version=beside.version,
            release=beside.release,
            digest=beside.digest,
            artifacts=beside.artifacts,
            engine=beside.engine,
            group=str(Path(self._config.group).parent / beside.release) if self._config.group else "",
            converted=beside.converted,
            converted_digest=beside.converted_digest,
        )
        self._begin(self._loaded(beside, load, config))

    async def _loaded(self, beside: Beside, load: Load, config: WorkerConfig) -> None:
        number = beside.version
        try:
            loaded = await asyncio.to_thread(load, config)
        except (Exception, SystemExit) as error:  # noqa: BLE001 - a model's code can raise anything, and the primary goes on
            _log.warning("version %s could not be loaded beside this one: %s", number, error)
            if self._told.get(number) == beside:
                self._failed[number] = str(error) or type(error).__name__
            return
        finally:
            self._loading.discard(beside)
        if self._told.get(number) == beside:
            self._ones[number] = here = _Here(loaded, self._clock)
            _log.info("version %s answers beside this one", number)
            here.watching = self._begin(self._until_stuck(number, here))
        else:
            await asyncio.to_thread(loaded.close)

    async def _until_stuck(self, number: int, here: _Here) -> None:
        """Let the primary version stand in for one that hangs: it must not end the process that both live in."""
        await here.loaded.stuck.wait()
        if self._ones.get(number) is here:
            _log.error("the predictions of version %s never end, it answers no more", number)
            here.watching = None
            del self._ones[number]
            self._failed[number] = "Its predictions never came back."
            self._close(here)

    def _close(self, one: _Here | _There | None) -> None:
        if isinstance(one, _Here):
            if one.watching is not None:
                one.watching.cancel()
            self._begin(asyncio.to_thread(one.loaded.close))

    def _begin(self, work: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
        task = asyncio.get_running_loop().create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return task


def _or_unavailable(number: int, reply: Reply, answer: Answer | None) -> None:
    reply(answer or _unavailable(f"Version {number} does not answer. Try again."))


def _unavailable(told: str) -> Answer:
    return failure(503, "TEMPORARILY_UNAVAILABLE", told, _AGAIN)


def _with_header(header: tuple[bytes, bytes], reply: Reply, answer: Answer) -> None:
    answer.headers = (*answer.headers, header)
    reply(answer)


def _cookie(request: Request, name: bytes) -> bytes:
    """The value of a cookie as it was sent, cut where it is too long; empty when there is none."""
    for header, value in request.headers:
        if header == b"cookie":
            for part in value.split(b";"):
                key, _, told = part.partition(b"=")
                if key.strip() == name:
                    return told.strip()[:_LONGEST_KEY]
    return b""
