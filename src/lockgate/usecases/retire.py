"""Stops an endpoint that no version of its stage needs any more."""

from __future__ import annotations

from lockgate.domain.access import Act
from lockgate.domain.audit import Entry
from lockgate.domain.canonical import Plain
from lockgate.domain.errors import Conflict, NotFound
from lockgate.domain.identity import Who
from lockgate.domain.serving import EndpointState
from lockgate.usecases.authorise import authorise, refusals_recorded
from lockgate.usecases.ports import Ports


def retire(ports: Ports, environment: str, model: str, who: Who) -> None:
    """Retire the endpoint; its port becomes free.

    Raises NotFound, Forbidden, and Conflict while a version is in its stage.
    """
    with refusals_recorded(ports, who, f"retire the {environment} endpoint", model), ports.store.writing(model) as work:
        authorise(work, who, Act.OPERATE, model)
        endpoint = work.endpoints.get(environment, model)
        if endpoint is None:
            raise NotFound(f"{model} has no endpoint in {environment}.", hint="lockgate endpoints lists them.")
        place = work.policies.in_force().environment(environment)
        inside = work.versions.in_stage(model, place.stage) if place is not None else ()
        if place is not None and inside:
            ref = inside[-1]
            raise Conflict(
                f"{ref} is in {place.stage}, and the {environment} endpoint of {model} serves it.",
                hint=f"Archive it first, then the endpoint is vacant: lockgate promote {ref} --to archived",
            )
        for promotion in work.promotions.open_of_model(model):
            if promotion.endpoint == endpoint.id and promotion.state.moves_endpoint:
                raise Conflict(f"A rollout moves that endpoint (promotion {promotion.id}).", promotion=promotion.id)
        work.endpoints.set_state(endpoint.id, EndpointState.RETIRED, f"retired by {who}")
        served = str(endpoint.release.ref) if endpoint.release is not None else None
        detail: dict[str, Plain] = {"environment": environment}
        work.record.write(Entry("endpoint:retired", who, ports.clock.now(), model, None, served, None, detail=detail))
