"""The rollouts of a model, told from its promotions: which of them moved an endpoint, from which version to which."""

from __future__ import annotations

from collections.abc import Sequence

from lockgate.domain.promotion import Promotion
from lockgate.usecases.ports import Work
from lockgate.wire import shapes

LOOKED_AT = 1000  # promotions, of which rollouts are the ones with an endpoint


def of_model(work: Work, model: str) -> tuple[shapes.Rollout, ...]:
    """Newest first. A rollout that is under way, failed or was cancelled is one too: it tried to move the endpoint."""
    tried = [each for each in work.promotions.recent(model, LOOKED_AT) if each.endpoint]
    return tuple(_rollout(work, each, tried) for each in tried)


def _rollout(work: Work, promotion: Promotion, all_of_them: Sequence[Promotion]) -> shapes.Rollout:
    endpoint = work.endpoints.by_id(promotion.endpoint)
    return shapes.Rollout(
        id=promotion.id,
        environment=endpoint.environment if endpoint is not None else "",
        model=promotion.ref.model,
        from_version=_before(promotion, all_of_them),
        to_version=promotion.ref.version,
        state=promotion.state.value,
        started=promotion.asked_at,
        ended=promotion.closed_at,
        because=promotion.because,
        kind=promotion.kind.value,
    )


def _before(promotion: Promotion, all_of_them: Sequence[Promotion]) -> int | None:
    """The version of the last generation this endpoint had before; one that made none left the latest in place."""
    committed = [each for each in all_of_them if each.endpoint == promotion.endpoint and each.generation]
    if promotion.generation:
        earlier = [each for each in committed if each.generation < promotion.generation]
    else:
        end = promotion.closed_at
        earlier = [each for each in committed if end is None or (each.closed_at is not None and each.closed_at <= end)]
    last = max(earlier, key=lambda each: each.generation, default=None)
    return last.ref.version if last is not None else None
