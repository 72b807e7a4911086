"""The files of a registered version are nobody's to overwrite or delete, whatever becomes of its run."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from lockgate.domain.errors import Forbidden
from lockgate.domain.identity import Who
from lockgate.domain.places import same_places
from lockgate.usecases import registry
from lockgate.usecases.artifact_ports import Held
from lockgate.usecases.ports import Ports, Store


@dataclass(frozen=True, slots=True)
class Act:
    """What somebody is about to do by a route: write a file at each place, or delete what is there and below it."""

    route: str
    who: Who
    places: Sequence[str]
    deletes: bool = False


def refusal(ports: Ports, act: Act, roots: Iterable[str]) -> Forbidden | None:
    """Why nobody may do that, put on the record; None when the places belong to no version.

    `roots` are the names of the store that the server proxies.
    """
    held = _holder(ports, act, tuple(roots))
    if held is None:
        return None
    done = "deleted" if act.deletes else "overwritten or added to"
    error = Forbidden(
        f"The artifacts of {held.ref} are registered, and cannot be {done}.",
        hint="Log the model again as a new version; the artifacts of a version are free once it is deleted.",
    )
    with ports.store.within(held.workspace):
        registry.refused(ports, held.ref.model, act.route, act.who, error)
    return error


def adopt(store: Store) -> int:
    """Note where the artifacts of versions lie that were registered past Lockgate; how many were new."""
    total = 0
    while True:
        with store.reading() as work:
            if not work.sources.any_missing():
                return total
        with store.writing(None) as work:
            total += work.sources.adopt()


def _holder(ports: Ports, act: Act, roots: tuple[str, ...]) -> Held | None:
    places = [name for place in act.places for name in same_places(place, roots)]
    with ports.store.reading() as work:
        held = work.sources.holder(places, roots)
        return work.sources.below(places) if held is None and act.deletes else held
