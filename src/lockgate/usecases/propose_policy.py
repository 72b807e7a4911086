"""A change of the policy by two: one administrator proposes it, another one puts it in force.

While there are no users one person is enough, and so it is for the first policy of all: the built-in one refuses
nothing.
"""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime

from lockgate.domain.audit import Entry
from lockgate.domain.canonical import Plain
from lockgate.domain.identity import Who
from lockgate.domain.policy import Policy
from lockgate.domain.proposals import Proposal, ProposalState
from lockgate.usecases.ports import Work


def takes_two(work: Work) -> bool:
    """Whether a change of the policy takes a second person."""
    return work.policies.text() is not None and work.people.any()


def propose(work: Work, id: str, text: str, policy: Policy, who: Who, at: datetime, reason: str) -> Proposal:
    """Propose a policy in the caller's transaction. It takes the place of one that waits; the same one joins it."""
    waiting, before = work.proposals.open(), work.policies.in_force().digest
    if waiting is not None and (waiting.digest, waiting.before) == (policy.digest, before):
        return waiting
    if waiting is not None:
        because = f"{who.name} proposed another one"
        work.proposals.save(replace(waiting, state=ProposalState.REPLACED, decided_at=at, comment=because))
    proposal = Proposal(id, policy.digest, text, before, who, at, reason)
    work.proposals.add(proposal)
    detail: dict[str, Plain] = {"proposal": id, "level": policy.level.value}
    entry = Entry("policy:proposed", who, at, before=before, after=policy.digest, why=reason, detail=detail)
    work.record.write(entry)
    return proposal
