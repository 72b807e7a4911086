"""People and service accounts: adding them, giving and taking roles, disabling, and their passwords."""

from __future__ import annotations

import secrets
import unicodedata
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime

from lockgate.domain.access import (
    LONGEST_PASSWORD,
    NEVER_FOR_SERVICES,
    SHORTEST_PASSWORD,
    Act,
    Grant,
    Person,
    Role,
    acts_of,
    person_name,
)
from lockgate.domain.audit import Entry
from lockgate.domain.canonical import Plain
from lockgate.domain.errors import BadInput, Conflict, NotFound, Unauthenticated
from lockgate.domain.identity import LOCKGATE, PERSON, SERVICE, Who
from lockgate.usecases.access_ports import Passwords
from lockgate.usecases.authorise import authorise, refusals_recorded
from lockgate.usecases.login import by_password
from lockgate.usecases.ports import Ports, Work
from lockgate.usecases.recorded import short

ADMIN = Grant(Role.ADMIN)
_LETTERS = "0123456789abcdefghjkmnpqrstvwxyz"  # nothing that reads like something else
_GROUPS, _IN_A_GROUP = 4, 5


@dataclass(frozen=True, slots=True)
class Added:
    """Somebody new; `one_time` is the password to hand over, which is shown this once. None for a service account."""

    person: Person
    one_time: str | None


@dataclass(frozen=True, slots=True)
class Oneself:
    """What a caller is told of themselves: whether there are users, and what they may act under now."""

    users: bool
    grants: tuple[Grant, ...] = ()
    must_change: bool = False


def any_people(ports: Ports) -> bool:
    """Whether there is anybody. While there is not, every name is a claim; once there is, it stays so for ever."""
    with ports.store.reading() as work:
        return work.people.any()


def oneself(ports: Ports, who: Who) -> Oneself:
    """What the caller may act under now, with the token they came with no more than it keeps."""
    with ports.store.reading() as work:
        person = work.people.get(who.name) if who.verified else None
        if person is None:
            return Oneself(work.people.any())
        return Oneself(users=True, grants=work.people.grants_of(who.name, who.token), must_change=person.must_change)


def listed(ports: Ports, who: Who) -> Sequence[Person]:
    """Everybody, by name. Raises Forbidden."""
    with refusals_recorded(ports, who, "users list"), ports.store.reading() as work:
        may_manage(work, who)
        return work.people.all()


def shown(ports: Ports, name: str, who: Who) -> Person:
    """One of them; oneself without being asked for a role. Raises NotFound and Forbidden."""
    with refusals_recorded(ports, who, "users show"), ports.store.reading() as work:
        if not (who.verified and who.name == name):
            may_manage(work, who)
        return known(work, name)


def add(
    ports: Ports, passwords: Passwords, name: str, who: Who, *, kind: str = PERSON, grants: Iterable[Grant] = ()
) -> Added:
    """Add somebody, with a one-time password unless it is a service account. The first one becomes an administrator.

    Raises BadInput for a name that cannot be, or a grant that a service account cannot have; Conflict when somebody is
    called so already, letter by letter or but for capitals.
    """
    one_time = one_time_password() if kind == PERSON else None
    # slow, so before the transaction
    hashed = passwords.keep(one_time) if one_time is not None else None
    with refusals_recorded(ports, who, "users add"), ports.store.writing(None) as work:
        may_manage(work, who)
        given = {*grants}
        if not work.people.any():
            if kind == SERVICE:
                raise BadInput("The first one must be a person: it becomes the administrator.", hint=_FIRST)
            given.add(ADMIN)
        person = make(work, name, kind, tuple(sorted(given)), who, ports.clock.now())
        if hashed is not None:
            work.people.set_password(person.name, hashed, must_change=True, at=person.created_at)
        return Added(known(work, person.name), one_time)


def first_admin(ports: Ports, passwords: Passwords, name: str = "admin") -> str | None:
    """Make the first administrator; their one-time password, or None when there are people already."""
    if any_people(ports):
        return None
    one_time = one_time_password()
    hashed = passwords.keep(one_time)
    with ports.store.writing(None) as work:
        if work.people.any():  # another server was faster
            return None
        person = make(work, name, PERSON, (ADMIN,), LOCKGATE, ports.clock.now())
        work.people.set_password(person.name, hashed, must_change=True, at=person.created_at)
        return one_time


def make(work: Work, name: str, kind: str, given: tuple[Grant, ...], who: Who, now: datetime, why: str = "") -> Person:
    """Write somebody new, without a password, and the entry that says so. Raises as `add`."""
    person = Person(person_name(name), kind, now, str(who), given)
    for grant in given:
        fits_kind(person, grant)
    if (there := work.people.alike(person.name)) is not None:
        raise Conflict(f"There is {_called(there)} already.", hint=_alike(there, person.name))
    work.people.add(person, who)
    detail: dict[str, Plain] = {"person": person.name, "kind": kind}
    work.record.write(Entry("people:added", who, now, before=None, after=_told(given), why=why, detail=detail))
    return person


def grant(ports: Ports, name: str, given: Grant, who: Who) -> Person:
    """Give somebody a role on the models that a pattern names; having it already is no error.

    Raises NotFound, and BadInput for what a service account cannot have.
    """
    with refusals_recorded(ports, who, "users grant"), ports.store.writing(None) as work:
        may_manage(work, who)
        person = known(work, name)
        fits_kind(person, given)
        if given in person.grants:
            return person
        return give(work, person, given, who, ports.clock.now())


def give(work: Work, person: Person, given: Grant, who: Who, now: datetime, why: str = "") -> Person:
    """Write a grant that somebody does not have yet, and the entry that says so; the person as they are now."""
    work.people.grant(person.name, given, who, now)
    return _changed(work, "people:granted", person, who, now, why)


def revoke(ports: Ports, name: str, taken: Grant, who: Who) -> Person:
    """Take a role away, as it was given.

    Raises NotFound when they do not have it, Conflict when nobody could manage people then.
    """
    with refusals_recorded(ports, who, "users revoke"), ports.store.writing(None) as work:
        may_manage(work, who)
        person = known(work, name)
        if taken not in person.grants:
            have = ", ".join(map(str, person.grants)) or "nothing"
            raise NotFound(f"{person.name} was not given {taken}.", hint=f"They have: {have}.")
        _leaves_an_admin(work, replace(person, grants=tuple(each for each in person.grants if each != taken)))
        work.people.revoke(person.name, taken)
        return _changed(work, "people:revoked", person, who, ports.clock.now(), why="")


def disable(ports: Ports, name: str, who: Who, reason: str = "") -> Person:
    """Let somebody in no longer, by password or token; what they agreed to counts no longer. Nothing is forgotten.

    Raises NotFound, and Conflict when nobody could manage people then.
    """
    now = ports.clock.now()
    with refusals_recorded(ports, who, "users disable"), ports.store.writing(None) as work:
        may_manage(work, who)
        person = known(work, name)
        if not person.active:
            return person
        _leaves_an_admin(work, replace(person, disabled_at=now))
        work.people.set_disabled(person.name, now)
        return _changed(work, "people:disabled", person, who, now, why=reason)


def enable(ports: Ports, name: str, who: Who, reason: str = "") -> Person:
    """Let somebody in again, with all they had. Raises NotFound."""
    with refusals_recorded(ports, who, "users enable"), ports.store.writing(None) as work:
        may_manage(work, who)
        person = known(work, name)
        if person.active:
            return person
        work.people.set_disabled(person.name, None)
        return _changed(work, "people:enabled", person, who, ports.clock.now(), why=reason)


def reset_password(ports: Ports, passwords: Passwords, name: str, who: Who, reason: str = "") -> Added:
    """A new one-time password for somebody; the old one is good no longer, and neither are tokens until it is replaced.

    Raises NotFound, and BadInput for a service account.
    """
    one_time = one_time_password()
    hashed = passwords.keep(one_time)
    with refusals_recorded(ports, who, "users password"), ports.store.writing(None) as work:
        may_manage(work, who)
        person = known(work, name)
        if person.kind == SERVICE:
            raise BadInput(f"{person.name} is a service account: it has tokens and no password.", hint=_TOKENS)
        now = ports.clock.now()
        work.people.set_password(person.name, hashed, must_change=True, at=now)
        _note(work, "people:password-reset", person, who, now, reason)
        return Added(known(work, person.name), one_time)


def recover(ports: Ports, passwords: Passwords, name: str, who: Who, reason: str) -> str:
    """A one-time password for an administrator, for whoever can open the database itself; it is loud on the record.

    Nobody else is let in this way: raises Conflict naming the administrators when it is none, NotFound, and BadInput
    without a reason.
    """
    if not reason.strip():
        raise BadInput("The reason is empty.", hint="It stands on the record: --reason TEXT")
    one_time = one_time_password()
    hashed = passwords.keep(one_time)
    with ports.store.writing(None) as work:
        person, now = known(work, name), ports.clock.now()
        admins = [each.name for each in work.people.all() if _is_admin(each)]
        if person.name not in admins:
            raise Conflict(
                f"{person.name} is no administrator who can log in.", hint=f"Those are: {', '.join(admins) or 'none'}."
            )
        work.people.set_password(person.name, hashed, must_change=True, at=now)
        _note(work, "people:recovered", person, who, now, reason)
    return one_time


def change_password(ports: Ports, passwords: Passwords, who: Who, old: str, new: str) -> Person:
    """Replace one's own password, which takes the old one however one came in.

    Raises Unauthenticated for a wrong old one, BadInput for a new one that is too weak.
    """
    by_password(ports, passwords, who.name, old, who.address)
    hashed = passwords.keep(strong(new, name=who.name, old=old))
    with ports.store.writing(None) as work:
        logged_in(work, who)
        now = ports.clock.now()
        work.people.set_password(who.name, hashed, must_change=False, at=now)
        _note(work, "people:password-changed", known(work, who.name), who, now)
        return known(work, who.name)


def strong(password: str, *, name: str = "", old: str = "") -> str:
    """The password in the form that is kept. Raises BadInput for one that is too short, too long, or easy to guess."""
    written = unicodedata.normalize("NFC", password)
    wrong = ""
    if not SHORTEST_PASSWORD <= len(written) <= LONGEST_PASSWORD:
        wrong = f"The password has {len(written)} characters."
    elif written == unicodedata.normalize("NFC", old):
        wrong = "The new password is the old one."
    elif len(set(written)) < _LEAST_DIFFERENT or written.casefold() in (name * 20).casefold():
        wrong = "The password is too easy to guess."
    elif any("\ud800" <= letter <= "\udfff" for letter in written):
        wrong = "The password holds half a character."
    if wrong:
        raise BadInput(
            wrong,
            hint=f"Take {SHORTEST_PASSWORD} to {LONGEST_PASSWORD} characters, at least {_LEAST_DIFFERENT} different "
            "ones among them; four words that you did not choose are a good one.",
        )
    return written


def one_time_password() -> str:
    """A password of 100 bits, for somebody to type once."""
    groups = ("".join(secrets.choice(_LETTERS) for _ in range(_IN_A_GROUP)) for _ in range(_GROUPS))
    return "-".join(groups)


def may_manage(work: Work, who: Who) -> None:
    """Raise Forbidden unless the caller may manage people; while there is nobody, anybody may."""
    logged_in(work, who)
    authorise(work, who, Act.MANAGE_PEOPLE)


def logged_in(work: Work, who: Who) -> None:
    """Raise Unauthenticated for a name that nobody checked, once there are people.

    A server learns within moments that there are; until then only this keeps a claimed name out.
    """
    if not who.verified and work.people.any():
        raise Unauthenticated("There are users now: log in.", hint=_FIRST_LOGIN)


def known(work: Work, name: str) -> Person:
    """Raises NotFound, naming the one who was meant when only capitals differ."""
    person = work.people.get(person_name(name))
    if person is None:
        there = work.people.alike(person_name(name))
        hint = f"Did you mean {there}? Capitals count." if there else "lockgate users list shows who there is."
        raise NotFound(f"There is nobody called {person_name(name)!r}.", hint=hint)
    return person


def fits_kind(person: Person, grant: Grant) -> None:
    """Raises BadInput for a role that is all about what a service account never may."""
    if person.kind == SERVICE and grant.role is Role.APPROVER:
        never = " or ".join(sorted(NEVER_FOR_SERVICES & acts_of(Role.APPROVER)))
        raise BadInput(
            f"{person.name} is a service account: it never may {never}, so it cannot be an approver.",
            hint="Approvals are people's. A service account reports checks: lockgate check report",
        )


_LEAST_DIFFERENT = 5
_TOKENS = "lockgate tokens create --for NAME makes one."
_FIRST = "lockgate users add NAME"
_FIRST_LOGIN = "Set MLFLOW_TRACKING_USERNAME and MLFLOW_TRACKING_PASSWORD, or LOCKGATE_TOKEN."


def _changed(work: Work, action: str, before: Person, who: Who, now: datetime, why: str) -> Person:
    """Write what changed on the record; the person as they are now."""
    after = known(work, before.name)
    told = [
        _told(each.grants) if action in ("people:granted", "people:revoked") else _standing(each)
        for each in (before, after)
    ]
    detail: dict[str, Plain] = {"person": before.name, "kind": before.kind}
    work.record.write(Entry(action, who, now, before=told[0], after=told[1], why=short(why), detail=detail))
    return after


def _note(work: Work, action: str, person: Person, who: Who, now: datetime, why: str = "") -> None:
    detail: dict[str, Plain] = {"person": person.name, "kind": person.kind}
    work.record.write(Entry(action, who, now, why=short(why), detail=detail))


def _told(grants: Iterable[Grant]) -> str:
    return ", ".join(str(grant) for grant in sorted(grants)) or "no role"


def _standing(person: Person) -> str:
    return "active" if person.active else "disabled"


def _leaves_an_admin(work: Work, changed: Person) -> None:
    """Raises Conflict unless somebody could still log in and manage people once this one is so."""
    people = [changed if each.name == changed.name else each for each in work.people.all()]
    if not any(_is_admin(each) for each in people):
        raise Conflict(
            f"{changed.name} is the last administrator: nobody could manage people any more.",
            hint="Make another one first: lockgate users grant NAME admin",
        )


def _is_admin(person: Person) -> bool:
    return person.active and person.has_password and ADMIN in person.grants


def _called(name: str) -> str:
    return f"somebody called {name!r}"


def _alike(there: str, name: str) -> str:
    return "" if there == name else "Two names that look the same but for capitals would be taken for each other."
