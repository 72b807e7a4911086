"""Credentials that were good a moment ago are not proved again, and for no longer than a moment."""

from __future__ import annotations

import asyncio
import base64
import threading
from dataclasses import dataclass, field

import pytest

from lockgate.domain.access import Act, Grant, Role
from lockgate.domain.errors import Unauthenticated
from lockgate.server.logins import FRESH, LOOK_AGAIN, PROOF, Basic, Bearer, Known, Logins, Proofs, read

ANN = b"Basic " + base64.b64encode(b"ann:good")
WRONG = b"Basic " + base64.b64encode(b"ann:bad")
TOKEN = b"Bearer lgt_1"


@dataclass
class Book:
    """Proves what it is told to, and counts."""

    people: bool = True
    now: float = 1_000.0
    proved: list[tuple[str, str]] = field(default_factory=list)
    looked: int = 0
    wait: threading.Event | None = None

    def logins(self) -> Logins:
        return Logins(Proofs(self._anybody, self._basic, self._bearer), lambda: self.now)

    def _anybody(self) -> bool:
        self.looked += 1
        return self.people

    def _basic(self, given: Basic, address: str, proof: str) -> Known:
        if self.wait is not None:
            assert self.wait.wait(10)
        self.proved.append((address, proof))
        if given.password != "good":
            raise Unauthenticated("The name or the password is wrong.")
        return Known.of(given.name, (Grant(Role.VIEWER),), proof="kept")

    def _bearer(self, given: Bearer, address: str) -> Known:
        self.proved.append((address, given.secret))
        return Known.of("ci", (Grant(Role.CONTRIBUTOR, "fraud-*"),), token="tok-1")


def _prove(logins: Logins, authorization: bytes) -> Known:
    return asyncio.run(logins.prove(authorization, "10.0.0.1"))


def test_a_password_that_was_good_is_good_for_a_moment_without_being_looked_at():
    book = Book()
    logins = book.logins()
    known = _prove(logins, ANN)
    assert logins.remembered(ANN) == known
    book.now += FRESH
    assert logins.remembered(ANN) is None


def test_after_the_moment_it_is_asked_whether_the_password_is_still_the_same_and_after_a_while_for_all_of_it():
    book = Book()
    logins = book.logins()
    _prove(logins, ANN)
    book.now += FRESH
    _prove(logins, ANN)
    book.now += PROOF
    _prove(logins, ANN)
    assert [proof for _, proof in book.proved] == ["", "kept", ""]


def test_what_is_known_of_a_password_is_not_known_for_longer_by_being_used():
    book = Book()
    logins = book.logins()
    for _ in range(3):
        _prove(logins, ANN)
        book.now += PROOF / 2
    assert [proof for _, proof in book.proved] == ["", "kept", ""]


def test_a_token_is_looked_up_again_after_a_moment():
    book = Book()
    logins = book.logins()
    _prove(logins, TOKEN)
    assert logins.remembered(TOKEN) is not None
    book.now += FRESH
    assert logins.remembered(TOKEN) is None


def test_a_wrong_password_is_never_remembered():
    book = Book()
    logins = book.logins()
    for _ in range(2):
        with pytest.raises(Unauthenticated):
            _prove(logins, WRONG)
    assert logins.remembered(WRONG) is None
    assert len(book.proved) == 2


def test_the_same_credentials_asked_about_at_once_are_proved_once():
    book = Book(wait=threading.Event())
    logins = book.logins()

    async def many() -> list[Known]:
        asked = [asyncio.create_task(logins.prove(ANN, "10.0.0.1")) for _ in range(20)]
        await asyncio.sleep(0)
        assert book.wait is not None
        book.wait.set()
        return await asyncio.gather(*asked)

    assert {known.name for known in asyncio.run(many())} == {"ann"}
    assert len(book.proved) == 1


def test_when_it_is_wrong_all_who_asked_at_once_hear_so():
    book = Book(wait=threading.Event())
    logins = book.logins()

    async def many() -> list[object]:
        asked = [asyncio.create_task(logins.prove(WRONG, "10.0.0.1")) for _ in range(3)]
        await asyncio.sleep(0)
        assert book.wait is not None
        book.wait.set()
        return list(await asyncio.gather(*asked, return_exceptions=True))

    assert [type(each) for each in asyncio.run(many())] == [Unauthenticated] * 3
    assert len(book.proved) == 1


def test_an_open_server_looks_once_a_second_whether_there_are_people_and_never_again_once_there_are():
    book = Book(people=False)
    logins = book.logins()
    asyncio.run(logins.look())
    assert (logins.is_open(), logins.closed) == (True, False)
    book.now += LOOK_AGAIN
    book.people = True
    assert not logins.is_open()
    asyncio.run(logins.look())
    assert (logins.is_open(), logins.closed, book.looked) == (False, True, 2)


def test_what_may_be_done_to_some_model_is_told_from_what_takes_a_grant_for_all():
    narrow, wide = Known.of("a", (Grant(Role.ADMIN, "fraud-*"),)), Known.of("a", (Grant(Role.ADMIN),))
    assert wide.may == frozenset(Act)
    assert Act.WRITE in narrow.may
    assert not narrow.may & {Act.MANAGE_PEOPLE, Act.CHANGE_POLICY, Act.MANAGE_WEBHOOKS, Act.CALL_ROUTERS}


@pytest.mark.parametrize(
    "header",
    [b"", b"Basic", b"Basic ???", b"Basic " + base64.b64encode(b"no colon"), b"Bearer ", b"Digest x", b"Basic \xff"],
)
def test_a_header_that_is_neither_is_told_so(header):
    with pytest.raises(Unauthenticated, match="Authorization header"):
        read(header)


def test_a_password_may_hold_colons_and_any_letters():
    assert read(b"basic " + base64.b64encode("zoë:a:ß b".encode())) == Basic("zoë", "a:ß b")
    assert read(b"bearer  lgt_x ") == Bearer("lgt_x")
