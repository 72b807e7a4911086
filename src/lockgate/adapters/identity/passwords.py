"""Passwords: kept as argon2id. Those that MLflow's basic authentication kept are understood until the next login."""

from __future__ import annotations

import hashlib
import hmac
import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from threading import BoundedSemaphore

from argon2 import PasswordHasher, Type
from argon2.exceptions import Argon2Error, InvalidHashError

from lockgate.domain.access import LONGEST_PASSWORD
from lockgate.domain.errors import Unavailable

# the least that OWASP recommends for argon2id: 19 MiB and two passes, some 30 ms of one core
MEMORY_KIB, PASSES, LANES = 19 * 1024, 2, 1
# each comparison takes memory: a flood of logins may not take all of it
AT_ONCE = 4
PATIENCE_SECONDS = 10.0

# beyond these a hash from elsewhere would be a way to keep the server busy
_MOST_PASSES = 5_000_000
_MOST_MEMORY = 256 * 1024 * 1024
_DIGESTS = ("sha1", "sha256", "sha512")


class Argon2Passwords:
    """`Passwords`. Use it from any thread; comparisons beyond a few at once wait for their turn."""

    def __init__(self) -> None:
        self._argon2 = PasswordHasher(PASSES, MEMORY_KIB, LANES, hash_len=32, salt_len=16, type=Type.ID)
        self._turns = BoundedSemaphore(AT_ONCE)
        # made at once: a first unknown name that took longer than a known one would be told apart by it
        self._nobodys = self._argon2.hash(secrets.token_urlsafe())

    def keep(self, password: str) -> str:
        with self._turn():
            return self._argon2.hash(password)

    def fits(self, kept: str | None, password: str) -> bool:
        """As the port says. Raises Unavailable when too many are compared already."""
        too_long = len(password) > LONGEST_PASSWORD
        with self._turn():
            if kept is None or too_long:
                self._compare(self._nobodys, password[:LONGEST_PASSWORD])
                return False
            return _fits_werkzeug(kept, password) if _is_werkzeug(kept) else self._compare(kept, password)

    def outdated(self, kept: str) -> bool:
        return _is_werkzeug(kept) or self._argon2.check_needs_rehash(kept)

    def understood(self, kept: str) -> bool:
        return _is_werkzeug(kept) and _parsed(kept) is not None

    def _compare(self, kept: str, password: str) -> bool:
        try:
            return self._argon2.verify(kept, password)
        except (Argon2Error, InvalidHashError, UnicodeEncodeError):
            return False

    @contextmanager
    def _turn(self) -> Iterator[None]:
        if not self._turns.acquire(timeout=PATIENCE_SECONDS):
            raise Unavailable("Too many people log in at this moment.", hint="Try again in a moment.")
        try:
            yield
        finally:
            self._turns.release()


# --- what MLflow's basic authentication kept: METHOD$SALT$HEX, as werkzeug writes it ----------------------------------


def _is_werkzeug(kept: str) -> bool:
    return kept.startswith(("scrypt:", "pbkdf2:")) and kept.count("$") == 2


def _parsed(kept: str) -> tuple[str, tuple[int, ...], str, str, str] | None:
    """Method, its numbers, the digest it uses, salt and hash; None where that cannot be or would take for ever."""
    method, salt, told = kept.split("$")
    name, *given = method.split(":")
    digest = given.pop(0) if name == "pbkdf2" and given else ""
    try:
        numbers = tuple(int(each) for each in given)
        bytes.fromhex(told)
    except ValueError:
        return None
    if name == "scrypt" and len(numbers) == 3 and min(numbers) > 0:
        n, r, p = numbers
        fine = n & (n - 1) == 0 and n > 1 and 128 * n * r * p <= _MOST_MEMORY
    else:
        fine = name == "pbkdf2" and digest in _DIGESTS and len(numbers) == 1 and 0 < numbers[0] <= _MOST_PASSES
    return (name, numbers, digest, salt, told) if fine and salt and told else None


def _fits_werkzeug(kept: str, password: str) -> bool:
    parsed = _parsed(kept)
    if parsed is None:
        return False
    name, numbers, digest, salt, told = parsed
    secret = password.encode("utf-8", "surrogatepass")
    if name == "scrypt":
        n, r, p = numbers
        found = hashlib.scrypt(secret, salt=salt.encode(), n=n, r=r, p=p, maxmem=132 * n * r * p)
    else:
        found = hashlib.pbkdf2_hmac(digest, secret, salt.encode(), numbers[0])
    return hmac.compare_digest(found.hex(), told)
