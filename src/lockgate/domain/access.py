"""Who may do what: people, what they were given, and the table from roles to acts. Deny whatever it does not name."""

from __future__ import annotations

import unicodedata
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from fnmatch import fnmatchcase

from lockgate.domain.errors import BadInput
from lockgate.domain.identity import ANONYMOUS, LOCKGATE, PERSON, SERVICE

EVERYWHERE = "*"
LONGEST_NAME = 200
LONGEST_LOOK = 1000  # bytes of a name as it looks: some letters stand for a whole sentence
LONGEST_PATTERN = 256
SHORTEST_PASSWORD, LONGEST_PASSWORD = 12, 1024


class Role(StrEnum):
    """What somebody was given, for all models or for those that a pattern names."""

    VIEWER = "viewer"
    CONTRIBUTOR = "contributor"
    APPROVER = "approver"
    OPERATOR = "operator"
    ADMIN = "admin"

    @classmethod
    def parse(cls, written: object) -> Role:
        """Read a role in any capitals. Raises BadInput naming the five."""
        told = written.strip().lower() if isinstance(written, str) else ""
        if told not in tuple(cls):
            raise BadInput(f"{written!r} is not a role.", hint=f"The roles are {', '.join(cls)}.")
        return cls(told)


class Act(StrEnum):
    """What a route or a use case asks leave for. The value completes the sentence `to …`."""

    READ = "read the registry"
    READ_RECORD = "read the record"
    READ_PREDICTIONS = "read logged predictions"  # with their inputs, which may be about people
    WRITE = "write to the registry"  # register, tag, alias, upload, log runs
    ASK = "ask for a promotion, a validation or an approval"
    REPORT_CHECK = "report a check"
    NUMBER = "set a semantic version"
    DECIDE = "approve or reject"
    BREAK_GLASS = "break the glass"
    OPERATE = "operate what serves"  # roll back, abort a rollout, retire an endpoint, accept drift
    REMOVE = "delete or rename"  # a model or a version; tags and runs are WRITE
    MANAGE_WEBHOOKS = "manage webhooks"
    CHANGE_POLICY = "change the policy"
    MANAGE_PEOPLE = "manage people"
    CALL_ROUTERS = "call the administrator's routers"
    KEEP_RECORD = "set how long the record is kept"  # retention, legal hold, anchors


_VIEWER = frozenset({Act.READ, Act.READ_RECORD})
_CONTRIBUTOR = _VIEWER | {Act.READ_PREDICTIONS, Act.WRITE, Act.ASK, Act.NUMBER}
_APPROVER = _VIEWER | {Act.DECIDE, Act.BREAK_GLASS}
_OPERATOR = _VIEWER | {
    Act.READ_PREDICTIONS,
    *(Act.ASK, Act.REPORT_CHECK, Act.NUMBER, Act.BREAK_GLASS, Act.OPERATE, Act.REMOVE, Act.MANAGE_WEBHOOKS),
}

# docs/reference/roles.md shows it, and a test holds the page against it
MATRIX: Mapping[Role, frozenset[Act]] = {
    Role.VIEWER: _VIEWER,
    Role.CONTRIBUTOR: _CONTRIBUTOR,
    Role.APPROVER: _APPROVER,
    Role.OPERATOR: _OPERATOR,
    Role.ADMIN: frozenset(Act),
}

# a program reports what it tested, and never stands in for a person who agrees
BESIDES_FOR_SERVICES: Mapping[Role, frozenset[Act]] = {Role.CONTRIBUTOR: frozenset({Act.REPORT_CHECK})}
NEVER_FOR_SERVICES = frozenset({Act.DECIDE, Act.BREAK_GLASS})


@dataclass(frozen=True, slots=True, order=True)
class Grant:
    """A role on every model whose name matches `pattern` (as in a shell, with case), and `within` as well.

    `within` is what a token narrows its person's grants to.
    """

    role: Role
    pattern: str = EVERYWHERE
    within: str = EVERYWHERE

    def covers(self, model: str) -> bool:
        """Whether it reaches the model; "" is what belongs to no single one, and takes a grant for all."""
        if not model:
            return self.pattern == self.within == EVERYWHERE
        return _matches(model, self.pattern) and _matches(model, self.within)

    def __str__(self) -> str:
        patterns = [pattern for pattern in (self.pattern, self.within) if pattern != EVERYWHERE]
        return f"{self.role} on {' and '.join(patterns)}" if patterns else f"{self.role} everywhere"


def acts_of(role: Role, kind: str = PERSON) -> frozenset[Act]:
    """What a role allows to a person, or to a service account."""
    if kind == SERVICE:
        return (MATRIX[role] | BESIDES_FOR_SERVICES.get(role, frozenset())) - NEVER_FOR_SERVICES
    return MATRIX[role]


def allowed(grants: Collection[Grant], act: Act, model: str = "", kind: str = PERSON) -> bool:
    """Whether these grants allow the act on the model, or with "" on what belongs to no single model."""
    return any(act in acts_of(grant.role, kind) and grant.covers(model) for grant in grants)


def allowed_somewhere(grants: Collection[Grant], act: Act, kind: str = PERSON) -> bool:
    """Whether these grants allow the act on some model: enough for what belongs to none, as a run or a search does."""
    return any(act in acts_of(grant.role, kind) for grant in grants)


def missing(grants: Collection[Grant], act: Act, model: str = "", kind: str = PERSON) -> str:
    """The sentence for somebody whom `allowed` turns down: which roles would do, where, and what they have."""
    if kind == SERVICE and act in NEVER_FOR_SERVICES:
        return f"To {act} takes a person: a service account never may."
    would = [role.value for role in Role if act in acts_of(role, kind)]
    where = f"on the model {model}" if model else "on all models"
    have = ", ".join(str(grant) for grant in sorted(grants)) or "none"
    return f"To {act} takes the role {either(would)} {where}. Yours: {have}."


def roles_on(grants: Collection[Grant], model: str = "") -> frozenset[Role]:
    """The roles somebody has on the model, those that a larger one contains among them (an admin has them all)."""
    return frozenset(role for grant in grants if grant.covers(model) for role in contained(grant.role))


def contained(role: Role) -> frozenset[Role]:
    """The roles whose every act the role allows too, itself among them."""
    return frozenset(other for other in Role if MATRIX[other] <= MATRIX[role])


def narrowed(grants: Collection[Grant], roles: Collection[Role], pattern: str = EVERYWHERE) -> tuple[Grant, ...]:
    """What a token keeps of its person's grants: those roles alone, and only on models that `pattern` names."""
    kept = {Grant(role, grant.pattern, pattern) for grant in grants for role in roles if role in contained(grant.role)}
    return tuple(sorted(kept))


@dataclass(frozen=True, slots=True)
class Person:
    """Somebody with a name here; `kind` is person or service, as in `Who`.

    `must_change`: the password was given out once, and nothing else is allowed before it is replaced.
    """

    name: str
    kind: str
    created_at: datetime
    created_by: str
    grants: tuple[Grant, ...] = ()
    disabled_at: datetime | None = None
    has_password: bool = False
    must_change: bool = False

    @property
    def active(self) -> bool:
        """Whether they may log in, and what they agreed to still counts."""
        return self.disabled_at is None


class TokenState(StrEnum):
    """Whether a token is good, and if not, why."""

    ACTIVE = "active"
    EXPIRED = "expired"
    REVOKED = "revoked"


@dataclass(frozen=True, slots=True)
class Token:
    """A secret that stands for its person, with these roles of theirs at most; the secret itself is kept nowhere."""

    id: str
    person: str
    label: str
    roles: frozenset[Role]
    pattern: str
    created_at: datetime
    created_by: str
    expires_at: datetime
    used_at: datetime | None = None
    revoked_at: datetime | None = None

    def state(self, now: datetime) -> TokenState:
        """As it is at that time."""
        if self.revoked_at is not None:
            return TokenState.REVOKED
        return TokenState.ACTIVE if now < self.expires_at else TokenState.EXPIRED


def person_name(written: object) -> str:
    """A name as it stands on the record, in Unicode's composed form (NFC); compared letter by letter.

    Raises BadInput for what cannot be seen or sent: control characters, a colon (basic authentication ends the name
    there), space at an end, more than 200 characters; and for the names that mean nobody and Lockgate itself.
    """
    name = unicodedata.normalize("NFC", written) if isinstance(written, str) else ""
    fine = 0 < len(name) <= LONGEST_NAME and name.isprintable() and name == name.strip() and ":" not in name
    fine = fine and len(folded(name).encode()) <= LONGEST_LOOK
    if not fine:
        raise BadInput(
            f"{_short(written)} is not a name for a person or a service account.",
            hint=f"A name is 1 to {LONGEST_NAME} printable characters without ':' and without space at its ends.",
        )
    if folded(name) in (ANONYMOUS, LOCKGATE.name):
        raise BadInput(f"{name!r} is a name that Lockgate itself uses.", hint="Choose another.")
    return name


def folded(name: str) -> str:
    """What two names may not have in common: without case, and without differences that nobody sees (NFKC)."""
    return unicodedata.normalize("NFKC", unicodedata.normalize("NFKC", name).casefold())


def model_pattern(written: object) -> str:
    """A pattern of models' names. Raises BadInput for one that no model's name can match."""
    fine = isinstance(written, str) and 0 < len(written) <= LONGEST_PATTERN and written.isprintable()
    if not isinstance(written, str) or not fine or "/" in written or ":" in written:
        raise BadInput(
            f"{_short(written)} is not a pattern of models' names.",
            hint="Write a name, or a pattern such as fraud-*; * stands for all models.",
        )
    return written


def exactly(model: str) -> str:
    """The pattern that this model's name matches and no other."""
    return "".join(f"[{letter}]" if letter in "*?[" else letter for letter in model)


def _matches(model: str, pattern: str) -> bool:
    return pattern == EVERYWHERE or fnmatchcase(model, pattern)


def either(words: list[str]) -> str:
    """One word or several as a sentence has them: `viewer, operator or admin`."""
    return " or ".join(filter(None, (", ".join(words[:-1]), words[-1])))


def _short(written: object) -> str:
    told = repr(written)
    return told if len(told) <= 60 else told[:57] + "..."
