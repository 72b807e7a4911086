"""Whether a caller may do something: asked where the model is known, and a no is on the record."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from lockgate.domain.access import Act, allowed, missing
from lockgate.domain.errors import Forbidden
from lockgate.domain.identity import LOCKGATE, Who
from lockgate.usecases import denials
from lockgate.usecases.ports import Ports, Work


def authorise(work: Work, who: Who, act: Act, model: str = "") -> None:
    """Raise Forbidden, naming the roles that would do, unless the caller may do this to that model.

    "" is what belongs to no single model, and takes a grant for all of them. What they were given is read in this
    transaction, so that what was taken away a moment ago is gone. Lockgate itself may do everything, and so may an
    unverified caller: the server lets none in once there are people.
    """
    authorise_one(work, who, (act,), model)


def authorise_one(work: Work, who: Who, acts: Sequence[Act], model: str = "") -> None:
    """As authorise, where any one of these acts will do; the first is the one that a refusal names."""
    if not is_limited(who):
        return
    grants = work.people.grants_of(who.name, who.token)
    if not any(allowed(grants, act, model, who.kind) for act in acts):
        raise Forbidden(missing(grants, acts[0], model, who.kind))


def require(ports: Ports, who: Who, act: Act, model: str = "", *, asked: str = "") -> None:
    """As authorise, in a transaction of its own; the refusal is on the record, with what was `asked`."""
    if not is_limited(who):
        return
    with refusals_recorded(ports, who, asked or act.value, model), ports.store.reading() as work:
        authorise(work, who, act, model)


@contextmanager
def refusals_recorded(ports: Ports, who: Who, asked: str, model: str = "") -> Iterator[None]:
    """Put a refusal that comes out of the block on the record, in a transaction of its own after the block's."""
    try:
        yield
    except Forbidden as refusal:
        denials.denied(ports, who, asked, refusal.message, model)
        raise


def is_limited(who: Who) -> bool:
    """Whether what this caller may do is a question at all."""
    return who.verified and who.via != LOCKGATE.via
