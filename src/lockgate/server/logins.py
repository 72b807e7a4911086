"""Who a request's credentials belong to, remembered for moments so that not every request pays for the proof.

What was changed (a password, a grant, a person who is disabled, a token that is revoked) counts within FRESH seconds in
every server process. The costly proof of a password is kept longer, for as long as the password stays the same.
"""

from __future__ import annotations

import asyncio
import base64
import binascii
import hashlib
import secrets
import time
from collections.abc import Callable
from dataclasses import dataclass

import anyio
import anyio.to_thread

from lockgate.domain.access import Act, Grant, allowed, allowed_somewhere
from lockgate.domain.errors import Unauthenticated
from lockgate.domain.identity import PERSON
from lockgate.usecases import login, people
from lockgate.usecases.access_ports import Credentials, Passwords
from lockgate.usecases.ports import Ports

FRESH = 2.0  # seconds for which credentials that were found good are taken as good
LOOK_AGAIN = 1.0  # seconds after which an open server looks whether there are people now
PROOF = 600.0  # seconds for which it is known that a password fits what is kept of it
MOST = 10_000  # credentials that are remembered
AT_ONCE = 4  # passwords that are proved at the same time: each takes a core, and memory on purpose

# what belongs to no single model takes a grant for all of them
WHOLE = frozenset({Act.MANAGE_WEBHOOKS, Act.CHANGE_POLICY, Act.MANAGE_PEOPLE, Act.CALL_ROUTERS, Act.KEEP_RECORD})


@dataclass(frozen=True, slots=True)
class Known:
    """Somebody whose credentials were good: `may` is what they may do to some model, or to what belongs to none.

    `proof` is what was kept of the password that fitted, "" for a token.
    """

    name: str
    kind: str
    grants: tuple[Grant, ...]
    may: frozenset[Act]
    token: str = ""
    must_change: bool = False
    proof: str = ""

    @classmethod
    def of(
        cls,
        name: str,
        grants: tuple[Grant, ...],
        *,
        kind: str = PERSON,
        token: str = "",
        must_change: bool = False,
        proof: str = "",
    ) -> Known:
        """With `may` as the grants say."""
        may = {
            act
            for act in Act
            if (allowed(grants, act, "", kind) if act in WHOLE else allowed_somewhere(grants, act, kind))
        }
        return cls(name, kind, grants, frozenset(may), token, must_change, proof)


@dataclass(frozen=True, slots=True)
class Basic:
    """A name and a password."""

    name: str
    password: str


@dataclass(frozen=True, slots=True)
class Bearer:
    """A token."""

    secret: str


@dataclass(frozen=True, slots=True)
class Proofs:
    """How credentials are proved. Each blocks, and raises Unauthenticated, or Unavailable without a database.

    `anybody` says whether there are people at all; `basic` also gets the address and what was kept of the password when
    it was proved last ("" when it was not), and proves it again only when that has changed.
    """

    anybody: Callable[[], bool]
    basic: Callable[[Basic, str, str], Known]
    bearer: Callable[[Bearer, str], Known]


def proofs_of(ports: Ports, passwords: Passwords) -> Proofs:
    """Credentials are proved by what the database holds."""

    def basic(given: Basic, address: str, proof: str) -> Known:
        before = _kept(given.name)
        if proof and before is not None and before.password == proof:
            person = before.person
            if person.active and person.kind == PERSON:
                return Known.of(person.name, person.grants, must_change=person.must_change, proof=proof)
        found = login.by_password(ports, passwords, given.name, given.password, address)
        after = _kept(given.name)
        # what was replaced meanwhile is not what fitted
        same = before is not None and after is not None and before.password == after.password
        kept = before.password if same and before is not None else None
        return _known(found, proof=kept or "")

    def bearer(given: Bearer, address: str) -> Known:
        return _known(login.by_token(ports, given.secret, address))

    def _kept(name: str) -> Credentials | None:
        with ports.store.reading() as work:
            return work.people.credentials(name)

    return Proofs(lambda: people.any_people(ports), basic, bearer)


def _known(found: login.Identified, proof: str = "") -> Known:
    who = found.who
    return Known.of(who.name, found.grants, kind=who.kind, token=who.token, must_change=found.must_change, proof=proof)


@dataclass(frozen=True, slots=True)
class _Remembered:
    known: Known
    fresh_until: float
    proof_until: float


class Logins:
    """Answers whose credentials these are. `closed` is whether people have to log in; it never turns back."""

    def __init__(self, proofs: Proofs, clock: Callable[[], float] = time.monotonic) -> None:
        self._proofs = proofs
        self._clock = clock
        self._key = secrets.token_bytes(32)
        self._remembered: dict[bytes, _Remembered] = {}
        self._under_way: dict[bytes, asyncio.Future[Known]] = {}
        self._limit: anyio.CapacityLimiter | None = None
        self._open_until = float("-inf")
        self.closed = False

    def is_open(self) -> bool:
        """Whether nobody has to log in, as far as that is known without looking."""
        return self._clock() < self._open_until

    async def look(self) -> None:
        """Look whether there are people. Raises Unavailable when the database does not answer and nothing is known."""
        now = self._clock()
        if await anyio.to_thread.run_sync(self._proofs.anybody):
            self.closed, self._open_until = True, float("-inf")
        else:
            self._open_until = now + LOOK_AGAIN

    def remembered(self, authorization: bytes) -> Known | None:
        """Whose credentials these are, if they were good a moment ago."""
        found = self._remembered.get(self._digest(authorization))
        return found.known if found is not None and self._clock() < found.fresh_until else None

    async def prove(self, authorization: bytes, address: str) -> Known:
        """Whose credentials these are. The same ones asked about many times at once are proved once.

        Raises Unauthenticated, and Unavailable when the database does not answer.
        """
        digest = self._digest(authorization)
        if (same := self._under_way.get(digest)) is not None:
            return await asyncio.shield(same)
        future: asyncio.Future[Known] = asyncio.get_running_loop().create_future()
        self._under_way[digest] = future
        try:
            known = await self._proved(read(authorization), digest, address)
        except BaseException as error:
            told = error if isinstance(error, Exception) else Unauthenticated("The question broke off.")
            future.set_exception(told)
            future.exception()  # there may be nobody else who waits for it
            raise
        else:
            future.set_result(known)
            return known
        finally:
            del self._under_way[digest]

    async def _proved(self, given: Basic | Bearer, digest: bytes, address: str) -> Known:
        now, before = self._clock(), self._remembered.get(digest)
        if isinstance(given, Bearer):
            known = await anyio.to_thread.run_sync(self._proofs.bearer, given, address)
            self._remember(digest, _Remembered(known, now + FRESH, now))
            return known
        proof = before.known.proof if before is not None and now < before.proof_until else ""
        if self._limit is None:
            self._limit = anyio.CapacityLimiter(AT_ONCE)
        known = await anyio.to_thread.run_sync(self._proofs.basic, given, address, proof, limiter=self._limit)
        again = before is not None and proof and known.proof == proof
        until = before.proof_until if before is not None and again else now + PROOF
        self._remember(digest, _Remembered(known, now + FRESH, until))
        return known

    def _remember(self, digest: bytes, found: _Remembered) -> None:
        if len(self._remembered) >= MOST:
            now = self._clock()
            self._remembered = {key: each for key, each in self._remembered.items() if now < each.fresh_until}
            if len(self._remembered) >= MOST:
                self._remembered.clear()
        self._remembered[digest] = found

    def _digest(self, authorization: bytes) -> bytes:
        # the credentials themselves are not kept, and what is kept is worth nothing outside of this process
        return hashlib.blake2b(authorization, key=self._key, digest_size=16).digest()


def read(authorization: bytes) -> Basic | Bearer:
    """The credentials of an Authorization header. Raises Unauthenticated for what is neither basic nor bearer."""
    scheme, _, told = authorization.strip().partition(b" ")
    match scheme.lower():
        case b"basic":
            try:
                name, colon, password = base64.b64decode(told.strip(), validate=True).decode().partition(":")
            except (binascii.Error, UnicodeDecodeError):
                colon = name = password = ""
            if colon:
                return Basic(name, password)
            raise Unauthenticated(
                "The Authorization header is no basic authentication.",
                hint="Send the base64 of NAME:PASSWORD in UTF-8.",
            )
        case b"bearer" if secret := told.strip().decode("latin-1"):
            return Bearer(secret)
    raise Unauthenticated(
        "The Authorization header is neither basic nor bearer.", hint="Send a name and password, or a token."
    )
