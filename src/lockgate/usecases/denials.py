"""Puts refusals by authorisation on the record: the first of a kind at once, the rest of its minute as one entry."""

from __future__ import annotations

from datetime import datetime

from lockgate.domain.audit import Entry
from lockgate.domain.canonical import Plain
from lockgate.domain.denials import Denial
from lockgate.domain.errors import LockgateError
from lockgate.domain.identity import Who
from lockgate.usecases.ports import Ports
from lockgate.usecases.recorded import short

REFUSED = "access:refused"


def denied(ports: Ports, who: Who, asked: str, why: str, model: str = "") -> None:
    """Somebody was refused: `asked` is the act or the route, `why` what they were told, `model` which one it was about.

    The same caller, address, act and model within a minute are counted, and told as one entry at its end. Raises
    Unavailable when the database does not answer.
    """
    now = ports.clock.now()
    told(ports, now)
    denial = Denial(who, asked, model, why, now, ports.store.workspace)
    if ports.denials.seen(denial):
        return
    try:
        _write(ports, denial)
    except LockgateError:
        ports.denials.forget(denial)
        raise


def told(ports: Ports, now: datetime, *, all: bool = False) -> int:  # noqa: A002 - the word that says it
    """Write down what was counted in minutes that are over, or in all of them; how many entries that were.

    A server calls it every few seconds and when it ends. Raises Unavailable when the database does not answer.
    """
    counted = ports.denials.over(now, all=all)
    for denial in counted:
        _write(ports, denial)
    return len(counted)


def _write(ports: Ports, denial: Denial) -> None:
    """In a transaction of its own, in the model's chain if there is such a model."""
    model = denial.model
    with ports.store.within(denial.workspace):
        with ports.store.reading() as work:
            known = bool(model) and work.catalog.has_model(model)
        with ports.store.writing(model if known else None) as work:
            work.record.write(_entry(denial, known=known))


def _entry(denial: Denial, *, known: bool) -> Entry:
    detail: dict[str, Plain] = {"asked": short(denial.asked)}
    if denial.model and not known:
        detail["model"] = short(denial.model)
    if denial.since is not None:
        detail |= {"times": denial.times, "since": denial.since.isoformat(timespec="microseconds")}
    return Entry(REFUSED, denial.who, denial.at, denial.model if known else "", why=denial.why, detail=detail)
