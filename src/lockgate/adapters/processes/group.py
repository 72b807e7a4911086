"""One worker group and its workers, as the agent holds them: who is there, who is missing, when the next try is due."""

from __future__ import annotations

import signal
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from lockgate.adapters.processes.control import ControlLine, Unreachable
from lockgate.adapters.processes.folder import WorkerRecord
from lockgate.adapters.processes.process import Process
from lockgate.adapters.processes.traffic import NO_SPLIT
from lockgate.domain.serving import GroupState
from lockgate.usecases.program_ports import Child
from lockgate.usecases.serving_ports import GroupSeen, WorkerSeen
from lockgate.wire.workers import Command

QUICK_SECONDS = 20.0
MOST_QUICK_FAILURES = 3
TRY_AGAIN_SECONDS = 30.0
_ANSWER_WITHIN = 1.0
_COMMAND_WITHIN = 5.0
_NEWS_FOR = 0.05  # less than the agent waits between two looks
_WEIGH_AFTER = 5.0
_WEIGH_EVERY = 10.0


@dataclass(slots=True)
class Member:
    """One live worker. `child` is None for one that another agent started.

    `tokens`, `routes` and `split` are what it was told last, None where nobody knows.
    """

    record: WorkerRecord
    process: Process
    line: ControlLine
    since: float
    child: Child | None = None
    state: GroupState = GroupState.STARTING
    kill_at: float | None = None
    tokens: tuple[str, ...] | None = None
    routes: dict[str, Any] | None = None
    split: dict[str, Any] | None = None
    memory: int = 0
    weigh_at: float = 0.0
    heard_at: float = 0.0

    @classmethod
    def of(cls, record: WorkerRecord, process: Process, folder: Path, now: float) -> Member:
        """A member whose state nobody has asked yet."""
        return cls(record, process, ControlLine(folder), now, weigh_at=now + _WEIGH_AFTER)

    def ask(self, command: Command, seconds: float = _COMMAND_WITHIN, **more: Any) -> bool:
        """Send a command and keep the state it answers with. False when it refuses or does not answer."""
        return self.begin(command, seconds, **more)()

    def begin(self, command: Command, seconds: float = _COMMAND_WITHIN, **more: Any) -> Callable[[], bool]:
        """Send a command. What is returned waits for the answer and is what `ask` would have said; call it once."""
        try:
            number = self.line.send(command, seconds, **more)
        except Unreachable:
            return lambda: False
        return lambda: self._hear(number)

    def _hear(self, number: int) -> bool:
        try:
            told = self.line.hear(number)
            self.state = GroupState(told["state"])
            self.heard_at = time.monotonic()
        except (Unreachable, KeyError, ValueError):
            return False
        return bool(told.get("ok"))

    def greet(self) -> bool:
        """Ask how it is, unless it has just said so. A worker too busy to answer keeps the state it had."""
        if time.monotonic() - self.heard_at < _NEWS_FOR:
            return True
        return self.ask(Command.HELLO, _ANSWER_WITHIN)

    def weigh(self, now: float) -> None:
        """Look how much memory it takes, now and then: that takes the kernel a few milliseconds."""
        if now >= self.weigh_at and self.state is not GroupState.STARTING:
            self.memory = self.process.memory()
            self.weigh_at = now + _WEIGH_EVERY

    def kill(self) -> None:
        """End it at once."""
        self.process.send(signal.SIGKILL)

    def exit_reason(self) -> str:
        """How it ended, as far as that can be known: only a parent learns the exit code."""
        code = self.child.code if self.child is not None else None
        if code is None:
            return "ended"
        if code < 0:
            return f"was killed by {signal.Signals(-code).name}"
        return f"ended with exit code {code}"

    def close(self) -> None:
        """Let go of it, without ending it."""
        self.line.close()
        self.process.close()
        if self.child is not None:
            self.child.let_go()


def ask_all(members: Iterable[Member], command: Command, **more: Any) -> list[bool]:
    """Send a command to all of them before the first answer is waited for; what each of them said."""
    answers = [member.begin(command, **more) for member in members]
    return [answer() for answer in answers]


@dataclass(slots=True)
class Group:
    """The workers of one release on one endpoint."""

    endpoint: str
    release: str
    wanted: int = 0
    leaving: bool = False
    members: dict[str, Member] = field(default_factory=dict)
    failures: int = 0
    failed: str = ""
    split: dict[str, Any] = field(default_factory=lambda: NO_SPLIT)
    next_try: float = 0.0

    @property
    def loaded(self) -> list[Member]:
        """The workers that hold their model."""
        return [m for m in self.members.values() if m.state not in (GroupState.STARTING, GroupState.FAILED)]

    @property
    def missing(self) -> int:
        """How many workers are wanted and not there."""
        return max(0, self.wanted - len(self.members))

    def may_start(self, now: float) -> bool:
        """Whether a worker is missing and it is not too soon. The wait after a failed group gives it a fresh try."""
        if not self.missing or now < self.next_try:
            return False
        if self.failed:
            self.failed, self.failures = "", 0
        return True

    def failed_to_load(self, because: str, now: float) -> None:
        """The model itself is at fault: trying again at once would end the same way."""
        self.failed = because
        self.next_try = now + TRY_AGAIN_SECONDS

    def died(self, lived: float, because: str, now: float) -> None:
        """A worker ended unasked. Quick deaths in a row fail the group."""
        self.failures = self.failures + 1 if lived < QUICK_SECONDS else 1
        if self.failures >= MOST_QUICK_FAILURES:
            self.failed_to_load(f"{because}, {self.failures} times in a row", now)
        else:
            self.next_try = now + 0.1 * 2.0**self.failures

    def settled(self, now: float) -> None:
        """Forget earlier deaths once every worker has lasted."""
        if (
            self.failures
            and not self.missing
            and all(now - member.since > QUICK_SECONDS for member in self.members.values())
        ):
            self.failures = 0

    def seen(self) -> GroupSeen:
        """What is reported of it."""
        workers = tuple(WorkerSeen(m.record.id, m.record.pid, m.state) for m in self.members.values())
        memory = sum(member.memory for member in self.members.values())
        return GroupSeen(self.endpoint, self.release, workers, 0 if self.leaving else self.wanted, self.failed, memory)
