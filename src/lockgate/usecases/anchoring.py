"""Writes signed checkpoints to places outside: who has the database cannot rewrite what came before them."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta

from lockgate.domain.audit import Entry
from lockgate.domain.canonical import Plain
from lockgate.domain.checkpoints import SignedCheckpoint
from lockgate.domain.errors import LockgateError, Unavailable
from lockgate.domain.identity import LOCKGATE
from lockgate.usecases.anchor_ports import Anchor, Anchored
from lockgate.usecases.ports import Ports
from lockgate.usecases.tree_ports import KeptCheckpoint

SIGNED = "checkpoint:signed"
ATTEMPT = timedelta(minutes=2)
FIRST_PAUSE, LONGEST_PAUSE = timedelta(seconds=30), timedelta(hours=1)
_SEEN_EVERY = timedelta(hours=1)


def keep_up(ports: Ports, places: Sequence[Anchor], every: timedelta) -> int:
    """Write the newest checkpoint to each place that is due and has an older one; to how many it was written.

    A place that fails is tried again, after a pause that grows to an hour: the first failure is on the record, and
    that it works again. Safe beside another controller. Raises Unavailable when the database is away.
    """
    now = ports.clock.now()
    with ports.store.reading() as work:
        newest, known = work.tree.newest(), {each.place: each for each in work.anchors.all()}
    written = 0
    for anchor in places:
        state = known.get(anchor.place)
        if state is None or now - state.seen_at > _SEEN_EVERY:
            _see(ports, anchor.place, now)
        if newest is not None and (state is None or (state.size < newest.size and state.due_at <= now)):
            written += _write(ports, anchor, newest, every)
    return written


def listed(ports: Ports) -> Sequence[Anchored]:
    """Every place that checkpoints were ever written to, or should have been."""
    with ports.store.reading() as work:
        return work.anchors.all()


class Webhooks:
    """An anchor: checkpoints go to every webhook that hears `checkpoint:signed`, by the outbox."""

    def __init__(self, ports: Ports) -> None:
        self._ports = ports

    @property
    def place(self) -> str:
        return "webhook:"

    def put(self, note: str, size: int, at: datetime) -> None:
        """Owe it to them: the controller delivers it as it does every event."""
        point = SignedCheckpoint.parse(note).checkpoint
        told = {"origin": point.origin, "size": size, "root": point.root.hex(), "at": at.isoformat(), "note": note}
        with self._ports.store.writing(None) as work:
            if not work.webhooks.heard(SIGNED):
                raise Unavailable(
                    f"No webhook hears {SIGNED}.", hint=f"Let one hear it: lockgate webhooks subscribe WEBHOOK {SIGNED}"
                )
            work.webhooks.owe(SIGNED, told, self._ports.clock.now())


def _see(ports: Ports, place: str, now: datetime) -> None:
    with ports.store.writing(None) as work:
        if work.anchors.see(place, now):
            work.record.write(Entry("anchor:added", LOCKGATE, now, before=None, after=place))


def _write(ports: Ports, anchor: Anchor, newest: KeptCheckpoint, every: timedelta) -> bool:
    place, now = anchor.place, ports.clock.now()
    with ports.store.writing(None) as work:
        if not work.anchors.claim(place, now, now + ATTEMPT):
            return False
    error = ""
    try:
        anchor.put(newest.note, newest.size, newest.at)
    except LockgateError as wrong:
        error = str(wrong)
    # what was seen before the attempt may be old: two controllers may both have tried
    with ports.store.writing(None) as work:
        now = ports.clock.now()
        failures = next((each.failures for each in work.anchors.all() if each.place == place), 0)
        detail: dict[str, Plain] = {"size": newest.size}
        if error:
            pause = min(FIRST_PAUSE * 2 ** min(failures, 10), LONGEST_PAUSE)
            work.anchors.failed(place, error, now, now + pause)
            if not failures:
                entry = Entry("anchor:failed", LOCKGATE, now, before=place, after=None, why=error, detail=detail)
                work.record.write(entry)
            return False
        work.anchors.written(place, newest.size, now, now + every)
        if failures:
            after: dict[str, Plain] = {**detail, "failures": failures}
            work.record.write(Entry("anchor:restored", LOCKGATE, now, before=None, after=place, detail=after))
    return True
