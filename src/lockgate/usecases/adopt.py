"""Begins the record of a database: from then on a version nobody registered here was made past Lockgate.

What an adopted database holds already is written down once, as *before Lockgate*, where MLflow's columns say it is.
"""

from __future__ import annotations

from lockgate import __version__
from lockgate.domain.audit import Entry
from lockgate.domain.canonical import Plain
from lockgate.domain.identity import LOCKGATE
from lockgate.domain.policy import Policy
from lockgate.usecases import drift
from lockgate.usecases.adoption_ports import ADOPTED, MADE, TakenOver
from lockgate.usecases.ports import Ports


def begin(ports: Ports, policy: Policy | None = None) -> TakenOver | None:
    """Begin the record if that has not been done: safe to repeat, and by many at once. None when it was done before.

    `policy` is the one about to be put in force, whose aliases tell the primaries; None is the one in force.
    Raises Unavailable when the database does not answer.
    """
    with ports.store.reading() as work:
        if work.adoption.begun() is not None:
            return None
    with ports.store.writing(None) as work:
        if work.adoption.begun() is not None:
            return None
        found = work.adoption.take_over(policy or work.policies.in_force())
        detail: dict[str, Plain] = {"models": found.models, "versions": found.versions, "lockgate": __version__}
        action = ADOPTED if found.adopted else MADE
        work.record.write(Entry(action, LOCKGATE, ports.clock.now(), detail=detail))
    if found.adopted:
        drift.note(ports, why="found when Lockgate adopted the database")
    return found
