"""What becomes of a promotion or a validation: waiting for its end, and the error that its end stands for."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TypeVar

from lockgate.sdk.errors import Conflict, Failed, LockgateError, Refused, Waiting
from lockgate.wire import shapes
from lockgate.wire.engines import EngineMeasurement

_FIRST_PAUSE, _LONGEST_PAUSE = 0.05, 1.0

Followed = TypeVar("Followed", shapes.Promotion, shapes.Validation, EngineMeasurement)


def wait_until_over(opened: Followed, look: Callable[[str], Followed], limit: float) -> Followed:
    """Look at it until it is over. Raises Waiting when it is not after `limit` seconds."""
    now, pause, end = opened, _FIRST_PAUSE, time.monotonic() + limit
    while not now.is_over:
        left = end - time.monotonic()
        if left <= 0:
            raise _still_open(now, limit)
        time.sleep(min(pause, left))
        pause = min(pause * 1.5, _LONGEST_PAUSE)
        now = look(now.id)
    return now


def outcome_of(promotion: shapes.Promotion) -> shapes.Promotion:
    """The promotion, when it is done. Raises what it ended as: Refused, Waiting, Failed, or Conflict when cancelled."""
    if promotion.state == shapes.DONE:
        return promotion
    kind = _ENDS.get(promotion.state, LockgateError)
    standing = promotion.verdict.standing if promotion.verdict else ""
    if kind is Refused and standing == "waits":
        kind = Waiting
    told = f": {promotion.because}" if promotion.because else "."
    ended = _SPOKEN.get(promotion.state, promotion.state)
    message = f"The promotion of {promotion.ref} to {promotion.stage} was {ended}{told}"
    raise kind(message, hint=_next(promotion), gates=_gates(promotion), promotion=promotion.id)


_ENDS: dict[str, type[LockgateError]] = {shapes.REFUSED: Refused, shapes.FAILED: Failed, shapes.CANCELLED: Conflict}
_SPOKEN = {shapes.FAILED: "tried and failed"}


def _still_open(now: shapes.Promotion | shapes.Validation | EngineMeasurement, limit: float) -> Waiting:
    told = f" ({now.because})" if now.because else ""
    if isinstance(now, EngineMeasurement):
        message = f"The measuring of {now.ref} ({now.id}) is still {now.state} after {limit:g} s{told}."
        return Waiting(message, hint=f"It goes on; look again with: lockgate engines {now.ref} --last")
    if isinstance(now, shapes.Validation):
        message = f"Validation {now.id} of {now.ref} is still {now.state} after {limit:g} s{told}."
        return Waiting(message, hint="It goes on; look again later.")
    message = f"The promotion of {now.ref} to {now.stage} is {now.state} after {limit:g} s{told}."
    hint = _next(now) or f"It goes on: lockgate status {now.model}"
    return Waiting(message, hint=hint, gates=_gates(now), promotion=now.id)


def _gates(promotion: shapes.Promotion) -> tuple[shapes.Gate, ...]:
    return promotion.verdict.gates if promotion.verdict else ()


def _next(promotion: shapes.Promotion) -> str:
    return next((gate.next for gate in _gates(promotion) if gate.binds and gate.next), "")
