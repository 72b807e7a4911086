"""All worker groups of this machine: starting, commanding, finding them again, and ending them."""

from __future__ import annotations

import fcntl
import os
import socket
import time
from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress
from dataclasses import asdict
from pathlib import Path
from typing import Any

import structlog

from lockgate.adapters.processes.control import Unreachable
from lockgate.adapters.processes.folder import RunFolder, WorkerRecord, last_words
from lockgate.adapters.processes.group import Group, Member, ask_all
from lockgate.adapters.processes.group_folders import GroupFolders
from lockgate.adapters.processes.ports import open_listener
from lockgate.adapters.processes.process import Process, started_at
from lockgate.adapters.processes.spawn import start
from lockgate.adapters.processes.traffic import NO_ROUTES, NO_SPLIT, engine_of, routes, split
from lockgate.config import is_loopback, reached_at
from lockgate.domain.errors import LockgateError, Unavailable
from lockgate.domain.serving import GroupState
from lockgate.domain.traffic import Neighbour
from lockgate.usecases.program_ports import Programs
from lockgate.usecases.serving_ports import Division, GroupOrder, GroupSeen
from lockgate.wire.workers import CONTROL_SOCKET, LOOPBACK_HOSTS, Command, CommonToAll, WorkerConfig

_START_LIMIT_SECONDS = 300.0
_STOP_LIMIT_SECONDS = 10.0
_DRAIN_MARGIN_SECONDS = 10.0
_GRACE_SECONDS = 30.0
_TOKENS_WITHIN = 1.0
_ADOPTION_LIMIT_SECONDS = 10.0

_log = structlog.get_logger("lockgate.agent")


class ProcessGroups:
    """Worker processes whose files are under `run` (usually `<home>/run/workers`).

    One agent at a time: `adopt` raises Unavailable naming the other one. `hosts` are the names that requests may call
    the endpoints by, besides the loopback ones; `*` allows any. `origins` are the pages that may ask them.
    `common` is what all workers are told alike. What workers of a release count together lies in `groups` beside `run`.
    """

    def __init__(
        self,
        run: Path,
        programs: Programs,
        *,
        hosts: Sequence[str] = (),
        origins: Sequence[str] = (),
        common: CommonToAll | None = None,
        converted: Path | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._path = run
        self._programs = programs
        self._hosts = (*LOOPBACK_HOSTS, *map(_in_a_header, hosts))
        self._origins = tuple(origins)
        self._common = common or CommonToAll()
        self._converted = converted or run.parent / "converted"
        self._shared = GroupFolders(run.parent / "groups")
        self._clock = clock
        self._listeners: dict[str, tuple[socket.socket, str]] = {}
        self._groups: dict[tuple[str, str], Group] = {}
        self._timeouts: dict[tuple[str, str], float] = {}
        self._tokens: dict[str, tuple[str, ...]] = {}
        self._lock: int | None = None
        self._opened: RunFolder | None = None

    @property
    def _folder(self) -> RunFolder:
        if self._opened is None:
            self._opened = RunFolder(self._path)
        return self._opened

    def adopt(self) -> None:
        """Find the workers that an earlier agent left running, and take their listening sockets back.

        Raises Unavailable when another agent runs on this folder.
        """
        self._take_the_lock()
        for record in list(self._folder.records()):
            process = Process.find(record.pid, record.started)
            if process is None:
                self._folder.remove(record.id)
                continue
            member = Member.of(record, process, self._path / record.id, self._clock())
            if not self._heard_of(member):
                # what cannot say whether it takes traffic must not go on taking it
                _log.warning("ending a worker that does not answer", worker=record.id, pid=record.pid)
                member.kill()
            group = self._group(record.endpoint, record.release)
            group.members[record.id] = member
            group.wanted = max(group.wanted, len(group.members))
            self._take_listener(member)
            _log.info(
                "adopted a worker", worker=record.id, pid=record.pid, endpoint=record.endpoint, state=member.state.value
            )
        self._shared.keep(self._groups)

    def ports(self) -> dict[str, int]:
        """The port of every endpoint whose listening socket is open."""
        return {endpoint: listener.getsockname()[1] for endpoint, (listener, _) in self._listeners.items()}

    def bind(self, endpoint: str, host: str, ports: Sequence[int]) -> int:
        """Open the listening socket on the first free one of `ports` (0: any).

        Raises Unavailable naming the owner when all are taken.
        """
        if endpoint in self._listeners:
            return self.ports()[endpoint]
        refusal: Unavailable | None = None
        for port in ports:
            try:
                self._listeners[endpoint] = (open_listener(host, port), host)
            except Unavailable as error:
                refusal = refusal or error
            else:
                return self.ports()[endpoint]
        raise refusal or Unavailable("No port is left to listen on.", hint="Choose another port.")

    def look(self) -> Sequence[GroupSeen]:
        """Every group as it is now. Groups that nobody wants any more disappear with their last worker."""
        now = self._clock()
        for key, group in list(self._groups.items()):
            for member in list(group.members.values()):
                self._look_at(group, member, now)
            group.settled(now)
            if group.leaving and not group.members:
                del self._groups[key]
                self._shared.keep({*self._groups, *self._counted_beside()})
        return [group.seen() for group in self._groups.values()]

    def ensure(self, order: GroupOrder) -> bool:
        """Start the workers that are missing, unless it is too soon after a failure. True when one was started."""
        group = self._group(order.endpoint, order.release.id)
        group.wanted, group.leaving = order.rule.workers, False
        self._timeouts[order.endpoint, order.release.id] = order.rule.timeout.total_seconds()
        if order.endpoint not in self._listeners or not group.may_start(self._clock()):
            return False
        if order.rule.runtime is None and not self._programs.ready():
            return False  # soon it is, and a start that waited for it would hold everything else up
        try:
            for _ in range(group.missing):
                self._start(group, order)
        except (OSError, LockgateError) as error:  # no process, no memory or no disk is left: tried again after a while
            group.failed_to_load(f"Its worker could not be started: {error}", self._clock())
            return False
        return True

    def go(self, endpoint: str, release: str) -> bool:
        """Let every loaded worker of the group accept. True when all of them do."""
        group = self._group(endpoint, release)
        group.leaving = False
        loaded = [m for m in group.members.values() if m.state not in (GroupState.STARTING, GroupState.FAILED)]
        for member in loaded:
            member.kill_at = None
        return bool(loaded) and all(ask_all(loaded, Command.GO))

    def admit(self, endpoint: str, tokens: Sequence[str]) -> None:
        """Let only callers with one of these tokens in, told by their digests. A worker is told what it lacks."""
        told = self._tokens[endpoint] = tuple(tokens)
        members = (m for group in self._groups.values() if group.endpoint == endpoint for m in group.members.values())
        for member in members:
            if member.tokens != told and member.ask(Command.TOKENS, _TOKENS_WITHIN, tokens=list(told)):
                member.tokens = told

    def introduce(self, endpoint: str, neighbours: Sequence[Neighbour]) -> None:
        """Tell the endpoint's workers where the models of their environment are answered; each what it lacks."""
        told = routes(neighbours, self._path)
        for member in (m for group in self._groups.values() if group.endpoint == endpoint for m in group.loaded):
            if member.routes != told and member.ask(Command.ROUTES, _TOKENS_WITHIN, **told):
                member.routes = told

    def divide(self, endpoint: str, release: str, division: Division) -> None:
        """Tell the release's workers how requests are divided among versions. Each is told what it lacks."""
        group = self._group(endpoint, release)
        told = group.split = split(division, self._path, self._converted)
        for member in group.loaded:
            if member.split != told and member.ask(Command.SPLIT, _TOKENS_WITHIN, **told):
                member.split = told

    def drain(self, endpoint: str, release: str, *, forward: bool, park: bool = False) -> bool:
        """Let the group accept no more and leave when its connections are done. True when none accepts any more.

        `forward`: the workers that accept on the endpoint get its connections. `park`: it stays, warm.
        """
        group = self._group(endpoint, release)
        group.leaving = not park
        limit = max(_GRACE_SECONDS, self._timeouts.get((endpoint, release), _GRACE_SECONDS)) + _DRAIN_MARGIN_SECONDS
        to = self._folders_of_others(group) if forward else []
        return self._told_to_leave(group, Command.DRAIN, limit, forward=forward, park=park, to=to)

    def rest(self, endpoint: str, release: str) -> bool:
        """Take a drain back: the group stays warm without accepting."""
        group = self._group(endpoint, release)
        group.leaving = False
        for member in group.members.values():
            member.kill_at = None
        return all(ask_all(group.members.values(), Command.REST))

    def stop(self, endpoint: str, release: str) -> bool:
        """End the group's workers after what they are answering now. A group without workers is forgotten at once."""
        group = self._group(endpoint, release)
        group.leaving = True
        limit = self._timeouts.get((endpoint, release), _GRACE_SECONDS) + _STOP_LIMIT_SECONDS
        return self._told_to_leave(group, Command.STOP, limit)

    def close(self, endpoint: str) -> None:
        """Close the listening socket."""
        if endpoint in self._listeners:
            self._listeners.pop(endpoint)[0].close()

    def shut_down(self, grace_seconds: float) -> None:
        """End every worker: gently, and by force what is left after `grace_seconds`."""
        for group in list(self._groups.values()):
            self.stop(group.endpoint, group.release)
        until = self._clock() + grace_seconds
        for group in self._groups.values():
            for member in list(group.members.values()):
                if not member.process.wait(until - self._clock()):
                    _log.warning("a worker did not leave in time", worker=member.record.id, pid=member.record.pid)
                    member.kill()
                    member.process.wait(_STOP_LIMIT_SECONDS)
        self.look()
        self.let_go()

    def let_go(self) -> None:
        """Forget the workers and leave them running, for the next agent to adopt."""
        for group in self._groups.values():
            for member in group.members.values():
                member.close()
        self._groups.clear()
        for endpoint in list(self._listeners):
            self.close(endpoint)
        if self._lock is not None:
            os.close(self._lock)
            self._lock = None

    def _heard_of(self, member: Member) -> bool:
        """Whether a found worker says how it is, or is too young to have a control socket."""
        until = self._clock() + _ADOPTION_LIMIT_SECONDS
        while member.process.alive and (self._path / member.record.id / CONTROL_SOCKET).exists():
            if member.greet():
                return True
            if self._clock() > until:
                return False
            time.sleep(0.05)
        return True

    def _folders_of_others(self, group: Group) -> list[str]:
        """Of the workers that accept on the group's endpoint now, without its own."""
        others = (other for other in self._groups.values() if other.endpoint == group.endpoint and other is not group)
        accepting = (m for other in others for m in other.members.values() if m.state is GroupState.SERVING)
        return [str((self._path / member.record.id).resolve()) for member in accepting]

    def _counted_beside(self) -> Iterable[tuple[str, str]]:
        """The releases that other releases' workers hold too, and count for."""
        for group in self._groups.values():
            yield from ((group.endpoint, str(one["release"])) for one in group.split["versions"])

    def _group(self, endpoint: str, release: str) -> Group:
        return self._groups.setdefault((endpoint, release), Group(endpoint, release))

    def _start(self, group: Group, order: GroupOrder) -> None:
        listener, host = self._listeners[order.endpoint]
        name, folder = self._folder.new_worker()
        engine = engine_of(order.release, self._converted)
        config = WorkerConfig(
            worker=name,
            endpoint=order.endpoint,
            environment=order.environment,
            release=order.release.id,
            generation=order.generation,
            model=order.release.ref.model,
            version=order.release.ref.version,
            digest=order.release.digest,
            artifacts=str(order.artifacts),
            engine=engine.kind.value,
            converted=engine.file,
            converted_digest=engine.digest,
            folder=str(folder.resolve()),
            host=host,
            port=listener.getsockname()[1],
            listener_fd=listener.fileno(),
            timeout_seconds=order.rule.timeout.total_seconds(),
            batch_wait_seconds=order.rule.batch_wait.total_seconds(),
            log_predictions=order.rule.log_predictions,
            group=str(self._shared.begin(order.environment, order.endpoint, order.release.id).resolve()),
            hosts=(*self._hosts, _in_a_header(reached_at(host))),
            origins=self._origins,
            tokens=self._tokens.get(order.endpoint, ()),
            closed=not is_loopback(host),
            **asdict(self._common),
        )
        log = self._folder.new_log(name)
        try:
            started = start(self._programs, config, log, order.rule.runtime)
        except BaseException:
            self._folder.remove(name)
            raise
        child = started.child
        process = Process.find(child.pid, started_at(child.pid) or 0)
        if process is None:
            started.tell_nothing()
            self._folder.remove(name)
            group.died(0.0, f"Its worker could not be started: {last_words(str(log))}", self._clock())
            return
        record = WorkerRecord(
            name, child.pid, started_at(child.pid) or 0, order.endpoint, order.release.id, order.generation, str(log)
        )
        try:
            self._folder.write(record)
        except OSError:
            started.tell_nothing()
            raise
        # only now does it learn what to do: no worker serves that is not on record
        started.tell(config)
        member = Member.of(record, process, folder, self._clock())
        member.child, member.tokens = child, config.tokens
        member.routes, member.split = NO_ROUTES, NO_SPLIT
        group.members[name] = member
        _log.info(
            "started a worker", worker=name, pid=child.pid, endpoint=order.endpoint, version=str(order.release.ref)
        )

    def _look_at(self, group: Group, member: Member, now: float) -> None:
        if not member.process.alive:
            self._bury(group, member, now)
            return
        member.greet()
        member.weigh(now)
        late = member.state is GroupState.STARTING and now - member.since > _START_LIMIT_SECONDS
        if late or (member.kill_at is not None and now > member.kill_at):
            _log.warning(
                "ending a worker that takes too long", worker=member.record.id, pid=member.record.pid, starting=late
            )
            member.kill()
        if member.state in (GroupState.READY, GroupState.SERVING):
            self._take_listener(member)
        if member.state is GroupState.READY and not group.leaving:
            member.kill_at = None  # it has parked

    def _bury(self, group: Group, member: Member, now: float) -> None:
        failure = self._folder.failure(member.record.id)
        words = last_words(member.record.log)
        because = f"Its worker {member.exit_reason()}" + (f" ({words})" if words else "")
        del group.members[member.record.id]
        member.close()
        self._folder.remove(member.record.id)
        asked_to = group.leaving or member.kill_at is not None or member.state is GroupState.DRAINING
        _log.info(
            "a worker is gone",
            worker=member.record.id,
            pid=member.record.pid,
            asked_to=asked_to,
            because=failure or because,
        )
        if failure and not group.leaving:
            group.failed_to_load(failure, now)
        elif not asked_to:
            group.died(now - member.since, because, now)

    def _told_to_leave(self, group: Group, command: Command, limit: float, **more: Any) -> bool:
        members = list(group.members.values())
        for member in members:
            if member.kill_at is None:
                member.kill_at = self._clock() + limit
        answers = ask_all(members, command, **more)
        # one that has ended accepts no more either; one that has not bound its socket yet never did
        return all(done or not member.process.alive for member, done in zip(members, answers, strict=True))

    def _take_listener(self, member: Member) -> None:
        if member.record.endpoint in self._listeners:
            return
        with suppress(Unreachable, OSError):
            listener = member.line.take_listener(1.0)
            if listener is not None:
                self._listeners[member.record.endpoint] = (listener, listener.getsockname()[0])

    def _take_the_lock(self) -> None:
        path = self._folder.path / "agent.lock"
        held = os.open(path, os.O_RDWR | os.O_CREAT, 0o600)
        try:
            fcntl.flock(held, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            other = os.read(held, 32).decode() or "unknown"
            os.close(held)
            raise Unavailable(
                f"Another agent already runs on {self._path} (process {other}).", hint="Stop it with `lockgate down`."
            ) from None
        os.ftruncate(held, 0)
        os.write(held, str(os.getpid()).encode())
        self._lock = held


def _in_a_header(host: str) -> str:
    """How a Host header names it, without the port."""
    bare = host.strip("[]")
    return f"[{bare}]" if ":" in bare else bare
