"""From requests, stand-ins, broken glass and proposals inside to the shapes that cross the network."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime

from lockgate.domain import approvals, break_glass, plans, proposals
from lockgate.server.api import translate
from lockgate.usecases import approval_ports, approver_view
from lockgate.wire import approvals as wire


def delegation(of: approvals.Delegation, now: datetime) -> wire.Delegation:
    """A delegation, and whether it may be used now."""
    giver = translate.who(of.giver)
    return wire.Delegation(of.id, giver, of.to, of.reason, of.at, of.until, of.holds(now), of.ended_at)


def glass(of: break_glass.BreakGlass, now: datetime) -> wire.BreakGlass:
    """A broken glass as it stands now."""
    return wire.BreakGlass(
        id=of.id,
        model=of.ref.model,
        version=of.ref.version,
        stage=of.stage.value,
        state=of.state(now).value,
        asked_by=translate.who(of.asked_by),
        reason=of.reason,
        asked_at=of.asked_at,
        expires_at=of.expires_at,
        artifacts=of.artifacts,
        confirmed_by=translate.who(of.confirmed_by) if of.confirmed_by else None,
        confirmed_at=of.confirmed_at,
        promotion=of.promotion,
        used_at=of.used_at,
        review_due=of.review_due,
        overdue=of.overdue(now),
        reviewed_by=translate.who(of.reviewed_by) if of.reviewed_by else None,
        reviewed_at=of.reviewed_at,
        review=of.review,
    )


def proposal(of: proposals.Proposal) -> wire.Proposal:
    """A proposed policy."""
    return wire.Proposal(
        id=of.id,
        digest=of.digest,
        text=of.text,
        before=of.before,
        proposed_by=translate.who(of.proposed_by),
        proposed_at=of.proposed_at,
        reason=of.reason,
        state=of.state.value,
        decided_by=translate.who(of.decided_by) if of.decided_by else None,
        decided_at=of.decided_at,
        comment=of.comment,
    )


def view(of: approver_view.View) -> wire.ApprovalView:
    """A request with all that an approver looks at."""
    people = [of.request.asked_by, *(decision.who for decision in of.counted)]
    return wire.ApprovalView(
        request=translate.requested(of.request),
        plan=translate.planned(of.plan),
        changed=_changes(of.changed),
        counted=tuple(translate.decided(each) for each in of.counted),
        ignored=tuple(wire.NotCounted(translate.decided(each), because) for each, because in of.ignored),
        missing=of.missing,
        candidate=_side(of.candidate),
        champion=_side(of.champion) if of.champion else None,
        metrics=tuple(_beside(each, of.candidate) for each in of.metrics),
        signature=of.signature,
        libraries=_changes(of.libraries),
        expired=of.is_expired,
        expires_at=of.request.expires_at(of.rule),
        unverified=not all(who.verified for who in people),
    )


def _changes(found: Iterable[plans.Change]) -> tuple[wire.PartChange, ...]:
    return tuple(wire.PartChange(each.part, each.before, each.after, str(each)) for each in found)


def _beside(of: approver_view.Beside, candidate: approver_view.Side) -> wire.MetricBeside:
    metric = candidate.metrics.get(of.name)
    return wire.MetricBeside(of.name, of.candidate, of.champion, of.delta, str(metric.grade) if metric else "")


def _side(of: approver_view.Side) -> wire.Side:
    return wire.Side(
        model=of.ref.model,
        version=of.ref.version,
        stage=of.stage.value,
        digest=of.digest,
        tags=dict(of.tags),
        validation=translate.validated(of.validation) if of.validation else None,
        training=_training(of.training) if of.training else None,
        run_id=of.run_id,
        registered_by=of.registered_by,
        description=of.description,
    )


def _training(of: approval_ports.Training) -> wire.Training:
    data = tuple(wire.DataSet(each.name, each.digest, each.kind, each.context) for each in of.datasets)
    return wire.Training(of.run_id, of.name, of.user, of.source, of.commit, of.started_at, data)
