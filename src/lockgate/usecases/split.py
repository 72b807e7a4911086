"""Divides the requests to an endpoint among the versions that hold its stage."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from lockgate.domain.access import Act
from lockgate.domain.audit import Entry
from lockgate.domain.errors import BadInput, Conflict, NotFound
from lockgate.domain.identity import Who
from lockgate.domain.traffic import SetSplit, Split
from lockgate.usecases.authorise import authorise, refusals_recorded
from lockgate.usecases.ports import Ports, Work


@dataclass(frozen=True, slots=True)
class SplitShown:
    """A split on the record, the version that is primary now, and what of the split holds at this moment."""

    set: SetSplit
    primary: int | None
    in_force: Split


def divide(ports: Ports, environment: str, model: str, split: Split, who: Who, reason: str = "") -> SplitShown:
    """Divide the endpoint's requests like that, in place of how they were divided before.

    Raises BadInput for a split that makes no sense, NotFound for the endpoint, Forbidden, and Conflict when a version
    it names does not hold the environment's stage, is the primary one, or never was ready to serve there.
    """
    split.checked()
    with refusals_recorded(ports, who, "endpoints split", model), ports.store.writing(model) as work:
        authorise(work, who, Act.OPERATE, model)
        _require_they_may_answer(work, environment, model, split)
        now = ports.clock.now()
        before = work.splits.get(environment, model)
        work.splits.put(SetSplit(environment, model, split, str(who), now))
        entry = Entry(
            "endpoint:split",
            who,
            now,
            model,
            before=before.split.plain() if before is not None else None,
            after=split.plain(),
            why=reason,
            detail={"environment": environment},
        )
        work.record.write(entry)
        return _shown(work, SetSplit(environment, model, split, str(who), now))


def undivide(ports: Ports, environment: str, model: str, who: Who, reason: str = "") -> SetSplit:
    """Give all requests to the primary version again; what was in force. Raises NotFound and Forbidden."""
    with refusals_recorded(ports, who, "endpoints split --remove", model), ports.store.writing(model) as work:
        authorise(work, who, Act.OPERATE, model)
        before = work.splits.get(environment, model)
        if before is None:
            raise NotFound(
                f"The requests to {model} in {environment} are not divided.", hint="lockgate endpoints split shows all."
            )
        work.splits.remove(environment, model)
        detail = {"environment": environment}
        told = before.split.plain()
        entry = Entry("endpoint:split-removed", who, ports.clock.now(), model, None, told, None, reason, detail=detail)
        work.record.write(entry)
        return before


def shown(ports: Ports, model: str | None = None, environment: str | None = None) -> Sequence[SplitShown]:
    """How requests are divided, by model and environment."""
    with ports.store.reading() as work:
        return [_shown(work, found) for found in work.splits.of(model, environment)]


def _require_they_may_answer(work: Work, environment: str, model: str, split: Split) -> None:
    policy = work.policies.in_force()
    place = policy.environment(environment)
    if place is None:
        names = ", ".join(each.name for each in policy.environments)
        raise BadInput(f"There is no environment {environment!r}.", hint=f"The policy names {names}.")
    endpoint = work.endpoints.get(environment, model)
    if endpoint is None or endpoint.release is None:
        raise NotFound(f"{model} is not served in {environment}.", hint="lockgate endpoints lists what is.")
    inside = {ref.version for ref in work.versions.in_stage(model, place.stage)}
    served = {release.ref.version for release in work.endpoints.releases(endpoint.id)}
    for version in sorted(split.versions):
        if version == endpoint.release.ref.version:
            raise Conflict(
                f"{model}@{version} is the primary version in {environment}: it gets what no share takes.",
                hint="Name the other versions.",
            )
        if version not in inside:
            raise Conflict(
                f"{model}@{version} is not in {place.stage}: no version answers that does not hold the stage.",
                hint=f"lockgate promote {model}@{version} --to {place.stage.value.lower()} --keep-existing",
            )
        if version not in served:
            raise Conflict(
                f"{model}@{version} was never ready to serve in {environment}.",
                hint=f"lockgate promote {model}@{version} --to {place.stage.value.lower()} --keep-existing",
            )


def _shown(work: Work, found: SetSplit) -> SplitShown:
    endpoint = work.endpoints.get(found.environment, found.model)
    place = work.policies.in_force().environment(found.environment)
    if endpoint is None or endpoint.release is None or place is None:
        return SplitShown(found, None, found.split.among(frozenset(), 0))
    primary = endpoint.release.ref.version
    inside = frozenset(ref.version for ref in work.versions.in_stage(found.model, place.stage))
    return SplitShown(found, primary, found.split.among(inside, primary))
