"""Following a promotion to its end: what it is doing now, and what to say when the patience ends before it does."""

from __future__ import annotations

import math
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from lockgate.cli import outcome, show
from lockgate.domain.promotion import PromotionState

if TYPE_CHECKING:
    from lockgate.sdk.client import Lockgate
    from lockgate.wire.shapes import Promotion

SHORT_WAIT = 25.0
FIRST_PAUSE, LONGEST_PAUSE = 0.05, 0.5
# a server that is started again within this time is no reason to stop waiting
SILENCE_LIMIT = 60.0
# gates that only a person can open: no short wait is long enough for them
_PEOPLE = frozenset({"approval_required", "not_quarantined"})

_DOING = {
    PromotionState.JUDGING: "judging the gates",
    PromotionState.VALIDATING: "validating the version",
    PromotionState.WAITING: "waiting",
    PromotionState.WARMING: "starting its workers",
    PromotionState.SWITCHING: "switching traffic to it",
}
# a rollback finds the workers it left parked, as a rule, and only the server knows whether it does
_GOING_BACK = "going back to its workers; those that have left are started"

Tell = Callable[[str], None]


def doing(promotion: Promotion) -> str:
    """What a promotion does now, for a person."""
    if promotion.kind == "rollback" and promotion.state == PromotionState.WARMING.value:
        return _GOING_BACK
    told = next((text for state, text in _DOING.items() if state.value == promotion.state), promotion.state)
    return (
        f"{told}: {promotion.because}" if promotion.because and promotion.state in ("waiting", "validating") else told
    )


def to_its_end(client: Lockgate, opened: Promotion, limit: float | None, *, quiet: bool, patient: bool) -> Promotion:
    """The promotion once it is over, or as it is when `limit` seconds are (None: no limit).

    A short wait (`patient` False) also ends as soon as only a person can help. Ctrl-C leaves the promotion alone and
    raises Ends(8) after saying how to follow it.
    """
    try:
        with _telling(opened, quiet=quiet) as tell:
            return _watch(client, opened, limit, patient, tell)
    except KeyboardInterrupt:
        show.line(f"The promotion {opened.id} goes on without you. Follow it with: {follow_command(opened)}", err=True)
        raise outcome.Ends(outcome.WAITING) from None


def follow_command(promotion: Promotion) -> str:
    """The command that joins this promotion and waits for its end."""
    if promotion.kind == "rollback":
        return f"lockgate rollout status {promotion.model}"
    return f"lockgate promote {promotion.ref} --to {promotion.stage.lower()} --wait"


def waits_for_people(promotion: Promotion) -> bool:
    """Whether it stands still until somebody decides."""
    verdict = promotion.verdict
    return (
        promotion.state == "waiting"
        and verdict is not None
        and any(g.binds and g.name in _PEOPLE for g in verdict.gates)
    )


def _watch(client: Lockgate, opened: Promotion, limit: float | None, patient: bool, tell: Tell) -> Promotion:
    from lockgate.sdk.errors import Unreachable

    now, pause = opened, FIRST_PAUSE
    end = None if limit is None else time.monotonic() + limit
    silent_since: float | None = None
    while not now.is_over and (patient or not waits_for_people(now)):
        left = math.inf if end is None else end - time.monotonic()
        if left <= 0:
            break
        tell(doing(now) if silent_since is None else "the server does not answer; asking again")
        time.sleep(min(pause, left))
        pause = min(pause * 1.4, LONGEST_PAUSE)
        try:
            now, silent_since = client.promotion(now.id), None
        except Unreachable:
            silent_since = silent_since or time.monotonic()
            if time.monotonic() - silent_since > SILENCE_LIMIT:
                raise
    return now


@contextmanager
def _telling(promotion: Promotion, *, quiet: bool) -> Iterator[Tell]:
    """A line that changes on a terminal, one line for each change in a pipe, nothing when quiet."""
    before = f"{promotion.ref} to {promotion.stage}"
    if quiet:
        yield lambda _text: None
    elif sys.stderr.isatty():
        with show.console(err=True).status(before) as status:
            yield lambda text: status.update(f"{before}: {text}")
    else:
        said: list[str] = []

        def tell(text: str) -> None:
            if not said or said[-1] != text:
                said.append(text)
                show.line(f"{before}: {text}", err=True)

        yield tell
