"""Judging a verdict of the record again: the same evidence and the same policy must give the same answer."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from lockgate.domain.break_glass import set_aside
from lockgate.domain.errors import BadInput
from lockgate.domain.evidence import Evidence
from lockgate.domain.policy import Policy
from lockgate.domain.promotion import Kind
from lockgate.domain.rules import judge
from lockgate.domain.stages import Stage
from lockgate.domain.verdict import Standing, Verdict
from lockgate.domain.versions import VersionRef

JUDGED = ("version:transitioned", "promotion:done", "promotion:refused", "promotion:failed", "promotion:cancelled")
# "fails: because" of an open gate, "holds (enforce)" of any
_STANDING = re.compile(r"(?P<standing>holds|waits|fails)(?P<level> \(\w+\)$)?")


@dataclass(frozen=True, slots=True)
class Recalled:
    """What an entry says of its verdict. `gates` are all of them, or where not `complete` those that did not hold."""

    ref: VersionRef
    stage: Stage
    kind: str
    evidence_digest: str
    policy_digest: str
    standing: Standing
    would_be: Standing
    gates: Mapping[str, Standing]
    complete: bool


@dataclass(frozen=True, slots=True)
class Replayed:
    """A verdict judged again: what it was, what it was based on, what it is now, and each difference in words."""

    then: Recalled
    evidence: Evidence
    now: Verdict
    differences: tuple[str, ...]

    @property
    def agrees(self) -> bool:
        """Whether it is the same verdict, gate by gate."""
        return not self.differences


def recalled(plain: Mapping[str, Any]) -> Recalled:
    """The verdict that an entry tells of. Raises BadInput for an entry that tells of none."""
    action, detail = plain.get("action"), plain.get("detail") or {}
    if action not in JUDGED or "evidence" not in detail:
        raise BadInput(
            f"The entry {action} tells of no verdict that could be judged again.",
            hint=f"Name an entry of a promotion into Staging or Production: {', '.join(JUDGED)}.",
        )
    found = {name: _STANDING.match(str(told)) for name, told in detail["gates"].items()}
    return Recalled(
        ref=VersionRef(plain["model"], plain["version"]),
        stage=Stage(plain["after"]),
        kind=detail["kind"],
        evidence_digest=detail["evidence"],
        policy_digest=detail["policy"],
        standing=Standing(detail["verdict"]),
        would_be=Standing(detail["would_be"]),
        gates={name: Standing(match["standing"]) for name, match in found.items() if match},
        complete=action == "version:transitioned",
    )


def judged_again(then: Recalled, evidence: Evidence, policy: Policy) -> Replayed:
    """The verdict on this evidence under this policy, held against the one of the record."""
    rules = policy.rules(evidence.ref.model, evidence.target)
    # a rollback goes to what held its gates in its day, and is not judged
    now = Verdict(()) if then.kind == Kind.ROLLBACK else judge(evidence, rules, policy.level_for(rules))
    if then.kind == Kind.BREAK_GLASS and then.standing is not now.standing:
        now = set_aside(now)  # `breakglass:used` beside it says who set the gates aside; what they saw must agree
    return Replayed(then, evidence, now, tuple(_differences(then, evidence, policy, now)))


def _differences(then: Recalled, evidence: Evidence, policy: Policy, now: Verdict) -> list[str]:
    told = []
    if (evidence.ref, evidence.target) != (then.ref, then.stage):
        told.append(f"the evidence is of {evidence.ref} to {evidence.target}, the entry of {then.ref} to {then.stage}")
    if not policy.digest == evidence.policy_digest == then.policy_digest:
        told.append(
            f"the entry names the policy {then.policy_digest}, the evidence {evidence.policy_digest},"
            f" and it was judged again by {policy.digest}"
        )
    gates = {gate.name: gate for gate in now.gates}
    for name, gate in gates.items():
        before = then.gates.get(name, None if then.complete else Standing.HOLDS)
        if before is not gate.standing:
            told.append(f"{name}: {before or 'not judged'} then, {gate.standing} now: {gate.because}")
    told += [f"{name}: {standing} then, not judged now" for name, standing in then.gates.items() if name not in gates]
    if (then.standing, then.would_be) != (now.standing, now.would_be):
        told.append(
            f"the verdict: {then.standing} then, {now.standing} now;"
            f" with every gate enforced {then.would_be} then, {now.would_be} now"
        )
    return told
