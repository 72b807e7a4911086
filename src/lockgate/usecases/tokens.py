"""Tokens: making one, which shows its secret this once, listing and revoking them."""

from __future__ import annotations

import secrets
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import timedelta

from lockgate.domain.access import EVERYWHERE, Act, Person, Role, Token, allowed, contained, model_pattern
from lockgate.domain.audit import Entry
from lockgate.domain.canonical import Plain
from lockgate.domain.errors import BadInput, Conflict, Forbidden, NotFound
from lockgate.domain.identity import PERSON, Who
from lockgate.usecases.authorise import refusals_recorded
from lockgate.usecases.login import SECRET_PREFIX, secret_digest
from lockgate.usecases.people import known, logged_in, may_manage
from lockgate.usecases.ports import Ports, Work
from lockgate.usecases.recorded import short

LASTS, SHORTEST, LONGEST = timedelta(days=90), timedelta(minutes=1), timedelta(days=366)
LONGEST_LABEL = 100
_BYTES = 32


@dataclass(frozen=True, slots=True)
class Made:
    """A new token, and its secret, which is kept nowhere."""

    token: Token
    secret: str


def create(
    ports: Ports,
    who: Who,
    *,
    person: str = "",
    label: str = "",
    roles: Collection[Role] = (),
    pattern: str = EVERYWHERE,
    expires_in: timedelta = LASTS,
) -> Made:
    """Make a token for oneself, or for a service account. It keeps these roles of theirs (all without any) on models
    that the pattern names, however much they are given later, and is good for that long.

    Raises Forbidden for another person's (a token acts in its person's name), and for who came in by a token that may
    not manage people; BadInput for roles that they do not have.
    """
    secret = SECRET_PREFIX + secrets.token_urlsafe(_BYTES)
    with refusals_recorded(ports, who, "tokens create"), ports.store.writing(None) as work:
        logged_in(work, who)
        owner = _owner(work, who, person or who.name)
        now, lasts = ports.clock.now(), lasting(round(expires_in.total_seconds()))
        token = Token(
            id=ports.ids.new("tok"),
            person=owner.name,
            label=_label(label),
            roles=_kept(owner, roles),
            pattern=model_pattern(pattern),
            created_at=now,
            created_by=str(who),
            expires_at=now + lasts,
        )
        work.people.add_token(token, secret_digest(secret), who)
        detail: dict[str, Plain] = {"token": token.id, "person": owner.name, "label": token.label}
        after: dict[str, Plain] = {
            "roles": sorted(token.roles),
            "pattern": token.pattern,
            "expires": token.expires_at.isoformat(),
        }
        work.record.write(Entry("token:created", who, now, before=None, after=after, detail=detail))
        return Made(token, secret)


def lasting(seconds: int) -> timedelta:
    """How long a token is to be good. Raises BadInput for less than a minute or more than 366 days."""
    if not SHORTEST.total_seconds() <= seconds <= LONGEST.total_seconds():
        raise BadInput(
            f"A token cannot be good for {seconds} seconds.",
            hint="It is good for a minute at least and 366 days at most.",
        )
    return timedelta(seconds=seconds)


def listed(ports: Ports, who: Who, person: str | None = None) -> Sequence[Token]:
    """The tokens of one person, newest first, or with None of everybody. One's own need no role. Raises Forbidden."""
    with refusals_recorded(ports, who, "tokens list"), ports.store.reading() as work:
        logged_in(work, who)
        if not (who.verified and person == who.name):
            may_manage(work, who)
        return work.people.tokens(None if person is None else known(work, person).name)


def revoke(ports: Ports, id: str, who: Who, reason: str = "") -> Token:
    """Let a token in no longer, one's own or with leave to manage people any. Raises NotFound and Forbidden."""
    with refusals_recorded(ports, who, "tokens revoke"), ports.store.writing(None) as work:
        logged_in(work, who)
        token = work.people.token(id)
        if token is None or token.person != who.name:
            may_manage(work, who)
        if token is None:
            raise NotFound(f"There is no token {id}.", hint="lockgate tokens list --all shows them with their ids.")
        _revoke(ports, work, [token], who, reason)
        return work.people.token(id) or token


def revoke_all(ports: Ports, person: str, who: Who, reason: str = "") -> Sequence[Token]:
    """Revoke every token of one person that is good still; those tokens."""
    with refusals_recorded(ports, who, "tokens revoke"), ports.store.writing(None) as work:
        logged_in(work, who)
        if person != who.name:
            may_manage(work, who)
        theirs = work.people.tokens(known(work, person).name)
        return _revoke(ports, work, theirs, who, reason)


def _revoke(ports: Ports, work: Work, tokens: Sequence[Token], who: Who, reason: str) -> list[Token]:
    now = ports.clock.now()
    good = [token for token in tokens if token.revoked_at is None]
    work.people.revoke_tokens([token.id for token in good], now)
    for token in good:
        detail: dict[str, Plain] = {"token": token.id, "person": token.person, "label": token.label}
        entry = Entry(
            "token:revoked", who, now, before=str(token.state(now)), after="revoked", why=short(reason), detail=detail
        )
        work.record.write(entry)
    return good


def _owner(work: Work, who: Who, name: str) -> Person:
    owner = known(work, name)
    if not owner.active:
        raise Conflict(f"{owner.name} is disabled.", hint=f"lockgate users enable {owner.name}")
    if owner.name == who.name:
        grants = work.people.grants_of(who.name, who.token)
        # else a narrow token could make a wide one, and an expiring one make itself last
        if who.token and not allowed(grants, Act.MANAGE_PEOPLE, kind=who.kind):
            raise Forbidden(
                "A token cannot make another token.", hint="Log in with your name and password to make one."
            )
        return owner
    if owner.kind == PERSON:
        raise Forbidden(
            f"A token for {owner.name} would act in their name: only they can make it.",
            hint="For a program, add a service account: lockgate users add NAME --service",
        )
    may_manage(work, who)
    return owner


def _kept(owner: Person, roles: Collection[Role]) -> frozenset[Role]:
    has = frozenset(role for grant in owner.grants for role in contained(grant.role))
    if not has:
        raise BadInput(
            f"{owner.name} has no role yet, so a token could do nothing.",
            hint=f"lockgate users grant {owner.name} ROLE",
        )
    if strangers := sorted(set(roles) - has):
        raise BadInput(
            f"{owner.name} is no {' and no '.join(strangers)}: a token can have only what its person has.",
            hint=f"They have: {', '.join(map(str, owner.grants))}.",
        )
    return frozenset(roles) or frozenset(grant.role for grant in owner.grants)


def _label(written: str) -> str:
    if len(written) > LONGEST_LABEL or not written.isprintable():
        raise BadInput(
            "The token's label cannot be kept.", hint=f"It is at most {LONGEST_LABEL} printable characters long."
        )
    return written.strip()
