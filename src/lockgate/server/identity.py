"""Who is asking: the name a request claims, kept for whatever runs on its behalf.

While there are no users a name is a claim and stands on the record as unverified.
"""

from __future__ import annotations

import base64
import binascii
from contextvars import ContextVar
from urllib.parse import unquote_to_bytes

from lockgate.domain.identity import ANONYMOUS, Who
from lockgate.server import replies
from lockgate.server.problems import Problem
from lockgate.server.replies import App, Receive, Scope, Send
from lockgate.wire.requests import PREFIX, USER_HEADER

_NOBODY = Who(ANONYMOUS)
CALLER: ContextVar[Who] = ContextVar("caller", default=_NOBODY)

LONGEST_NAME = 200
_USER = USER_HEADER.lower().encode()


def caller() -> Who:
    """The caller of the request that is being answered."""
    return CALLER.get()


class Identity:
    """Sets CALLER to who the request says it is from: our own header, else the user of basic authentication.

    MLflow's clients send the latter from MLFLOW_TRACKING_USERNAME. A name that cannot stand on the record gets 400.
    """

    def __init__(self, app: App) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        name = _claimed(scope)
        if name is None:
            said = f"The caller's name must be printable UTF-8 of at most {LONGEST_NAME} characters."
            await replies.problem(send, Problem(400, "INVALID_PARAMETER_VALUE", said))
            return
        via = "api" if scope["path"].startswith(PREFIX) else "mlflow"
        token = CALLER.set(Who(name, via=via))
        try:
            await self._app(scope, receive, send)
        finally:
            CALLER.reset(token)


def _claimed(scope: Scope) -> str | None:
    """The name, or None when it is none that can be written down."""
    raw = replies.header(scope, _USER)
    name = unquote_to_bytes(raw) if raw is not None else _basic_user(replies.header(scope, b"authorization"))
    try:
        told = name.decode().strip()
    except UnicodeDecodeError:
        return None
    if len(told) > LONGEST_NAME or not told.isprintable():
        return None
    return told or ANONYMOUS


def _basic_user(authorization: bytes | None) -> bytes:
    scheme, _, credentials = (authorization or b"").partition(b" ")
    if scheme.lower() != b"basic":
        return b""
    try:
        return base64.b64decode(credentials.strip(), validate=True).partition(b":")[0]
    except binascii.Error:
        return b""
