"""What a broken glass means for a promotion: its gates are set aside while it holds, and its use is on the record."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime

from lockgate.domain.audit import Entry
from lockgate.domain.break_glass import GlassState, set_aside
from lockgate.domain.canonical import Plain
from lockgate.domain.evidence import Evidence
from lockgate.domain.promotion import Kind, Promotion
from lockgate.domain.verdict import Verdict
from lockgate.usecases.ports import Work


def judged(work: Work, promotion: Promotion, evidence: Evidence, verdict: Verdict) -> Verdict:
    """The verdict, with the gates set aside where a glass is broken for this very move, these files, at this moment."""
    if promotion.kind is not Kind.BREAK_GLASS:
        return verdict
    glass = work.glasses.broken(promotion.ref, promotion.stage)
    if glass is None or glass.state(evidence.now) is not GlassState.BROKEN:
        return verdict
    return set_aside(verdict) if glass.artifacts == evidence.artifacts.digest else verdict


def used(work: Work, promotion: Promotion, now: datetime) -> None:
    """Write down that a promotion was committed by a broken glass, which is used up by that.

    `now` is the moment at which it was judged. One that waited until the glass was whole again went by its gates.
    """
    if promotion.kind is not Kind.BREAK_GLASS:
        return
    glass = work.glasses.broken(promotion.ref, promotion.stage)
    if glass is None or glass.state(now) is not GlassState.BROKEN:
        return
    glass = replace(glass, promotion=promotion.id, used_at=now)
    work.glasses.save(glass)
    open_gates = promotion.verdict.open if promotion.verdict else ()
    detail: dict[str, Plain] = {
        "glass": glass.id,
        "promotion": promotion.id,
        "confirmed by": str(glass.confirmed_by),
        "set aside": {gate.name: f"{gate.standing}: {gate.because}" for gate in open_gates},
        "review due": glass.review_due.isoformat(timespec="seconds") if glass.review_due else None,
    }
    ref = promotion.ref
    entry = Entry(
        "breakglass:used", promotion.asked_by, now, ref.model, ref.version, "", promotion.stage, glass.reason, detail
    )
    work.record.write(entry)
