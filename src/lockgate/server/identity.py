"""Who is asking: the name a request claims, kept for whatever runs on its behalf in any thread.

While there are no users a name is a claim: its form is checked, and it stands on the record as unverified.
"""

from __future__ import annotations

import base64
import binascii
from contextvars import ContextVar
from urllib.parse import unquote_to_bytes

from lockgate.domain.errors import BadInput
from lockgate.domain.identity import ANONYMOUS, Who
from lockgate.server import replies
from lockgate.server.problems import explain
from lockgate.server.replies import App, Receive, Scope, Send
from lockgate.wire.requests import PREFIX, USER_HEADER, VIA_HEADER

LONGEST_NAME = 200
DOORS = frozenset({"api", "cli", "sdk"})

_NOBODY = Who(ANONYMOUS)
CALLER: ContextVar[Who] = ContextVar("caller", default=_NOBODY)
_USER = USER_HEADER.lower().encode()
_UNNAMED = {via: Who(ANONYMOUS, via=via) for via in (*DOORS, "mlflow")}
_VIA = VIA_HEADER.lower().encode()


def caller() -> Who:
    """The caller of the request that is being answered."""
    return CALLER.get()


class Identity:
    """Sets CALLER for everything behind it. A claim that cannot stand on the record is answered with 400."""

    def __init__(self, app: App) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        try:
            who = claimed(scope)
        except BadInput as wrong:
            await replies.problem(send, explain(wrong))
            return
        token = CALLER.set(who)
        try:
            await self._app(scope, receive, send)
        finally:
            CALLER.reset(token)


def claimed(scope: Scope) -> Who:
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
        return _UNNAMED[_via(scope)]
    names = [_name(unquote_to_bytes(raw))] if raw else []
    names += [_name(user)] if (user := _basic_user(authorization)) else []
    if len(set(names)) > 1:
        said = f"The request claims two names: {names[0]!r} in {USER_HEADER}, and the user name {names[1]!r}."
        raise BadInput(said, hint="Send one of them.")
    return Who(next(iter(names), ANONYMOUS), via=_via(scope))


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
