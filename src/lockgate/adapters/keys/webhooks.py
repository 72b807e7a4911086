"""The key under which secrets of webhooks are stored: from the environment, else from a file made once in the home."""

from __future__ import annotations

import base64
import binascii
import contextlib
import secrets
from collections.abc import Mapping
from pathlib import Path

from lockgate.adapters.keys.kept import make_once
from lockgate.domain.errors import BadInput, Unavailable

KEY_VARIABLE = "MLFLOW_WEBHOOK_SECRET_ENCRYPTION_KEY"
KEY_FILE = "webhooks.key"
_BYTES = 32


def encryption_key(home: Path, environment: Mapping[str, str]) -> str:
    """The key, the same for every process of one home. It is never to be printed.

    Raises BadInput for something that is no key, Unavailable when the file can be neither read nor made.
    """
    given = environment.get(KEY_VARIABLE, "").strip()
    if given:
        return _checked(given, f"{KEY_VARIABLE} in the environment")
    path = home / KEY_FILE
    try:
        return _checked(_kept(path), f"The file {path}")
    except OSError as error:
        raise Unavailable(
            f"The key of the webhooks' secrets, {path}, cannot be read or made: {error.strerror or error}.",
            hint="Look at the permissions of the folder; the file must be readable by this user.",
        ) from None


def _kept(path: Path) -> str:
    with contextlib.suppress(FileNotFoundError):
        return _read(path)
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    make_once(path, base64.urlsafe_b64encode(secrets.token_bytes(_BYTES)) + b"\n")
    return _read(path)


def _read(path: Path) -> str:
    if path.stat().st_mode & 0o077:
        path.chmod(0o600)  # copied with a careless umask, say
    return path.read_text(encoding="ascii", errors="replace").strip()


def _checked(key: str, where: str) -> str:
    try:
        fine = len(base64.urlsafe_b64decode(key)) == _BYTES
    except (binascii.Error, ValueError):
        fine = False
    if not fine:
        raise BadInput(
            f"{where} holds no key for the webhooks' secrets.",
            hint="A key is 32 bytes in URL-safe base64, as cryptography's Fernet.generate_key() makes them. Put back "
            "the one that was in use, or remove it: secrets stored under another key must then be set anew.",
        )
    return key
