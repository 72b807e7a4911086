"""Who is asking, kept for whatever runs on its behalf in any thread, and whether they may ask that at all.

While there are no people a name is a claim: its form is checked, and it stands on the record as unverified. Once there
are, a request without good credentials goes no further than the few routes that are for everybody.
"""

from __future__ import annotations

import base64
import binascii
from contextvars import ContextVar
from typing import Protocol
from urllib.parse import unquote_to_bytes

from lockgate.domain.access import Act
from lockgate.domain.errors import BadInput, Forbidden, LockgateError, Unauthenticated
from lockgate.domain.identity import ANONYMOUS, PERSON, Who
from lockgate.server import replies
from lockgate.server.arrival import REQUEST_ID
from lockgate.server.logins import Known, Logins
from lockgate.server.problems import Problem, explain
from lockgate.server.replies import App, Receive, Scope, Send
from lockgate.wire.requests import PREFIX, USER_HEADER, VIA_HEADER

LONGEST_NAME = 200
DOORS = frozenset({"api", "cli", "sdk"})
CHALLENGE = (b"www-authenticate", b'Basic realm="Lockgate", charset="UTF-8"')
HOW_TO_LOG_IN = (
    "Set MLFLOW_TRACKING_USERNAME and MLFLOW_TRACKING_PASSWORD, or MLFLOW_TRACKING_TOKEN. "
    "An administrator makes users: lockgate users add NAME"
)

_USER = USER_HEADER.lower().encode()
_VIA = VIA_HEADER.lower().encode()


class Asking:
    """A request's caller, put into words only when somebody wants to know: most reads never do.

    `known`, and `acts` of which the route takes one, are there for who has logged in; `judge` is who says so.
    """

    __slots__ = ("_name", "_scope", "_who", "acts", "judge", "known")

    def __init__(
        self,
        scope: Scope | None,
        name: str,
        known: Known | None = None,
        acts: frozenset[Act] = frozenset(),
        judge: Judge | None = None,
    ) -> None:
        self._scope = scope
        self._name = name
        self._who: Who | None = None
        self.known = known
        self.acts = acts
        self.judge = judge

    @property
    def who(self) -> Who:
        """The caller with all that the record tells of them."""
        if self._who is None:
            self._who = self._told()
        return self._who

    def _told(self) -> Who:
        scope, known = self._scope, self.known
        if scope is None:
            return Who(self._name)
        return Who(
            self._name,
            verified=known is not None,
            via=_via(scope),
            kind=PERSON if known is None else known.kind,
            address=address_of(scope),
            request=scope.get(REQUEST_ID, ""),
            token="" if known is None else known.token,
        )


_NOBODY = Asking(None, ANONYMOUS)
CALLER: ContextVar[Asking] = ContextVar("caller", default=_NOBODY)


def caller() -> Who:
    """The caller of the request that is being answered."""
    return CALLER.get().who


class Judge(Protocol):
    """Says what a route takes, and whether somebody has it."""

    def takes(self, scope: Scope) -> frozenset[Act] | None:
        """The acts of which a caller needs one; None for a route that is open to everybody.

        Empty where `refusal` has to be asked whoever it is.
        """

    async def refusal(self, scope: Scope, asking: Asking) -> Problem | None:
        """Why the caller may not ask this, None where they may; a refusal is on the record then."""

    def put_on_record(self, who: Who, asked: str, model: str, why: Forbidden) -> None:
        """Put a refusal on the record: who, what they asked for, the model it was about ("" for none), why. Blocks."""


class Identity:
    """Sets CALLER for everything behind it, and lets nobody through whom it must not.

    Without `logins` every name is a claim, as on a server without people; with them, `judge` says what those who logged
    in may ask for. Credentials that are missing or wrong are answered with 401, a malformed claim with 400.
    """

    def __init__(self, app: App, logins: Logins | None = None, judge: Judge | None = None) -> None:
        self._app = app
        self._logins = logins
        self._judge = judge

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        logins = self._logins
        refusal: Problem | None = None
        try:
            # whoever has just been made the first user logs in at once, and is not to be told that nobody is here
            if logins is not None and not logins.closed and (not logins.is_open() or _brings_credentials(scope)):
                await logins.look()
            if logins is None or not logins.closed:
                asking = claimed(scope)
            else:
                asking, refusal = await self._logged_in(logins, scope)
        except LockgateError as wrong:
            await turned_away(wrong, send)
            return
        if refusal is not None:
            await replies.problem(send, refusal)
            return
        token = CALLER.set(asking)
        try:
            await self._app(scope, receive, send)
        finally:
            CALLER.reset(token)

    async def _logged_in(self, logins: Logins, scope: Scope) -> tuple[Asking, Problem | None]:
        assert self._judge is not None, "where people log in somebody judges what they ask for"
        acts = self._judge.takes(scope)
        if acts is None:
            return Asking(scope, ANONYMOUS), None
        claim = authorization = None
        for key, value in scope["headers"]:  # one walk: every request pays for it
            if key == b"authorization":
                authorization = value if authorization is None else authorization
            elif key == _USER:
                claim = value if claim is None else claim
        if authorization is None:
            raise _unknown(claimed=bool(claim))
        known = logins.remembered(authorization) or await logins.prove(authorization, address_of(scope))
        if claim and _name(unquote_to_bytes(claim)) != known.name:
            raise BadInput(
                f"{USER_HEADER} names somebody else than the credentials, which are those of {known.name!r}.",
                hint=f"Since there are users, nobody acts under a name that is only claimed: leave {USER_HEADER} out.",
            )
        asking = Asking(scope, known.name, known, acts, self._judge)
        if known.must_change or acts.isdisjoint(known.may):
            return asking, await self._judge.refusal(scope, asking)
        return asking, None


async def turned_away(wrong: LockgateError, send: Send) -> None:
    """Answer a request whose caller is not known, or claims what cannot be."""
    if not isinstance(wrong, Unauthenticated):
        await replies.problem(send, explain(wrong))
        return
    headers = [CHALLENGE]
    if wrong.wait > 0:
        # a 429 would make MLflow's clients try again by themselves, with the same wrong password
        headers.append((b"retry-after", str(int(wrong.wait) + 1).encode()))
    await replies.problem(send, explain(wrong), headers)


def address_of(scope: Scope) -> str:
    """Where the request came from, "" where that is not known."""
    client = scope.get("client")
    return str(client[0]) if client else ""


def claimed(scope: Scope) -> Asking:
    """Who the request says it is from: our own header, else the user name of basic authentication, else nobody.

    MLflow's clients send the second from MLFLOW_TRACKING_USERNAME. Our own header is percent-encoded UTF-8.
    Raises BadInput when a name is malformed, or the two disagree.
    """
    raw = authorization = None
    for key, value in scope["headers"]:  # one walk: every request pays for it
        if key == _USER:
            raw = value if raw is None else raw
        elif key == b"authorization":
            authorization = value if authorization is None else authorization
    if not raw and authorization is None:
        return Asking(scope, ANONYMOUS)
    names = [_name(unquote_to_bytes(raw))] if raw else []
    names += [_name(user)] if (user := _basic_user(authorization)) else []
    if len(set(names)) > 1:
        said = f"The request claims two names: {names[0]!r} in {USER_HEADER}, and the user name {names[1]!r}."
        raise BadInput(said, hint="Send one of them.")
    return Asking(scope, next(iter(names), ANONYMOUS))


def _unknown(*, claimed: bool) -> Unauthenticated:
    if claimed:
        return Unauthenticated(
            "This server has users, so a name that is only claimed (--as, LOCKGATE_USER, "
            f"{USER_HEADER}) is nobody's any more.",
            hint=f"Log in instead, and leave the claim out. {HOW_TO_LOG_IN}",
        )
    return Unauthenticated("This server has users: log in.", hint=HOW_TO_LOG_IN)


def _brings_credentials(scope: Scope) -> bool:
    return any(key == b"authorization" for key, _ in scope["headers"])


def _via(scope: Scope) -> str:
    path: str = scope["path"]
    if path != PREFIX and not path.startswith(f"{PREFIX}/"):
        return "mlflow"
    door = (replies.header(scope, _VIA) or b"api").decode("latin-1")
    return door if door in DOORS else "api"


def _basic_user(authorization: bytes | None) -> bytes:
    scheme, _, credentials = (authorization or b"").partition(b" ")
    if scheme.lower() != b"basic":
        return b""
    try:
        return base64.b64decode(credentials.strip(), validate=True).partition(b":")[0]
    except binascii.Error:
        raise BadInput(
            "The Authorization header is no basic authentication.", hint="Send the base64 of USER:PASSWORD."
        ) from None


def _name(raw: bytes) -> str:
    try:
        name = raw.decode().strip()
    except UnicodeDecodeError:
        name = ""
    if not 0 < len(name) <= LONGEST_NAME or not name.isprintable():
        raise BadInput(
            "The caller's name cannot stand on the record.",
            hint=f"A name is printable UTF-8 of 1 to {LONGEST_NAME} characters.",
        )
    return name
