"""Where the private key is: given in the environment, else a file in the home that its owner alone can read."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Mapping
from pathlib import Path

from lockgate.adapters.keys.ed25519 import Ed25519Signer
from lockgate.adapters.keys.kept import make_once
from lockgate.domain.errors import BadInput, Conflict, Unavailable

KEY_VARIABLE = "LOCKGATE_CHECKPOINT_KEY"
FOLDER, FILE = "keys", "checkpoint.key"
_BEGINS = "-----BEGIN"
_LONGEST = 64 * 1024


class FileKeys:
    """`Keys`. The variable holds the key itself (PEM) or the path of its file; without it the file is in the home."""

    def __init__(self, home: Path, environment: Mapping[str, str]) -> None:
        given = environment.get(KEY_VARIABLE, "").strip()
        self._text = given if given.startswith(_BEGINS) else ""
        self.given = bool(given)
        self.path = Path(given).expanduser().absolute() if given and not self._text else home / FOLDER / FILE

    @property
    def place(self) -> str:
        """For messages: the file, or the variable that holds the key itself."""
        return f"{KEY_VARIABLE} in the environment" if self._text else str(self.path)

    def load(self) -> Ed25519Signer | None:
        """None when there is none yet. Raises BadInput for what is no key, Unavailable when it cannot be read."""
        if self._text:
            return self._read(self._text.encode())
        try:
            told = self._kept()
        except FileNotFoundError:
            if self.given:
                raise BadInput(f"{KEY_VARIABLE} names {self.path}, and there is no such file.", hint=_HINT) from None
            return None
        except OSError as error:
            raise self._unreadable(error) from None
        return self._read(told)

    def make(self) -> Ed25519Signer:
        """A new key in the file, or the one that another process made in the same moment. Raises as `load`."""
        try:
            self._write(self.path, Ed25519Signer.make().pem())
        except OSError as error:
            raise self._unreadable(error) from None
        found = self.load()
        if found is None:
            raise Unavailable(f"The key {self.path} was made and is not there.", hint=_HINT)
        return found

    def next(self) -> Ed25519Signer:
        """A new key that is to take over, kept beside the one in use; the same one until it has.

        Raises Conflict where the key in use is given from outside.
        """
        if self.given:
            raise Conflict(
                f"The key is given by {KEY_VARIABLE}, so it is not Lockgate's to replace.",
                hint="Make a new one where you keep it, let the old one vouch for it (lockgate audit key add), start "
                "with it, then: lockgate audit key retire",
            )
        beside = self._beside()
        found = beside.load()
        return beside.make() if found is None else found

    def replace(self, new: Ed25519Signer) -> None:
        """Put the key that `next` gave in the place of the one in use."""
        beside = self._beside()
        found = beside.load()
        if found is None or found.key != new.key:
            raise Conflict("The new key is not there any more.", hint="Look at what is in the folder of the keys.")
        try:
            os.replace(beside.path, self.path)
        except OSError as error:
            raise self._unreadable(error) from None

    def _beside(self) -> FileKeys:
        found = FileKeys(self.path.parent.parent, {})
        found.path = self.path.with_name(f"{self.path.name}.next")
        return found

    def exposed(self) -> str:
        """Who besides its owner could read the key, "" when nobody: for `lockgate doctor`. Changes nothing."""
        with contextlib.suppress(OSError):
            if not self._text and self.path.stat().st_mode & 0o077:
                return f"chmod 600 {self.path}"
            if not self.given and self.path.exists() and self.path.parent.stat().st_mode & 0o077:
                return f"chmod 700 {self.path.parent}"
        return ""

    def _kept(self) -> bytes:
        descriptor = os.open(self.path, os.O_RDONLY | os.O_CLOEXEC)
        with os.fdopen(descriptor, "rb") as file:
            if os.fstat(descriptor).st_mode & 0o077 and not self.given:
                os.fchmod(descriptor, 0o600)  # copied with a careless umask, say
            return file.read(_LONGEST)

    def _write(self, path: Path, pem: bytes) -> None:
        if not self.given:
            path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            path.parent.chmod(0o700)
        make_once(path, pem)

    def _read(self, told: bytes) -> Ed25519Signer:
        try:
            return Ed25519Signer.of_pem(told)
        except ValueError as error:
            raise BadInput(
                f"{self.place} holds no key for the record's checkpoints: {_short(error)}.", hint=_HINT
            ) from None

    def _unreadable(self, error: OSError) -> Unavailable:
        return Unavailable(
            f"The key of the record's checkpoints, {self.path}, cannot be read or made: {error.strerror or error}.",
            hint="Look at the permissions of the file and its folder: this account must own both.",
        )


_HINT = (
    "A key is an Ed25519 private key in PEM, not encrypted, as `openssl genpkey -algorithm ed25519` makes it. Put back "
    "the one that was in use."
)


def _short(error: Exception) -> str:
    told = str(error).splitlines()[0] if str(error) else "it cannot be read"
    return told if told.startswith("it ") and len(told) < 80 else "it cannot be read"
