"""Bringing people from elsewhere: whoever is new is added, whoever is there is given what they lack."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass

from lockgate.domain.access import Grant, Person, person_name
from lockgate.domain.errors import BadInput, Conflict
from lockgate.domain.identity import PERSON, SERVICE, Who
from lockgate.domain.newcomers import Newcomer
from lockgate.usecases.access_ports import Passwords
from lockgate.usecases.authorise import refusals_recorded
from lockgate.usecases.people import ADMIN, fits_kind, give, make, may_manage, one_time_password
from lockgate.usecases.ports import Ports, Work

MOST_AT_ONCE = 500
LONGEST_SOURCE = 200


@dataclass(frozen=True, slots=True)
class Brought:
    """What became of one of them: added, granted (what they lacked), unchanged, or refused, with why."""

    name: str
    outcome: str
    grants: tuple[Grant, ...] = ()
    one_time: str | None = None
    because: str = ""


class _TriedOnly(Exception):
    """Undoes the transaction of a trial."""


def bring(
    ports: Ports, passwords: Passwords, newcomers: Sequence[Newcomer], who: Who, source: str, *, try_only: bool = False
) -> Sequence[Brought]:
    """Add the people that are new and give the others what they lack; what became of each, in that order.

    A password that was kept in a form we understand stays good, and is kept in ours from the first login on; everybody
    else gets a one-time password. Nobody is disabled, and nothing is taken away. It happens for all of them or for
    nobody: raises BadInput listing every one that cannot be brought, unless `try_only`, which changes nothing.
    """
    if not 0 < len(newcomers) <= MOST_AT_ONCE:
        raise BadInput(f"{len(newcomers)} people were named.", hint=f"Bring 1 to {MOST_AT_ONCE} at once.")
    where = source.strip()[:LONGEST_SOURCE]
    handed = {} if try_only else _hand_out(ports, passwords, newcomers)
    brought: list[Brought] = []
    try:
        with refusals_recorded(ports, who, "users import"), ports.store.writing(None) as work:
            may_manage(work, who)
            first = not work.people.any()
            for each in newcomers:
                brought.append(_bring(ports, work, each, who, f"from {where}" if where else "", handed))
            if first and not try_only and not any(ADMIN in person.grants for person in work.people.all()):
                raise BadInput(
                    "Nobody among these is an administrator, and nobody else is there.",
                    hint="Add the first one before: lockgate users add NAME",
                )
            if try_only:
                raise _TriedOnly
            if refused := [each for each in brought if each.outcome == "refused"]:
                told = "; ".join(f"{each.name!r}: {each.because}" for each in refused)
                raise BadInput(f"{len(refused)} cannot be brought, so nobody was: {told}")
    except _TriedOnly:
        pass
    return brought


def _hand_out(ports: Ports, passwords: Passwords, newcomers: Iterable[Newcomer]) -> dict[str, tuple[str, str]]:
    """One-time passwords for those who need one, with what is kept of each: slow, so before the transaction."""
    with ports.store.reading() as work:
        there: Collection[str] = {person.name for person in work.people.all()}
    needy = [each for each in newcomers if each.kind == PERSON and each.name not in there]
    given = {each.name: one_time_password() for each in needy if not _comes_with_one(passwords, each)}
    return {name: (secret, passwords.keep(secret)) for name, secret in given.items()}


def _comes_with_one(passwords: Passwords, newcomer: Newcomer) -> bool:
    return newcomer.password is not None and passwords.understood(newcomer.password)


def _bring(
    ports: Ports, work: Work, newcomer: Newcomer, who: Who, why: str, handed: dict[str, tuple[str, str]]
) -> Brought:
    try:
        name = person_name(newcomer.name)
        if newcomer.kind not in (PERSON, SERVICE):
            raise BadInput(f"{newcomer.kind!r} is no kind of user.", hint="Write person or service.")
        person = work.people.get(name)
        if person is not None:
            return _give(ports, work, person, newcomer, who, why)
        made = make(work, name, newcomer.kind, tuple(sorted(set(newcomer.grants))), who, ports.clock.now(), why)
    except (BadInput, Conflict) as wrong:
        return Brought(newcomer.name, "refused", because=str(wrong))
    one_time = handed.get(newcomer.name)
    if one_time is not None:
        work.people.set_password(name, one_time[1], must_change=True, at=made.created_at)
    elif newcomer.kind == PERSON and newcomer.password is not None:
        work.people.set_password(name, newcomer.password, must_change=False, at=made.created_at)
    return Brought(name, "added", made.grants, one_time[0] if one_time else None)


def _give(ports: Ports, work: Work, person: Person, newcomer: Newcomer, who: Who, why: str) -> Brought:
    if person.kind != newcomer.kind:
        raise Conflict(f"{person.name} is here already, and not as a {newcomer.kind}.")
    lacks = tuple(sorted(set(newcomer.grants) - set(person.grants)))
    for grant in lacks:
        fits_kind(person, grant)
        person = give(work, person, grant, who, ports.clock.now(), why)
    return Brought(person.name, "granted" if lacks else "unchanged", lacks)
