"""Looks back: what was in each stage at a moment, what served then, who agreed to it and why.

It is put together from our rows and the record. What was so before the record began is said to be unknown.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime

from lockgate.domain.access import Act
from lockgate.domain.approvals import ApprovalRequest, Decision
from lockgate.domain.audit import Entry
from lockgate.domain.errors import BadInput, NotFound
from lockgate.domain.identity import Who
from lockgate.domain.promotion import Promotion
from lockgate.domain.stages import GATED, Stage
from lockgate.usecases.adoption_ports import ADOPTED, BEFORE
from lockgate.usecases.authorise import authorise, refusals_recorded
from lockgate.usecases.history_ports import KeptPolicy, PastModel, Stay
from lockgate.usecases.ports import Ports, Work

WAS_THERE = "it was there before Lockgate, so who agreed to it is unknown"
NO_PROMOTION = "the record names no promotion for it"


@dataclass(frozen=True, slots=True)
class Behind:
    """What stands behind a move: who asked, what was judged, under which policy, and the request with its answers.

    `request` has no answer that was given after the move. `policy` is None for the built-in one.
    """

    promotion: Promotion
    request: ApprovalRequest | None
    policy: KeptPolicy | None


@dataclass(frozen=True, slots=True)
class InStage:
    """A version in a stage. `primary` None: the record does not tell. `unknown` says why nothing stands behind it."""

    version: int
    stage: Stage
    since: datetime
    digest: str | None
    primary: bool | None
    behind: Behind | None
    unknown: str = ""


@dataclass(frozen=True, slots=True)
class Serving:
    """What an endpoint served. `vacant`: its version was in the stage no more, and nothing had replaced it."""

    environment: str
    version: int
    release: str
    digest: str
    since: datetime
    promotion: str
    vacant: bool


@dataclass(frozen=True, slots=True)
class ModelThen:
    """One model as it was. `now` is its present name where that is another one; `deleted_at` when it went."""

    model: str
    now: str
    deleted_at: datetime | None
    stages: tuple[InStage, ...]
    serving: tuple[Serving, ...]


@dataclass(frozen=True, slots=True)
class AsOf:
    """What was so at a moment. `began` is when the record began; `adopted`: MLflow had been there before.

    `removed`: entries that would say what served have no text any more, by the rule of retention.
    """

    at: datetime
    began: datetime
    adopted: bool
    models: tuple[ModelThen, ...]
    removed: bool = False


def as_of(ports: Ports, who: Who, at: datetime, model: str | None = None) -> AsOf:
    """What was in Staging and Production at that moment, and what served, in all models or in one.

    A model is named as it was called then, or as it is called now. Raises BadInput for the future, NotFound for a time
    before the record began and for a model that nobody knew then, Forbidden without leave to read the record.
    """
    if at > ports.clock.now():
        raise BadInput(f"{_told(at)} has not come yet.", hint="lockgate status shows what is so now.")
    with refusals_recorded(ports, who, "audit as-of", model or ""), ports.store.reading() as work:
        authorise(work, who, Act.READ_RECORD, model or "")
        began, adopted = _beginning(work, at)
        known = _models(work, at, model)
        stays = _by_model(work.history.stays(at, GATED, [each.id for each, _ in known]))
        serving, removed = _serving(work, at, known[0][0].chain if model is not None and len(known) == 1 else None)
        found = []
        for each, name in known:
            here = tuple(stays.get(each.id, ()))
            stages = tuple(_in_stage(work, at, began, each, stay, here) for stay in here)
            served = tuple(_vacant(work, one, stages) for one in serving.get(each.chain, ()))
            if stages or served or model is not None:
                now = each.name if each.name != name else ""
                found.append(ModelThen(name, now, each.deleted_at, stages, served))
    return AsOf(at, began, adopted, tuple(found), removed)


def behind(work: Work, promotion_id: str) -> tuple[Behind, PastModel] | None:
    """What stands behind one promotion, and its model; None when there is no such promotion."""
    found = work.history.promotion(promotion_id)
    if found is None:
        return None
    promotion, model = found
    requests = work.history.requests(model.id, promotion.ref.version)
    until = promotion.closed_at or promotion.state_since or promotion.asked_at
    policy = work.history.policy(promotion.policy_digest) if promotion.policy_digest else None
    return Behind(promotion, _request(requests, promotion, until), policy), model


def _request(requests: Sequence[ApprovalRequest], promotion: Promotion, until: datetime) -> ApprovalRequest | None:
    """The request that the move went by: the last one before it, with the answers that had been given."""
    for request in requests:
        if request.stage is promotion.stage and request.asked_at <= until:
            given = tuple(_then(each, until) for each in request.decisions if each.at <= until)
            return replace(request, decisions=given)
    return None


def _then(decision: Decision, at: datetime) -> Decision:
    """The answer as it stood: what was taken back later, or ended by a rollback, counted then."""
    if decision.withdrawn_at is None or decision.withdrawn_at <= at:
        return decision
    return replace(decision, withdrawn_at=None, withdrawn_because="")


def _beginning(work: Work, at: datetime) -> tuple[datetime, bool]:
    first = work.history.began()
    if first is None:
        raise NotFound(
            "The record of this database has not begun.", hint="It begins with the first start of Lockgate's server."
        )
    entry = Entry.from_plain(first.plain)
    if at < entry.at:
        raise NotFound(
            f"The record began at {_told(entry.at)}; what was so at {_told(at)} is unknown.",
            hint="Name a later time. MLflow kept no history of stages before Lockgate came.",
        )
    return entry.at, entry.action == ADOPTED


def _models(work: Work, at: datetime, model: str | None) -> list[tuple[PastModel, str]]:
    """Each model that was there, with the name that it bore."""
    renamed = work.history.renamed_after(at)
    all_of_them = [(each, renamed.get(each.chain, each.name)) for each in work.history.models(at)]
    if model is None:
        return sorted(all_of_them, key=lambda pair: (pair[1], pair[0].id))
    # the name of that day comes first: another model may bear it now
    found = [pair for pair in all_of_them if pair[1] == model] or [p for p in all_of_them if p[0].name == model]
    if not found:
        raise NotFound(
            f"No model was called {model} at {_told(at)}, and none that was there then is called so now.",
            hint="Leave out the model to see all that were there.",
        )
    return found


def _by_model(stays: Iterable[Stay]) -> Mapping[int, list[Stay]]:
    grouped: dict[int, list[Stay]] = {}
    for stay in stays:
        grouped.setdefault(stay.model.id, []).append(stay)
    return grouped


def _in_stage(
    work: Work, at: datetime, began: datetime, model: PastModel, stay: Stay, all_of_them: Sequence[Stay]
) -> InStage:
    beside = [each.version for each in all_of_them if each.stage is stay.stage]
    moved_last = work.history.last_move(model.chain, at, beside, stay.stage) if len(beside) > 1 else None
    primary = moved_last == stay.version if moved_last is not None else (True if len(beside) == 1 else None)
    found = behind(work, stay.promotion) if stay.promotion else None
    unknown = ""
    if found is None:
        unknown = WAS_THERE if stay.provenance == BEFORE or stay.entered_at < began else NO_PROMOTION
    told = found[0] if found is not None else None
    return InStage(stay.version, stay.stage, stay.entered_at, stay.digest, primary, told, unknown)


def _serving(work: Work, at: datetime, chain: str | None) -> tuple[Mapping[str, Sequence[Serving]], bool]:
    """By chain of the model, what each of its endpoints served: what was committed last, unless it was retired.

    And whether entries that would say so have no text any more.
    """
    last: dict[str, dict[str, Serving]] = {}
    removed = False
    for recorded in work.history.deployments(at, chain):
        entry, place = Entry.from_plain(recorded.plain), last.setdefault(recorded.linked.chain, {})
        if not recorded.linked.text:
            removed = True
        elif entry.action == "model:deleted":
            place.clear()
        elif entry.action == "endpoint:retired":
            place.pop(_environment(entry), None)
        else:
            serving = _deployed(entry)
            place[serving.environment] = serving
    return {chain: [each[1] for each in sorted(found.items())] for chain, found in last.items()}, removed


def _environment(entry: Entry) -> str:
    """Entries of format 1 name the environment where newer ones name the version that serves."""
    detail = entry.detail or {}
    return str(detail.get("environment") or entry.after or entry.before)


def _deployed(entry: Entry) -> Serving:
    detail = entry.detail or {}
    release, digest, promotion = (str(detail.get(name) or "") for name in ("release", "digest", "promotion"))
    return Serving(_environment(entry), entry.version or 0, release, digest, entry.at, promotion, vacant=False)


def _vacant(work: Work, serving: Serving, stages: Sequence[InStage]) -> Serving:
    environment = work.policies.in_force().environment(serving.environment)
    if environment is None:
        return serving
    inside = [each.version for each in stages if each.stage is environment.stage]
    return replace(serving, vacant=serving.version not in inside)


def _told(at: datetime) -> str:
    return f"{at:%Y-%m-%d %H:%M:%S} UTC"
