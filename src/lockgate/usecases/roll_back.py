"""Takes an endpoint back to a release that served there before, and leaves the present version in quarantine."""

from __future__ import annotations

from lockgate.domain.audit import Entry
from lockgate.domain.errors import BadInput, Conflict, NotFound
from lockgate.domain.identity import Who
from lockgate.domain.promotion import Kind, Promotion
from lockgate.domain.serving import Endpoint, Release, last_known_good
from lockgate.domain.stages import Stage
from lockgate.domain.versions import VersionRef
from lockgate.usecases import promote
from lockgate.usecases.ports import Ports, Work


def ask(
    ports: Ports, model: str, who: Who, reason: str, *, to: int | None = None, environment: str = "production"
) -> Promotion:
    """Open a rollback to the last known good release, or to the last release of version `to`.

    Raises BadInput without a reason, NotFound, and Conflict when no release qualifies: then nothing changes, and
    the refusal is on the record.
    """
    if not reason.strip():
        raise BadInput("A rollback needs a reason.", hint="--reason says why; it stays on the record.")
    try:
        with ports.store.reading() as work:
            stage, current, target = _target(work, model, to, environment)
    except Conflict as refusal:
        with ports.store.writing(model) as work:
            work.record.write(
                Entry("rollback:refused", who, ports.clock.now(), model, to, "", environment, refusal.message)
            )
        raise
    return promote.ask(
        ports,
        promote.Ask(
            target.ref,
            stage,
            Kind.ROLLBACK,
            who,
            lasting=True,
            reason=reason,
            leaves=current.ref if current is not None else None,
        ),
    )


def _target(work: Work, model: str, to: int | None, environment: str) -> tuple[Stage, Release | None, Release]:
    policy = work.policies.in_force()
    place = policy.environment(environment)
    if place is None:
        known = ", ".join(e.name for e in policy.environments)
        raise BadInput(f"There is no environment {environment!r}.", hint=f"The policy names {known}.")
    if not work.catalog.has_model(model):
        raise NotFound(f"Registered Model with name={model} not found", hint="lockgate status lists the models.")
    endpoint = work.endpoints.get(environment, model)
    if endpoint is None:
        raise Conflict(
            f"{model} has no endpoint in {environment}, so there is nothing to go back to.",
            hint=f"lockgate promote {model}@VERSION --to {place.stage.lower()}",
        )
    quarantined = work.versions.quarantined(model)
    # a version is in one stage: going back to it in Staging would take it away from Production
    needed = _needed_elsewhere(work, model, place.stage)
    if to is not None and VersionRef(model, to) in needed:
        raise Conflict(
            f"{model}@{to} is in Production, and going back to it in {environment} would take it away from there.",
            hint=f"Nothing was changed. Another version is a promotion: lockgate promote {model}@VERSION"
            f" --to {place.stage.lower()}",
        )
    released = [
        release
        for release in work.endpoints.releases(endpoint.id)
        if release.ref not in needed and work.catalog.version(release.ref) is not None
    ]
    if to is None:
        found = last_known_good(endpoint.release, released, quarantined)
        if found is None:
            raise Conflict(
                f"{model} has no last known good release in {environment} to go back to.",
                hint=f"Nothing was changed. Another version is a promotion: lockgate promote {model}@VERSION"
                f" --to {place.stage.lower()}",
            )
        return place.stage, endpoint.release, found
    return place.stage, endpoint.release, _named(endpoint, released, quarantined, VersionRef(model, to))


def _needed_elsewhere(work: Work, model: str, stage: Stage) -> frozenset[VersionRef]:
    if stage is Stage.PRODUCTION:
        return frozenset()
    return frozenset(work.versions.in_stage(model, Stage.PRODUCTION))


def _named(
    endpoint: Endpoint, released: list[Release], quarantined: frozenset[VersionRef], wanted: VersionRef
) -> Release:
    where, model = endpoint.environment, endpoint.model
    if endpoint.release is not None and endpoint.release.ref == wanted:
        raise Conflict(f"{wanted} serves in {where} already.", hint="Nothing was changed.")
    if wanted in quarantined:
        raise Conflict(
            f"{wanted} is quarantined: it was rolled back itself.",
            hint=f"Nothing was changed. It needs a fresh approval: lockgate request {wanted} --reason …",
        )
    good = [release for release in released if release.ref == wanted and release.baked_at is not None]
    if not good:
        known = sorted({str(r.ref) for r in released if r.baked_at is not None and r.ref not in quarantined})
        raise Conflict(
            f"{wanted} never served in {where}, so going there is a promotion.",
            hint=f"Nothing was changed. Of {model}, these have: {', '.join(known) or 'none'}.",
        )
    return max(good, key=lambda release: release.created_at)
