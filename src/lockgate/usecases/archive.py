"""Archives a version together with the no to it: what was rejected need not lie about as if it still had a way."""

from __future__ import annotations

from lockgate.domain.audit import Entry
from lockgate.domain.canonical import Plain
from lockgate.domain.errors import Conflict
from lockgate.domain.identity import Who
from lockgate.domain.promotion import Kind, Promotion, PromotionState
from lockgate.domain.stages import Stage
from lockgate.domain.versions import VersionRef
from lockgate.usecases.advance import begin
from lockgate.usecases.custom_rules import NOTHING_KNOWN
from lockgate.usecases.gather import lifecycle
from lockgate.usecases.looking import NOTHING_TO_LOOK_AT
from lockgate.usecases.ports import Ports, Work


def may_archive_rejected(work: Work, ref: VersionRef) -> None:
    """Raise Conflict for a version that serves in Production, or that a rollout holds."""
    if lifecycle(work, ref).stage is Stage.PRODUCTION:
        raise Conflict(
            f"{ref} is in Production, and archiving it would take it away from there.",
            hint=f"Reject it without --archive, or take it out first: lockgate promote {ref} --to archived",
        )
    for other in work.promotions.open_of_model(ref.model):
        if other.ref == ref and other.state.moves_endpoint:
            raise Conflict(
                f"A rollout of {ref} to {other.stage} is under way (promotion {other.id}).",
                promotion=other.id,
                hint=f"Withdraw it first: lockgate rollout abort {ref.model}",
            )


def archive_rejected(ports: Ports, work: Work, ref: VersionRef, who: Who, comment: str) -> None:
    """Archive the version in the transaction that rejects it; what still waits to move it is cancelled."""
    now, before = ports.clock.now(), lifecycle(work, ref).stage
    why = f"rejected: {comment}"
    for other in work.promotions.open_of_model(ref.model):
        if other.ref == ref and work.promotions.close(other.id, PromotionState.CANCELLED, why, now):
            detail: dict[str, Plain] = {"promotion": other.id}
            entry = Entry("promotion:cancelled", who, now, ref.model, ref.version, "", other.stage, why, detail)
            work.record.write(entry)
    if before is Stage.ARCHIVED:
        return
    promotion = Promotion(
        id=ports.ids.new("prm"),
        ref=ref,
        stage=Stage.ARCHIVED,
        kind=Kind.PROMOTE,
        lasting=False,
        archive_existing=False,
        asked_by=who,
        reason=why,
        asked_at=now,
        state=PromotionState.JUDGING,
        state_since=now,
    )
    told: dict[str, Plain] = {"promotion": promotion.id, "kind": promotion.kind.value}
    entry = Entry("promotion:requested", who, now, ref.model, ref.version, before, Stage.ARCHIVED, why, told)
    work.record.write(entry)
    begin(ports, work, promotion, NOTHING_TO_LOOK_AT, NOTHING_KNOWN)
