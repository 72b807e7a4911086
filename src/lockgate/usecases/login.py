"""Who logs in: by name and password, or by a token. Wrong attempts are counted where all servers see them."""

from __future__ import annotations

import hashlib
import unicodedata
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime, timedelta

from lockgate.domain.access import SHORTEST_PASSWORD, Grant, Token, TokenState, narrowed, person_name
from lockgate.domain.audit import Entry
from lockgate.domain.canonical import Plain
from lockgate.domain.errors import BadInput, Unauthenticated, Unavailable
from lockgate.domain.identity import ANONYMOUS, PERSON, Who
from lockgate.usecases.access_ports import Counted, Credentials, Failures, Passwords
from lockgate.usecases.ports import Ports

# within the window: wrong passwords for one name from one address, for one name from anywhere, and from one address
WINDOW = timedelta(minutes=5)
MOST_BOTH, MOST_NAME, MOST_ADDRESS = 10, 100, 50
NOTED_EVERY = timedelta(minutes=1)

SECRET_PREFIX = "lgt_"  # noqa: S105 - how every secret begins, so that a scanner knows one when it sees it


@dataclass(frozen=True, slots=True)
class Identified:
    """Somebody who proved who they are, and what they may act under as they came in.

    `must_change`: their password was given out once; they may look at themselves and replace it, and nothing else.
    """

    who: Who
    grants: tuple[Grant, ...]
    must_change: bool = False


def by_password(ports: Ports, passwords: Passwords, name: str, password: str, address: str) -> Identified:
    """The person with that name and password, asking from that address.

    Raises Unauthenticated: in the same words and after the same time whether the name or the password is wrong, and
    with `wait` when there were too many wrong ones lately. Takes some 30 ms of one core.
    """
    known, now = _name(name), ports.clock.now()
    with ports.store.reading() as work:
        failures = work.people.failures(known or name, address, now - WINDOW)
        kept = work.people.credentials(known) if known else None
    _refuse_if_too_many(failures, now)
    usable = kept is not None and kept.person.active and kept.person.kind == PERSON
    written = unicodedata.normalize("NFC", password)
    fits = passwords.fits(kept.password if kept is not None and usable else None, written)
    if kept is None or kept.password is None or not fits:
        _failed(ports, known or name, address, now)
        raise Unauthenticated(
            "The name or the password is wrong.", hint="An administrator can give you a new password."
        )
    person = kept.person
    must_change = person.must_change
    if passwords.outdated(kept.password):
        # what came from elsewhere may be shorter than what is asked for here
        must_change = must_change or len(written) < SHORTEST_PASSWORD
        _keep_anew(ports, passwords, kept, written, must_change=must_change)
    if failures.both.number:
        with ports.store.writing(None) as work:
            work.people.forget_failures(before=now - WINDOW, name=person.name, address=address)
    return Identified(Who(person.name, verified=True, kind=PERSON, address=address), person.grants, must_change)


def by_token(ports: Ports, secret: str, address: str) -> Identified:
    """Whoever the token stands for, with what it keeps of their grants. Raises Unauthenticated saying what is wrong."""
    now = ports.clock.now()
    if not secret.startswith(SECRET_PREFIX):
        raise Unauthenticated("That is no token of Lockgate's.", hint=f"They begin with {SECRET_PREFIX}. {_NEW_TOKEN}")
    with ports.store.reading() as work:
        token = work.people.token_of(secret_digest(secret))
        person = work.people.get(token.person) if token is not None else None
    if token is None or person is None:
        raise Unauthenticated("Nobody has that token.", hint=_NEW_TOKEN)
    if not person.active:
        raise Unauthenticated(f"{person.name} is disabled.", hint="An administrator can enable it again.")
    match token.state(now):
        case TokenState.EXPIRED:
            raise Unauthenticated(f"The token {token.id} expired on {token.expires_at:%Y-%m-%d}.", hint=_NEW_TOKEN)
        case TokenState.REVOKED:
            raise Unauthenticated(f"The token {token.id} was revoked.", hint=_NEW_TOKEN)
        case TokenState.ACTIVE:
            _note_use(ports, token, now)
    who = Who(person.name, verified=True, kind=person.kind, address=address, token=token.id)
    return Identified(who, narrowed(person.grants, token.roles, token.pattern), person.must_change)


def secret_digest(secret: str) -> str:
    """What is kept of a token's secret: 256 bits of chance need no salt and no slow hash."""
    return "sha256:" + hashlib.sha256(secret.encode("utf-8", "surrogatepass")).hexdigest()


_NEW_TOKEN = "Make one with: lockgate tokens create"  # noqa: S105 - a hint, no secret


def _name(written: str) -> str:
    """The name as it is kept, "" when nobody can bear it."""
    try:
        return person_name(written)
    except BadInput:
        return ""


def _refuse_if_too_many(failures: Failures, now: datetime) -> None:
    for counted, most in _limits(failures):
        if counted.number >= most and counted.earliest is not None:
            wait = max((counted.earliest + WINDOW - now).total_seconds(), 1.0)
            raise Unauthenticated(
                f"There were too many wrong passwords lately; none is looked at for {wait:.0f} seconds.",
                hint="Wait, or log in with a token.",
                wait=wait,
            )


def _limits(failures: Failures) -> tuple[tuple[Counted, int], ...]:
    return (failures.both, MOST_BOTH), (failures.name, MOST_NAME), (failures.address, MOST_ADDRESS)


def _failed(ports: Ports, name: str, address: str, now: datetime) -> None:
    with ports.store.writing(None) as work:
        work.people.failed(name, address, now)
        work.people.forget_failures(before=now - WINDOW)
        failures = work.people.failures(name, address, now - WINDOW)
        reached = [counted.number for counted, most in _limits(failures) if counted.number == most]
        if reached:
            known = work.people.get(_name(name))
            # what was typed where a name belongs may be a password
            claimed = Who(known.name if known else ANONYMOUS, address=address)
            why = f"{max(reached)} wrong passwords within {WINDOW.total_seconds() / 60:.0f} minutes"
            detail: dict[str, Plain] = {"person": known.name} if known else {}
            work.record.write(Entry("people:locked", claimed, now, why=why, detail=detail))


def _keep_anew(ports: Ports, passwords: Passwords, kept: Credentials, password: str, *, must_change: bool) -> None:
    fresh, name = passwords.keep(password), kept.person.name
    with ports.store.writing(None) as work:
        now = work.people.credentials(name)
        # it may have been replaced while this one was compared
        if now is not None and now.password == kept.password:
            work.people.set_password(name, fresh, must_change=must_change, at=ports.clock.now())


def _note_use(ports: Ports, token: Token, now: datetime) -> None:
    if token.used_at is None or now - token.used_at >= NOTED_EVERY:
        # a database that is busy for a moment is no reason to turn anybody away
        with suppress(Unavailable), ports.store.changing() as work:
            work.people.used(token.id, now)
