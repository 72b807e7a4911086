"""Custom rules are evaluated outside every lock, and count only while what they read is still what was read.

Under the lock the evidence is gathered as ever, and its digest is compared with the one the results belong to. If it is
another one, nothing was changed: the transaction is undone, the rules are evaluated on what is there now, and it is
tried again (ADR 0005).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import Protocol, TypeVar

from lockgate.domain.canonical import digest
from lockgate.domain.custom import Fault, Seen, asked, seen_by
from lockgate.domain.evidence import CustomResult, Evidence
from lockgate.domain.policy import StageRules

T = TypeVar("T")

TIMES = 3
"""How often changed evidence is judged again before the caller is told that it keeps changing."""


class CustomRules(Protocol):
    """Evaluates rules of a policy file, which may be anything that somebody wrote."""

    def evaluate(self, rules: Mapping[str, str], seen: Seen) -> Mapping[str, CustomResult]:
        """A result for every rule (name: expression), within a bounded time. Anything but true is a no; never raises.

        Called outside every transaction.
        """

    def check(self, rule: str) -> tuple[Fault, ...]:
        """What is wrong with a rule before it is ever evaluated; nothing when it may be right."""


class NoCustomRules:
    """Stands in where there is no evaluator: every rule is a no."""

    def evaluate(self, rules: Mapping[str, str], seen: Seen) -> Mapping[str, CustomResult]:
        """A no for each, and why."""
        return {name: CustomResult(False, "nothing here can evaluate custom rules", seen.digest) for name in rules}

    def check(self, rule: str) -> tuple[Fault, ...]:  # noqa: ARG002 - the port's
        """Nothing is known to be wrong."""
        return ()


class Unjudged(Exception):
    """Rules have to be evaluated first, on this evidence. Never reaches a user: `apart` does so and tries again."""

    def __init__(self, evidence: Evidence, rules: StageRules) -> None:
        super().__init__(str(evidence.ref))
        self.evidence, self.rules = evidence, rules


@dataclass(frozen=True, slots=True)
class Known:
    """Results by what they were evaluated on. `last`: there is no other try."""

    results: Mapping[str, Mapping[str, CustomResult]] = field(default_factory=dict)
    last: bool = False

    def on(self, evidence: Evidence, rules: StageRules) -> Evidence:
        """The evidence with the results that belong to it. Raises Unjudged when there are none."""
        wanted = asked(rules)
        if not wanted:
            return evidence
        found = self.results.get(_key(wanted, evidence))
        if found is None:
            raise Unjudged(evidence, rules)
        return replace(evidence, custom=found)

    def and_of(self, custom: CustomRules, unjudged: Unjudged) -> Known:
        """These and those that were missing. Takes time, so it is called outside every transaction."""
        wanted, evidence = asked(unjudged.rules), unjudged.evidence
        found = custom.evaluate(wanted, seen_by(wanted.values(), evidence))
        return replace(self, results={**self.results, _key(wanted, evidence): found})


NOTHING_KNOWN = Known()


def apart(custom: CustomRules, attempt: Callable[[Known], T]) -> T:
    """Make the attempt, with the rules it asks for evaluated between its transactions.

    The first try finds out what is to be evaluated; then it is judged up to TIMES times. The last one is told so, and
    answers in its own way when the evidence has changed again. Raises Unjudged if it does not.
    """
    known = Known()
    for again in range(TIMES + 1):
        try:
            return attempt(replace(known, last=again == TIMES))
        except Unjudged as unjudged:
            if again == TIMES:
                raise
            known = known.and_of(custom, unjudged)
    raise AssertionError("the last try returns or raises")


def evaluated(custom: CustomRules, evidence: Evidence, rules: StageRules) -> Evidence:
    """The evidence with the results of its custom rules, for who only looks. Called outside every transaction."""
    wanted = asked(rules)
    if not wanted:
        return evidence
    return replace(evidence, custom=custom.evaluate(wanted, seen_by(wanted.values(), evidence)))


def faults(custom: CustomRules, rules: Iterable[StageRules]) -> dict[str, tuple[Fault, ...]]:
    """What is wrong with each rule by its expression, those alone that have a fault."""
    expressions = {expression for each in rules for expression in asked(each).values()}
    return {each: found for each in sorted(expressions) if (found := custom.check(each))}


def _key(wanted: Mapping[str, str], evidence: Evidence) -> str:
    return digest({"rules": dict(wanted), "seen": seen_by(wanted.values(), evidence).digest})
