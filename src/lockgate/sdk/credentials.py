"""What a client shows for itself: a token, a name and password, or while a server has no users a name that it claims.

The variables are MLflow's own, so that what lets a training script in lets the commands in too.
"""

from __future__ import annotations

import base64
import getpass
from collections.abc import Mapping
from dataclasses import dataclass
from urllib.parse import quote

from lockgate.sdk.errors import BadRequest
from lockgate.wire.requests import USER_HEADER

TOKEN, USER = "LOCKGATE_TOKEN", "LOCKGATE_USER"
MLFLOWS_USER, MLFLOWS_PASSWORD = "MLFLOW_TRACKING_USERNAME", "MLFLOW_TRACKING_PASSWORD"
MLFLOWS_TOKEN = "MLFLOW_TRACKING_TOKEN"  # noqa: S105 - the name of the variable


@dataclass(frozen=True, slots=True)
class Credentials:
    """The name, "" where only the server knows whose the token is, and the header that shows it."""

    name: str
    header: str
    value: str

    @classmethod
    def claim(cls, name: str) -> Credentials:
        """A name that nobody checks; a server with users takes none."""
        return cls(name, USER_HEADER, quote(name, safe=" @+"))

    @classmethod
    def password(cls, name: str, password: str) -> Credentials:
        """A name and its password. Raises BadRequest for a name that basic authentication cannot carry."""
        if ":" in name:
            raise BadRequest(f"The name {name!r} holds a colon.", hint="No user's name does.")
        told = base64.b64encode(f"{name}:{password}".encode()).decode()
        return cls(name, "Authorization", f"Basic {told}")

    @classmethod
    def token(cls, secret: str) -> Credentials:
        """A token. Raises BadRequest for what no header can carry."""
        if not secret.isascii() or not secret.isprintable() or " " in secret:
            raise BadRequest("The token holds characters that no token has.", hint="Copy it as it was shown.")
        return cls("", "Authorization", f"Bearer {secret}")


def found(who: str | None, secret: str | None, environment: Mapping[str, str]) -> Credentials:
    """What was given, else what the environment holds, else the login name of this process as a claim.

    `secret` is a token, or with `who` that one's password; `who` alone is a claim. In the environment the order is
    LOCKGATE_TOKEN, MLflow's user name and password, MLflow's token, LOCKGATE_USER.
    """
    if secret:
        return Credentials.password(who, secret) if who else Credentials.token(secret)
    if who:
        return Credentials.claim(who)
    if token := environment.get(TOKEN):
        return Credentials.token(token)
    name, password = environment.get(MLFLOWS_USER), environment.get(MLFLOWS_PASSWORD)
    if name and password:
        return Credentials.password(name, password)
    if token := environment.get(MLFLOWS_TOKEN):
        return Credentials.token(token)
    return Credentials.claim(environment.get(USER) or _login())


def _login() -> str:
    try:
        return getpass.getuser()
    except (OSError, KeyError, ImportError):  # a container's user may have no name; what it raises differs by Python
        return "anonymous"
