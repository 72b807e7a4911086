"""Judges custom rules in children that are kept, lent to one caller at a time, and replaced when they had to be killed.

A caller always gets an answer for every rule, within `Limits.longest`, whatever the rules do.
"""

from __future__ import annotations

import json
import os
import threading
import time
import weakref
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from lockgate.adapters.cel import explaining
from lockgate.adapters.cel.explaining import FUNCTIONS, TYPES
from lockgate.adapters.cel.process import Child, Ended, TookTooLong
from lockgate.domain.custom import FALSE, LONGEST_RULE, NAMES, TRUE, Fault, Seen
from lockgate.domain.evidence import CustomResult


@dataclass(frozen=True, slots=True)
class Limits:
    """What one rule, one verdict and the children may take. Seconds by the clock, unless it says of the processor.

    A rule may wait longer than it may compute: it is not its fault that the machine is busy.
    """

    rule_processor: float = 0.2
    rule: float = 2.0
    verdict: float = 3.0
    start: float = 10.0
    children: int = 4
    memory: int = 256 << 20
    snapshot: int = 256 << 10

    @property
    def longest(self) -> float:
        """After so many seconds a caller has its answer."""
        return self.start + self.verdict


class CelRules:
    """Keeps the promises of `CustomRules`. Children are started when they are first needed, and end with us."""

    def __init__(self, limits: Limits = Limits()) -> None:
        self._limits = limits
        self._changed = threading.Condition()
        self._idle: list[Child] = []
        self._lent = 0
        self._of = os.getpid()
        self._closed = False
        # they leave by themselves when their pipe is closed; this way they are gone before, and nobody's zombies
        weakref.finalize(self, _end, self._idle, self._of)

    def evaluate(self, rules: Mapping[str, str], seen: Seen) -> Mapping[str, CustomResult]:
        """What each rule says of what was seen. Raises nothing: whatever goes wrong is a no that says why."""
        asking = _Asking(self._limits, list(rules.items()), seen)
        asking.refuse_the_too_large()
        while asking.left:
            try:
                child = self._borrow(asking.deadline)
            except (TookTooLong, Ended, OSError) as error:
                asking.nobody_answers(error)
                break
            try:
                asking.ask(child)
            except (TookTooLong, Ended) as end:
                self._give_back(None)
                asking.died(end)
            except BaseException:
                self._give_back(None)
                child.end()
                raise
            else:
                self._give_back(child)
        return asking.results

    def check(self, rule: str) -> tuple[Fault, ...]:
        """What is wrong with a rule before it is ever evaluated; nothing when it may be right."""
        if told := _beyond(rule):
            return (Fault(1, told),)
        for _ in range(2):
            try:
                answer = self._check(rule)
            except TookTooLong:
                return (Fault(1, "it takes too long to be read"),)
            except Ended as end:
                if end.signal in (6, 11):
                    return (Fault(1, "it is nested too deeply to be read"),)
                continue
            except OSError:
                break
            return _faults(answer, rule)
        return (Fault(1, "it could not be checked: the process that reads rules does not start"),)

    def close(self) -> None:
        """End the children. What is asked later is answered with a no."""
        with self._changed:
            self._closed = True
            idle = list(self._idle)
            self._idle.clear()
            self._changed.notify_all()
        for child in idle:
            child.end()

    def _check(self, rule: str) -> Mapping[str, Any]:
        child = self._borrow(time.monotonic() + self._limits.longest)
        try:
            deadline = time.monotonic() + self._limits.rule
            child.tell({"check": rule}, deadline)
            told = child.listen(deadline)
        except BaseException:
            self._give_back(None)
            child.end()
            raise
        self._give_back(child)
        return told

    def _borrow(self, deadline: float) -> Child:
        """A child for this caller alone. Raises TookTooLong, Ended, OSError."""
        with self._changed:
            self._forget_those_of_a_parent()
            while not self._closed and not self._idle and self._lent >= self._limits.children:
                if not self._changed.wait(deadline - time.monotonic()):
                    raise TookTooLong
            if self._closed:
                raise Ended(0)
            self._lent += 1
            if self._idle:
                return self._idle.pop()
        try:
            within = min(self._limits.start, max(0.0, deadline - time.monotonic()))
            return Child(memory=self._limits.memory, seconds=self._limits.rule_processor, start_within=within)
        except BaseException:
            self._give_back(None)
            raise

    def _give_back(self, child: Child | None) -> None:
        with self._changed:
            self._lent -= 1
            kept = child is not None and not self._closed
            if child is not None and kept:
                self._idle.append(child)
            self._changed.notify()
        if child is not None and not kept:
            child.end()

    def _forget_those_of_a_parent(self) -> None:
        """After a fork the children are another process's, and their pipes would be read by two."""
        if self._of != os.getpid():
            self._of, self._idle, self._lent = os.getpid(), [], 0
            weakref.finalize(self, _end, self._idle, self._of)


class _Asking:
    """The rules of one verdict that are still to be answered, and the answers there are."""

    def __init__(self, limits: Limits, rules: Sequence[tuple[str, str]], seen: Seen) -> None:
        self.left = list(rules)
        self.results: dict[str, CustomResult] = {}
        self.deadline = time.monotonic() + limits.longest
        self._limits, self._seen, self._digest = limits, seen, seen.digest
        self._evaluating = 0.0
        self._again = 1

    def refuse_the_too_large(self) -> None:
        """Answer what is not to be evaluated at all."""
        size, most = len(json.dumps(self._seen.plain)), self._limits.snapshot
        if size > most:
            self._no(f"the evidence is too large for a rule: {size >> 10} KiB, at most {most >> 10} KiB")
        self.results |= {name: self._nothing(told) for name, rule in self.left if (told := _beyond(rule))}
        self.left = [(name, rule) for name, rule in self.left if name not in self.results]

    def ask(self, child: Child) -> None:
        """Ask about all that are left. Raises TookTooLong, Ended."""
        began = time.monotonic()
        try:
            child.tell({"rules": [rule for _, rule in self.left], "snapshot": self._seen.plain}, self._until())
            while self.left:
                name, rule = self.left[0]
                told = child.listen(self._until(began))
                self.results[name] = self._read(told, rule)
                del self.left[0]
        finally:
            self._evaluating += time.monotonic() - began

    def died(self, end: TookTooLong | Ended) -> None:
        """The child is gone while it was at the first of what is left."""
        if isinstance(end, Ended) and end.signal in (0, 9, 15) and self._again:
            # somebody else's doing: it is tried once more, in another child
            self._again -= 1
            return
        name, _ = self.left.pop(0)
        self.results[name] = self._nothing(self._why(end))
        if self._evaluating >= self._limits.verdict:
            self._no("it was not evaluated: the rules before it used up the time there is for all")

    def nobody_answers(self, error: Exception) -> None:
        """No child could be had."""
        told = f": {error.strerror}" if isinstance(error, OSError) and error.strerror else ""
        self._no(f"it was not evaluated: the process for it could not be started{told}")

    def _no(self, because: str) -> None:
        self.results |= {name: self._nothing(because) for name, _ in self.left}
        self.left = []

    def _nothing(self, because: str) -> CustomResult:
        return CustomResult(False, because, self._digest)

    def _until(self, began: float | None = None) -> float:
        now = time.monotonic()
        used = self._evaluating + (now - began if began is not None else 0.0)
        return min(now + self._limits.rule, now + max(0.0, self._limits.verdict - used), self.deadline)

    def _why(self, end: TookTooLong | Ended) -> str:
        if isinstance(end, TookTooLong):
            return f"it took longer than a rule may ({self._limits.rule_processor * 1000:g} ms of the processor's time)"
        if end.signal == 6:
            return "it needs more memory than a rule may have"
        if end.signal == 11:
            return "it is nested too deeply"
        return f"the process that evaluates it was ended twice (signal {end.signal})"

    def _read(self, told: Mapping[str, Any], rule: str) -> CustomResult:
        kind, text = str(told.get("error") or told.get("kind")), str(told.get("text"))
        if "error" in told:
            return self._nothing(explaining.error(kind, text, rule, self._seen.plain, self._seen.absent))
        if isinstance(told.get("answer"), bool):
            return CustomResult(told["answer"], TRUE if told["answer"] else FALSE, self._digest)
        return self._nothing(explaining.no_boolean(kind, text))


def _end(idle: list[Child], of: int) -> None:
    """End the children of that process, if this is it."""
    while idle and os.getpid() == of:
        idle.pop().end()


def _beyond(rule: str) -> str:
    """That it is too long to be looked at, else nothing."""
    if len(rule) <= LONGEST_RULE:
        return ""
    return f"the rule is too long: {len(rule)} characters, at most {LONGEST_RULE}"


def _faults(told: Mapping[str, Any], rule: str) -> tuple[Fault, ...]:
    if "error" in told:
        line, because = explaining.fault(str(told.get("text")))
        return (Fault(line, because),)
    strange: list[tuple[str, tuple[str, ...]]] = []
    strange += [(str(name), NAMES) for name in told.get("variables", ()) if name not in TYPES.union(NAMES)]
    strange += [(str(name), FUNCTIONS) for name in told.get("functions", ()) if name not in FUNCTIONS]
    return tuple(Fault(_line_of(name, rule), explaining.unknown(name, known)) for name, known in strange)


def _line_of(name: str, rule: str) -> int:
    """The first line that names it."""
    before = rule.partition(name)[0]
    return before.count("\n") + 1
