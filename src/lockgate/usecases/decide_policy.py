"""A second administrator puts a proposed policy in force, or somebody turns it down."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime

from lockgate.domain.access import Act
from lockgate.domain.approvals import same_person
from lockgate.domain.audit import Entry
from lockgate.domain.canonical import Plain
from lockgate.domain.errors import Conflict, Forbidden, NotFound
from lockgate.domain.identity import Who
from lockgate.domain.proposals import Proposal, ProposalState
from lockgate.usecases import apply_policy
from lockgate.usecases.authorise import authorise, refusals_recorded
from lockgate.usecases.people import logged_in
from lockgate.usecases.ports import Ports, Work


def approve(ports: Ports, id: str, parse: apply_policy.Parse, who: Who, comment: str = "") -> Proposal:
    """Put a proposed policy in force, as another administrator than the one who proposed it.

    Raises NotFound, Forbidden, Conflict when it is decided already or another policy came in force since, and BadInput
    when this release cannot read it.
    """
    # custom rules are tried while it is read, which may take a second: outside of the transaction
    policy = parse(look(ports, id).text)
    with refusals_recorded(ports, who, "policy approve"), ports.store.writing(None) as work:
        proposal = _open(work, id, who)
        if same_person(proposal.proposed_by.name, who.name):
            raise Forbidden(
                f"{who.name} proposed this policy, and a second administrator has to put it in force.",
                hint=f"Somebody else: lockgate policy approve {id}",
            )
        in_force = work.policies.in_force().digest
        if in_force != proposal.before:
            raise Conflict(
                "Another policy came in force since it was proposed, so it is not the change that was meant.",
                hint="Propose it anew: lockgate policy apply FILE",
            )
        now = ports.clock.now()
        apply_policy.put_in_force(work, proposal.text, policy, who, now, proposal.reason)
        return _decided(work, proposal, ProposalState.APPROVED, who, now, comment)


def reject(ports: Ports, id: str, who: Who, comment: str) -> Proposal:
    """Turn a proposed policy down; whoever proposed it may, too. Raises NotFound, Forbidden and Conflict."""
    with refusals_recorded(ports, who, "policy reject"), ports.store.writing(None) as work:
        proposal = _open(work, id, who)
        return _decided(work, proposal, ProposalState.REJECTED, who, ports.clock.now(), comment)


def look(ports: Ports, id: str) -> Proposal:
    """One proposal. Raises NotFound."""
    with ports.store.reading() as work:
        return _known(work, id)


def listed(ports: Ports, limit: int = 100) -> Sequence[Proposal]:
    """The latest proposals, newest first."""
    with ports.store.reading() as work:
        return work.proposals.recent(limit)


def _open(work: Work, id: str, who: Who) -> Proposal:
    logged_in(work, who)
    authorise(work, who, Act.CHANGE_POLICY)
    proposal = _known(work, id)
    if proposal.state is not ProposalState.OPEN:
        raise Conflict(f"The proposed policy {id} is {proposal.state} already.", hint="Nothing was changed.")
    return proposal


def _known(work: Work, id: str) -> Proposal:
    found = work.proposals.get(id)
    if found is None:
        raise NotFound(f"There is no proposed policy {id}.", hint="lockgate policy proposals lists them.")
    return found


def _decided(work: Work, proposal: Proposal, state: ProposalState, who: Who, now: datetime, comment: str) -> Proposal:
    after = replace(proposal, state=state, decided_by=who, decided_at=now, comment=comment)
    work.proposals.save(after)
    detail: dict[str, Plain] = {"proposal": proposal.id, "proposed by": str(proposal.proposed_by)}
    action = "policy:approved" if state is ProposalState.APPROVED else "policy:rejected"
    entry = Entry(action, who, now, before=proposal.before, after=proposal.digest, why=comment, detail=detail)
    work.record.write(entry)
    return after
