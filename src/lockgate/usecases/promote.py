"""Asks for the move of a version to a stage, joins one that is under way, and says how it ended.

How an open promotion goes on is in `advance.py`; the order of events is in docs/explanation/the-way-of-one-model.md.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from lockgate.domain.access import Act
from lockgate.domain.audit import Entry
from lockgate.domain.canonical import Plain
from lockgate.domain.engines import OF_OLD
from lockgate.domain.errors import BadInput, Conflict, Failed, NotFound, Refused, Waits
from lockgate.domain.identity import Who
from lockgate.domain.promotion import Claim, Kind, Promotion, PromotionState
from lockgate.domain.serving import Release
from lockgate.domain.stages import Stage
from lockgate.domain.verdict import Gate, Standing, Verdict
from lockgate.domain.versions import VersionRef
from lockgate.usecases import drift
from lockgate.usecases.advance import advance, begin
from lockgate.usecases.authorise import authorise, authorise_one, refusals_recorded
from lockgate.usecases.consent_facts import release_engine
from lockgate.usecases.custom_rules import Known, apart
from lockgate.usecases.gather import Looked, catalog_version, lifecycle, look_at_artifacts, no_version
from lockgate.usecases.looking import NOTHING_TO_LOOK_AT, Looking
from lockgate.usecases.plan import digest_written
from lockgate.usecases.ports import LostClaim, Ports, Work

FIRST_LEASE = timedelta(seconds=15)
SMALL = 1 << 20  # bytes that were pinned: comparing them takes less than starting a thread
A_MOMENT = 0.3  # seconds that reading the artifacts may take before the promotion is opened for others to see


_TAKES = {Kind.ROLLBACK: Act.OPERATE, Kind.BREAK_GLASS: Act.BREAK_GLASS}


@dataclass(frozen=True, slots=True)
class Ask:
    """What someone asked for. `lasting` ones wait for approvals and time; `leaves` is what a rollback leaves behind,
    or the version that is named to make room. `plan` is the digest of the one plan it may carry out ("": any).
    """

    ref: VersionRef
    stage: Stage
    kind: Kind
    who: Who
    lasting: bool = False
    archive_existing: bool = False
    reason: str = ""
    leaves: VersionRef | None = None
    plan: str = ""


def ask(ports: Ports, ask: Ask, when_done: Callable[[Work], None] | None = None) -> Promotion:
    """Open the promotion, or join the open one of the same version and stage, and take its first step.

    What comes back may be over already: refused, or committed at once where nothing is to be served. That is all one
    transaction when the artifacts are read in a moment. `when_done` is called in the transaction that does it, if
    this call does.
    Raises NotFound, Forbidden, BadInput for a prompt, and Conflict when a rollout holds the version or its endpoint.
    """
    with refusals_recorded(ports, ask.who, f"move {ask.ref} to {ask.stage}", ask.ref.model):
        try:
            return _asked(ports, ask, _looking(ports, ask), when_done)
        except _NothingSeen:
            # it was there already, or went on, and is no more: the first look was no look at the artifacts
            return _asked(ports, ask, _looking(ports, ask, whatever=True), when_done)


class _NothingSeen(Exception):
    """The promotion is new, and nobody has looked at the artifacts. Nothing was changed."""


def _asked(
    ports: Ports, ask: Ask, looking: Looking | Looked | None, when_done: Callable[[Work], None] | None
) -> Promotion:
    looked = looking.within(A_MOMENT) if isinstance(looking, Looking) else looking

    def opened(known: Known) -> tuple[Promotion, Claim | None]:
        claim = None
        with ports.store.writing(ask.ref.model) as work:
            promotion, is_new = _open(ports, work, ask)
            if is_new and looking is None and ask.kind is not Kind.ROLLBACK:
                raise _NothingSeen
            if is_new and looked is not None:
                promotion = begin(ports, work, promotion, looked, known)
            elif is_new:
                # it may take long: others see that it goes on, and take it over should this process end
                due, lease = promotion.asked_at, FIRST_LEASE
                claim = work.promotions.add(promotion, due_at=due, claimed_by=ports.owner, lease=lease)
            if promotion.state is PromotionState.DONE and when_done is not None:
                when_done(work)
        return promotion, claim

    promotion, claim = apart(ports.custom, opened)
    if claim is None:
        return promotion
    try:
        return advance(ports, promotion, claim, looking.result if isinstance(looking, Looking) else None)
    except LostClaim:
        return look(ports, promotion.id)


def look(ports: Ports, id: str) -> Promotion:
    """One promotion. Raises NotFound."""
    with ports.store.reading() as work:
        found = work.promotions.get(id)
    if found is None:
        raise NotFound(f"There is no promotion {id}.", hint="lockgate rollout status MODEL lists the latest.")
    return found


def cancel(ports: Ports, id: str, who: Who) -> Promotion:
    """Withdraw an open promotion. Raises NotFound, Forbidden, and Conflict once it is committed or over."""
    promotion = look(ports, id)
    model = promotion.ref.model
    with refusals_recorded(ports, who, f"cancel {id}", model), ports.store.writing(model) as work:
        authorise_one(work, who, (Act.ASK, Act.OPERATE), model)
        promotion = work.promotions.get(id) or promotion
        if promotion.state.is_over or promotion.state is PromotionState.SWITCHING:
            raise Conflict(f"Promotion {id} is {promotion.state} and cannot be cancelled.", promotion=id)
        now = ports.clock.now()
        work.promotions.close(id, PromotionState.CANCELLED, f"cancelled by {who}", now)
        if promotion.candidate:
            work.endpoints.warm(promotion.endpoint, None)
        ref, detail = promotion.ref, {"promotion": id}
        work.record.write(
            Entry("promotion:cancelled", who, now, ref.model, ref.version, after=promotion.stage, detail=detail)
        )
    return look(ports, id)


def answer(promotion: Promotion) -> None:
    """Return when the version is where it was asked to be; else raise what the caller must hear.

    Raises Refused, Waits, Failed or Conflict (cancelled, or still going on).
    """
    what, id = f"{promotion.ref} to {promotion.stage}", promotion.id
    verdict = promotion.verdict or Verdict(())
    match promotion.state:
        case PromotionState.DONE:
            return
        case PromotionState.REFUSED if verdict.standing is Standing.FAILS:
            message = f"Refused: {what}.{_lines(verdict)}"
            raise Refused(message, verdict=verdict, promotion=id, hint=_hint(verdict))
        case PromotionState.REFUSED:
            follow = f"lockgate promote {promotion.ref} --to {promotion.stage.lower()} --wait"
            message = f"Not yet: {what}.{_lines(verdict)}"
            raise Waits(message, verdict=verdict, promotion=id, hint=f"\nTo wait for it: {follow}")
        case PromotionState.FAILED:
            raise Failed(f"Failed: {what}: {promotion.because}", promotion=id)
        case PromotionState.CANCELLED:
            raise Conflict(f"Not done: {what}: {promotion.because}", promotion=id)
        case state:
            follow = f"lockgate rollout status {promotion.ref.model}"
            raise Conflict(f"Promotion {id} of {what} goes on ({state}).", promotion=id, hint=f"Follow it: {follow}")


def _looking(ports: Ports, ask: Ask, *, whatever: bool = False) -> Looking | Looked | None:
    """What is known of the artifacts, or a look at them. None where the promotion looks in its own way, or not at all.

    With `whatever` it looks though there may be nothing to promote. Raises NotFound.
    """
    if not ask.stage.is_gated:
        return NOTHING_TO_LOOK_AT
    if ask.kind is Kind.ROLLBACK:
        return None
    with ports.store.reading() as work:
        seen = work.promotions.glimpse(ask.ref, ask.stage)
        if seen is None:
            raise no_version(ask.ref)
        # without a row of its own it may have been put there before Lockgate
        may_be_there = seen.stage is None or (seen.stage is ask.stage and seen.primary)
        if not whatever and (seen.goes_on or (may_be_there and _is_there_already(work, ask))):
            return None
        manifest = work.versions.manifest(ask.ref) if seen.digest is not None else None
    nothing_new = manifest is None and ports.artifacts.is_nothing(seen.location)
    if nothing_new or (manifest is not None and manifest.size <= SMALL):
        return look_at_artifacts(ports, seen.location, manifest)
    return Looking(ports, seen.location, manifest)


def _open(ports: Ports, work: Work, ask: Ask) -> tuple[Promotion, bool]:
    """The promotion asked for, and whether it is new: then it is on the record, and has still to be stored."""
    ref = ask.ref
    authorise(work, ask.who, _TAKES.get(ask.kind, Act.ASK), ref.model)
    catalog_version(work, ref)
    now = ports.clock.now()
    if work.catalog.is_prompt(ref.model):
        return _of_prompt(ports, ask, now), False
    others = work.promotions.open_of_model(ref.model)
    joined = next((other for other in others if other.ref == ref and other.stage is ask.stage), None)
    if joined is not None and (not ask.kind.goes_first or joined.kind is ask.kind):
        _refuse_other_terms(joined, ask)
        if ask.lasting and not joined.lasting:
            work.promotions.keep(joined.id)  # a plain client asked first, and somebody who waits joins it
            joins: dict[str, Plain] = {"promotion": joined.id}
            work.record.write(
                Entry(
                    "promotion:joined", ask.who, now, ref.model, ref.version, "ends", "waits", ask.reason, detail=joins
                )
            )
            return replace(joined, lasting=True), False
        return joined, False
    _refuse_if_held(others, ask)
    if joined is not None:
        _clear_the_way(work, joined, ask, now)
    _refuse_wrong_leaver(work, ask)
    promotion = _asked_for(ports, ask, now)
    if ask.kind is not Kind.ROLLBACK and _is_there_already(work, ask):
        because = "it is there already"
        if drift.mend(ports, work, ref, ask.who):
            because += "; MLflow's tables said otherwise and were put right"
        return _over(promotion, because), False
    action = "rollback:requested" if ask.kind is Kind.ROLLBACK else "promotion:requested"
    detail: dict[str, Plain] = {"promotion": promotion.id, "kind": ask.kind.value}
    before = lifecycle(work, ref).stage
    work.record.write(Entry(action, ask.who, now, ref.model, ref.version, before, ask.stage, ask.reason, detail))
    return promotion, True


def _asked_for(ports: Ports, ask: Ask, now: datetime) -> Promotion:
    return Promotion(
        id=ports.ids.new("prm"),
        ref=ask.ref,
        stage=ask.stage,
        kind=ask.kind,
        lasting=ask.lasting,
        archive_existing=ask.archive_existing,
        asked_by=ask.who,
        reason=ask.reason,
        asked_at=now,
        state=PromotionState.JUDGING,
        state_since=now,
        leaves=ask.leaves,
        asked_plan=digest_written(ask.plan) if ask.plan else "",
    )


def _of_prompt(ports: Ports, ask: Ask, now: datetime) -> Promotion:
    """A prompt stays in None, where MLflow's clients may move it. Raises BadInput for any other stage."""
    if ask.stage is not Stage.NONE or ask.kind is not Kind.TRANSITION:
        raise BadInput(
            f"{ask.ref.model} is a prompt, and prompts have no stages.", hint="Use an alias to mark a prompt's version."
        )
    return _over(_asked_for(ports, ask, now), "a prompt has no stage to leave")


def _over(promotion: Promotion, because: str) -> Promotion:
    """One that needs nothing done: it is not stored, and bears no id."""
    return replace(promotion, id="", state=PromotionState.DONE, because=because, closed_at=promotion.asked_at)


def _clear_the_way(work: Work, waiting: Promotion, ask: Ask, now: datetime) -> None:
    """Cancel a promotion that waits for gates: a rollback to its version, or a broken glass, does not wait for them."""
    what = "rollback to" if ask.kind is Kind.ROLLBACK else "broken glass for"
    why = f"a {what} {ask.ref} takes its place"
    work.promotions.close(waiting.id, PromotionState.CANCELLED, why, now)
    ref, detail = ask.ref, {"promotion": waiting.id}
    work.record.write(Entry("promotion:cancelled", ask.who, now, ref.model, ref.version, "", ask.stage, why, detail))


def _refuse_other_terms(joined: Promotion, ask: Ask) -> None:
    """Raise Conflict when the promotion under way would do something else than what is asked for."""
    bound = not ask.plan or joined.asked_plan == digest_written(ask.plan)
    named = ask.kind is Kind.ROLLBACK or ask.leaves is None or joined.leaves == ask.leaves
    if bound and named:
        return
    said = "is not bound to that plan" if not bound else f"does not make {ask.leaves} leave"
    raise Conflict(
        f"A promotion of {joined.ref} to {joined.stage} is open already ({joined.id}, {joined.state}), which {said}.",
        promotion=joined.id,
        hint=f"Withdraw it first: lockgate rollout abort {joined.ref.model}",
    )


def _refuse_wrong_leaver(work: Work, ask: Ask) -> None:
    """Raise BadInput when the version that is named to make room is not where it could."""
    if ask.leaves is None or ask.kind is Kind.ROLLBACK:
        return
    there = work.versions.in_stage(ask.ref.model, ask.stage)
    if ask.leaves not in there or ask.leaves == ask.ref:
        names = ", ".join(str(ref.version) for ref in there if ref != ask.ref) or "no other version"
        raise BadInput(
            f"Version {ask.leaves.version} cannot make room for {ask.ref} in {ask.stage}: {names} is there.",
            hint="Name one of those with --replace.",
        )


def _refuse_if_held(others: Sequence[Promotion], ask: Ask) -> None:
    """One rollout an endpoint at a time, and none of its versions moved from under it."""
    for other in others:
        if not other.state.moves_endpoint or (other.ref != ask.ref and other.stage is not ask.stage):
            continue
        held = f"{ask.ref}" if other.ref == ask.ref else f"the {other.stage} endpoint of {ask.ref.model}"
        raise Conflict(
            f"A rollout of {other.ref} to {other.stage} holds {held} (promotion {other.id}, {other.state}).",
            promotion=other.id,
            hint=f"Follow it: lockgate rollout status {ask.ref.model}\n"
            f"Or withdraw it: lockgate rollout abort {ask.ref.model}",
        )


def _is_there_already(work: Work, ask: Ask) -> bool:
    row = lifecycle(work, ask.ref)
    if row.stage is not ask.stage:
        return False
    if not ask.stage.is_gated:
        return True
    if not row.primary:
        return False
    if ask.archive_existing and any(ref != ask.ref for ref in work.versions.in_stage(ask.ref.model, ask.stage)):
        return False
    policy = work.policies.in_force()
    environment = policy.environment_for(ask.stage)
    if environment is None or not policy.endpoint_rule(ask.ref.model).serve:
        return True
    endpoint = work.endpoints.get(environment.name, ask.ref.model)
    if endpoint is None or endpoint.release is None or endpoint.release.ref != ask.ref:
        return False
    return ask.kind is not Kind.PROMOTE or _has_its_engine(work, endpoint.release)


def _has_its_engine(work: Work, release: Release) -> bool:
    """Whether the rule still gives the release the engine it has. Else somebody who promotes it again means that."""
    rule = work.policies.in_force().endpoint_rule(release.ref.model)
    return release.engine in (OF_OLD, str(release_engine(work, rule, release.ref, release.digest)))


def _lines(verdict: Verdict) -> str:
    # numbered, because MLflow's interface runs the lines of an error together
    return "".join(f"\n  {number}. {_line(gate)}" for number, gate in enumerate(verdict.binding, start=1))


def _line(gate: Gate) -> str:
    told = f"{gate.name} {gate.standing}: {gate.because}"
    if gate.required:
        told += f" (required: {gate.required})"
    return f"{told} -> {gate.next}" if gate.next else told


def _hint(verdict: Verdict) -> str:
    fails = sum(1 for gate in verdict.binding if gate.standing is Standing.FAILS)
    return f"\n{fails} of {len(verdict.gates)} gates {'fails' if fails == 1 else 'fail'}; nothing was changed."
