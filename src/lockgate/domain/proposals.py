"""A policy that one person proposed, and that a second one puts in force."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from lockgate.domain.identity import Who


class ProposalState(StrEnum):
    """What became of it."""

    OPEN = "open"
    APPROVED = "approved"
    REJECTED = "rejected"
    REPLACED = "replaced"


@dataclass(frozen=True, slots=True)
class Proposal:
    """The text of a policy with its digest, who proposed it and when, and what became of it.

    `before` is the digest of the policy that was in force when it was proposed: a yes is one to that change.
    """

    id: str
    digest: str
    text: str
    before: str
    proposed_by: Who
    proposed_at: datetime
    reason: str = ""
    state: ProposalState = ProposalState.OPEN
    decided_by: Who | None = None
    decided_at: datetime | None = None
    comment: str = ""
