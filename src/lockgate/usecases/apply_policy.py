"""Puts a policy in force: a row with a digest, on the record. Every server judges by the newest row."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime

from lockgate.domain.access import Act
from lockgate.domain.audit import Entry
from lockgate.domain.identity import Who
from lockgate.domain.policy import Policy
from lockgate.domain.proposals import Proposal
from lockgate.usecases.authorise import authorise
from lockgate.usecases.ports import Ports, Work
from lockgate.usecases.propose_policy import propose, takes_two

Parse = Callable[[str | None], Policy]


@dataclass(frozen=True, slots=True)
class Applied:
    """The policy that is in force now, and the digest of the one before; `changed` is False where that is the same.

    `proposal` is what waits for a second person instead: then nothing is changed yet.
    """

    policy: Policy
    before: str
    changed: bool
    proposal: Proposal | None = None


def apply(ports: Ports, text: str, parse: Parse, who: Who, reason: str = "") -> Policy:
    """Parse the text and make it the policy in force. The same text again changes nothing.

    Raises BadInput listing every fault of the text, Forbidden; changes nothing then.
    """
    return change(ports, text, parse, who, reason).policy


def change(ports: Ports, text: str, parse: Parse, who: Who, reason: str = "") -> Applied:
    """As `apply`, and says what was in force before. Once there are users it is proposed to a second person."""
    policy = parse(text)
    with ports.store.writing(None) as work:
        authorise(work, who, Act.CHANGE_POLICY)
        before = work.policies.in_force()
        if before.digest != policy.digest and takes_two(work):
            id = ports.ids.new("pol")
            proposal = propose(work, id, text, policy, who, ports.clock.now(), reason)
            return Applied(before, before.digest, changed=False, proposal=proposal)
        return put_in_force(work, text, policy, who, ports.clock.now(), reason)


def put_in_force(work: Work, text: str, policy: Policy, who: Who, at: datetime, reason: str = "") -> Applied:
    """As `change`, in the caller's transaction; who may do so is the caller's to ask."""
    before = work.policies.in_force()
    if before.digest == policy.digest:
        return Applied(before, before.digest, changed=False)
    work.policies.apply(text, policy.digest, who, at)
    detail = {"level": policy.level.value}
    entry = Entry("policy:applied", who, at, before=before.digest, after=policy.digest, why=reason, detail=detail)
    work.record.write(entry)
    return Applied(policy, before.digest, changed=True)
