"""Moves versions between stages in one transaction: lifecycle, MLflow's columns, aliases and endpoints together."""

from __future__ import annotations

from collections.abc import Set
from dataclasses import dataclass
from datetime import datetime

from lockgate.domain.audit import Entry
from lockgate.domain.canonical import Plain
from lockgate.domain.evidence import Quarantine
from lockgate.domain.identity import Who
from lockgate.domain.policy import Policy
from lockgate.domain.serving import EndpointState
from lockgate.domain.stages import GATED, Stage
from lockgate.domain.versions import VersionRef
from lockgate.usecases import semver_tag, webhooks
from lockgate.usecases.gather import lifecycle
from lockgate.usecases.ports import Work
from lockgate.usecases.withdraw import end_all


@dataclass(frozen=True, slots=True)
class Move:
    """One version's way into one stage, who asked, why, and what the record should add."""

    ref: VersionRef
    stage: Stage
    who: Who
    why: str
    at: datetime
    promotion: str
    leavers: tuple[VersionRef, ...] = ()
    detail: dict[str, Plain] | None = None


def enter(work: Work, policy: Policy, move: Move) -> None:
    """Move the version in, archive those that leave, and let alias, tags and endpoints follow."""
    for leaver in move.leavers:
        why = f"{move.ref} takes its place"
        _place(work, leaver, Stage.ARCHIVED, move, why, action="version:archived")
    came = lifecycle(work, move.ref)
    _place(work, move.ref, move.stage, move, move.why, action="version:transitioned")
    semver_tag.follow(work, came, move.at)
    if move.stage is Stage.STAGING:
        entered = move.at.isoformat()
        work.catalog.set_tag(move.ref, "staging_timestamp", entered)
        webhooks.tagged(work, move.ref.model, move.ref.version, "staging_timestamp", entered, move.at)
    follow(work, policy, move.ref.model, {move.stage, came.stage})
    if move.stage in GATED:
        _straighten(work, move)


def _straighten(work: Work, move: Move) -> None:
    """Take out of MLflow's column what was put into the stage past us: clients choose by it among those in a stage."""
    model = move.ref.model
    for version, held in work.drift.astray(model, move.stage):
        ref = VersionRef(model, version)
        work.catalog.set_stage(ref, held, move.at)
        because = f"{move.ref} entered {move.stage}, where Lockgate never let {ref} in"
        work.record.write(Entry("drift:mended", move.who, move.at, model, version, move.stage, held, because))


def leave_in_quarantine(work: Work, policy: Policy, ref: VersionRef, move: Move) -> None:
    """Archive a version that was rolled back and quarantine it."""
    left = lifecycle(work, ref).stage
    _place(work, ref, Stage.ARCHIVED, move, move.why, action="version:archived")
    work.versions.quarantine(ref, Quarantine(move.at, move.why))
    # not told by times alone, which a clock may get wrong: no yes from before counts for it any more
    end_all(work, ref, move.at, f"it was rolled back: {move.why}")
    detail: dict[str, Plain] = {"promotion": move.promotion}
    entry = Entry(
        "version:quarantined", move.who, move.at, ref.model, ref.version, None, "quarantined", move.why, detail
    )
    work.record.write(entry)
    follow(work, policy, ref.model, {left})


def follow(work: Work, policy: Policy, model: str, stages: Set[Stage]) -> None:
    """Point the primary and the protected alias of each of the stages that have one at its most recently promoted
    version, or at nothing.
    """
    gated = sorted(stages & GATED)
    if not gated:
        return
    primaries = work.versions.elect(model, gated)
    aliases = {alias: primaries[stage] for stage in gated if (alias := policy.rules(model, stage).alias)}
    for alias, primary in aliases.items():
        webhooks.alias_follows(work, model, alias, primary)
    work.catalog.set_aliases(model, aliases)
    for stage in gated:
        environment = policy.environment_for(stage)
        if environment is not None:
            _told_of_primary(work, environment.name, model, stage, primaries[stage])


def _told_of_primary(work: Work, environment: str, model: str, stage: Stage, primary: int | None) -> None:
    """What the endpoint says of itself: it goes on with what it has, whatever the stage's primary is."""
    endpoint = work.endpoints.get(environment, model)
    if endpoint is None or endpoint.release is None or endpoint.state is EndpointState.RETIRED:
        return
    serves = endpoint.release.ref
    if primary is None:
        because = f"no version is in {stage}; {serves} goes on serving"
        work.endpoints.set_state(endpoint.id, EndpointState.VACANT, because)
    elif primary == serves.version:
        work.endpoints.set_state(endpoint.id, EndpointState.SERVING)
    else:
        because = f"{serves} goes on serving, though the primary of {stage} is {model}@{primary}"
        work.endpoints.set_state(endpoint.id, EndpointState.DEGRADED, because)


def _place(work: Work, ref: VersionRef, stage: Stage, move: Move, why: str, *, action: str) -> None:
    before = lifecycle(work, ref).stage
    work.versions.place(ref, stage, move.at, move.promotion or None)
    work.catalog.set_stage(ref, stage, move.at)
    detail: dict[str, Plain] = {"promotion": move.promotion, **(move.detail or {})}
    work.record.write(Entry(action, move.who, move.at, ref.model, ref.version, before, stage, why, detail))
