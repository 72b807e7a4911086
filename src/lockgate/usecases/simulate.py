"""Judges the history under another policy: every verdict whose evidence was kept, page by page, oldest first."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from fnmatch import fnmatchcase

from lockgate.domain.errors import BadInput, NotFound
from lockgate.domain.evidence import Evidence
from lockgate.domain.policy import Policy, StageRules
from lockgate.domain.promotion import Promotion
from lockgate.domain.simulation import EVIDENCE, UNKNOWN, Simulated, as_if, simulated
from lockgate.domain.verdict import Verdict
from lockgate.usecases.custom_rules import evaluated
from lockgate.usecases.ports import Ports, Work

MOST = 500
"""Verdicts of one page at most: it is judged in one request."""
LONGEST = timedelta(seconds=8)
"""A page ends early after that: custom rules may take as long as they may."""


@dataclass(frozen=True, slots=True)
class Asked:
    """Which part of the history, and the page of it: `after` is the `next` of the page before, "" for the first.

    `models` is a shell pattern. Raises BadInput.
    """

    since: datetime | None = None
    models: str = "*"
    after: str = ""
    limit: int = 100

    def __post_init__(self) -> None:
        if not 1 <= self.limit <= MOST:
            raise BadInput(f"A page of {self.limit} is none.", hint=f"Ask for 1 to {MOST} at once.")


@dataclass(frozen=True, slots=True)
class Rejudged:
    """One promotion of the past and what would have been said of it."""

    promotion: Promotion
    found: Simulated


@dataclass(frozen=True, slots=True)
class Page:
    """Verdicts judged under the other policy. `looked_at` counts those of other models too.

    `total` is how many there are, told with the first page alone: counting takes time. `next` is "" on the last page.
    """

    policy: Policy
    rejudged: tuple[Rejudged, ...]
    looked_at: int
    total: int
    next: str


def simulate(ports: Ports, policy: Policy, asked: Asked) -> Page:
    """One page of the history under this policy. Changes nothing. Raises BadInput for an `after` that is none."""
    with ports.store.reading() as work:
        found = work.promotions.judged(since=asked.since, after=asked.after, limit=asked.limit + 1)
        total = 0 if asked.after else work.promotions.count_judged(since=asked.since)
        kept = [_kept(work, promotion) for promotion in found[: asked.limit]]
    # custom rules are evaluated outside of the transaction
    until, rejudged, looked_at = ports.clock.now() + LONGEST, list[Rejudged](), 0
    for each in kept:
        if looked_at and ports.clock.now() > until:
            break
        looked_at += 1
        if fnmatchcase(each.promotion.ref.model, asked.models):
            rejudged.append(_rejudged(ports, policy, each))
    more = looked_at < len(found)
    return Page(policy, tuple(rejudged), looked_at, total, found[looked_at - 1].id if more else "")


@dataclass(frozen=True, slots=True)
class _Kept:
    """A promotion with the evidence and the rules of that day, None where they are not kept."""

    promotion: Promotion
    evidence: Evidence | None
    rules: StageRules | None


def _kept(work: Work, promotion: Promotion) -> _Kept:
    try:
        evidence = work.evidence.get(promotion.evidence_digest) if promotion.evidence_digest else None
        policy = work.policies.of_digest(promotion.policy_digest)
    except (BadInput, NotFound):
        # changed after it was written: that is `audit verify`'s news, and nothing to judge by
        return _Kept(promotion, None, None)
    rules = policy.rules(evidence.ref.model, promotion.stage) if policy is not None and evidence is not None else None
    return _Kept(promotion, evidence, rules)


def _rejudged(ports: Ports, policy: Policy, kept: _Kept) -> Rejudged:
    promotion, evidence, old = kept.promotion, kept.evidence, kept.rules
    then = promotion.verdict or Verdict(())
    if evidence is None or old is None:
        return Rejudged(promotion, Simulated(then.standing, UNKNOWN, (), (EVIDENCE,)))
    new = policy.rules(evidence.ref.model, promotion.stage)
    evidence = evaluated(ports.custom, as_if(evidence, old, policy, new), new)
    return Rejudged(promotion, simulated(then, evidence, old, new, policy.level_for(new)))
