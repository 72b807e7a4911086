"""For how long the texts of entries are kept, which models are held, and removing what is older.

An entry that loses its text keeps hash and place, so that chains, tree and checkpoints go on holding. Nothing is
removed that no checkpoint outside covers, and what was removed is on the record.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from lockgate.domain.access import Act
from lockgate.domain.audit import Entry
from lockgate.domain.canonical import Plain
from lockgate.domain.errors import BadInput, NotFound
from lockgate.domain.identity import LOCKGATE, Who
from lockgate.domain.removals import PRUNED, chains_of
from lockgate.domain.retention import NEVER_PRUNED, spoken
from lockgate.usecases.authorise import authorise, refusals_recorded
from lockgate.usecases.keeping_ports import Hold, Removable, Rule
from lockgate.usecases.ports import Ports

AT_ONCE = 500


@dataclass(frozen=True, slots=True)
class Kept:
    """The rule (None: for ever), what is held, how many entries lost their text, and up to where some may."""

    rule: Rule | None
    holds: Sequence[Hold]
    removed: int
    anchored: int


def look(ports: Ports, who: Who) -> Kept:
    """How the record is kept. Raises Forbidden without leave to read the record."""
    with refusals_recorded(ports, who, "audit retention"), ports.store.reading() as work:
        authorise(work, who, Act.READ_RECORD)
        kept = work.keeping
        return Kept(kept.rule(), kept.holds(), kept.removed(), kept.anchored())


def set_rule(ports: Ports, who: Who, length: timedelta | None, reason: str) -> Rule:
    """Keep texts for that long from now on; None is for ever. Raises BadInput without a reason, and Forbidden."""
    why = _said(reason)
    with refusals_recorded(ports, who, "audit retention set"), ports.store.writing(None) as work:
        authorise(work, who, Act.KEEP_RECORD)
        before = work.keeping.rule()
        rule = Rule(length, who, ports.clock.now(), why)
        work.keeping.set_rule(rule)
        was = spoken(before.length if before is not None else None)
        work.record.write(Entry("record:retention-set", who, rule.set_at, before=was, after=spoken(length), why=why))
    return rule


def hold(ports: Ports, who: Who, model: str, reason: str) -> Hold:
    """Let nothing of this model be removed until it is released. Raises BadInput, NotFound and Forbidden."""
    why = _said(reason)
    # the same lock as for removing: what is held when this returns is not removed any more
    with refusals_recorded(ports, who, "audit hold add", model), ports.store.writing(None) as work:
        authorise(work, who, Act.KEEP_RECORD, model)
        made = Hold(ports.ids.new("hld"), model, why, who, ports.clock.now())
        if not work.keeping.hold(made):
            raise NotFound(f"No model is or was called {model}.", hint="lockgate status lists the models.")
        detail: dict[str, Plain] = {"hold": made.id}
        work.record.write(Entry("hold:added", who, made.added_at, model, None, None, "held", why, detail))
    return made


def release(ports: Ports, who: Who, model: str, reason: str) -> Sequence[Hold]:
    """End the holds of this model. Raises BadInput without a reason, NotFound where none stands, and Forbidden."""
    why = _said(reason)
    with refusals_recorded(ports, who, "audit hold release", model), ports.store.writing(model) as work:
        authorise(work, who, Act.KEEP_RECORD, model)
        now = ports.clock.now()
        ended = work.keeping.release(model, now)
        if not ended:
            raise NotFound(f"{model} is not held.", hint="lockgate audit hold list shows what is.")
        detail: dict[str, Plain] = {"holds": [each.id for each in ended]}
        work.record.write(Entry("hold:released", who, now, model, None, "held", None, why, detail))
    return ended


def prune(ports: Ports) -> int:
    """Remove the texts of all entries that are older than the rule says, some at once; how many.

    Only of those that a checkpoint in a place outside covers, and of no model that is held. Safe beside another
    controller, and after an interruption.
    """
    total, since = 0, None
    while found := _prune(ports, since):
        total, since = total + len(found), found[-1].at
    return total


def _prune(ports: Ports, since: datetime | None) -> Sequence[Removable]:
    with ports.store.reading() as work:
        rule = work.keeping.rule()
    if rule is None or rule.length is None:
        return ()
    with ports.store.writing(None) as work:
        now, rule = ports.clock.now(), work.keeping.rule()
        if rule is None or rule.length is None:
            return ()
        before, below = now - rule.length, work.keeping.anchored()
        found = work.keeping.removable((since, before), below, NEVER_PRUNED, AT_ONCE)
        if not found:
            return ()
        work.keeping.remove([each.row for each in found], now)
        detail: dict[str, Plain] = {
            "chains": chains_of((each.chain, each.number) for each in found),
            "entries": len(found),
            "older_than": before.isoformat(timespec="microseconds"),
            "checkpoint": below,
        }
        why = f"kept for {spoken(rule.length)}, as {rule.set_by} set on {rule.set_at:%Y-%m-%d}"
        work.record.write(Entry(PRUNED, LOCKGATE, now, why=why, detail=detail))
    return found


def _said(reason: str) -> str:
    if not reason.strip():
        raise BadInput("This needs a reason.", hint="--reason says why; it stays on the record.")
    return reason
