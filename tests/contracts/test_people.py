"""What the rows of people promise: the same names, grants, tokens and failed logins on every database."""

from __future__ import annotations

from datetime import timedelta

import pytest

from lockgate.adapters.sql.store import SqlStore
from lockgate.domain.access import Grant, Person, Role, Token, narrowed, person_name
from lockgate.domain.errors import NotFound
from lockgate.domain.identity import PERSON, SERVICE, Who
from lockgate.usecases.access_ports import Counted
from tests.contracts.makers import T0

BOSS = Who("boss", verified=True)
FRAUD, ALL = Grant(Role.APPROVER, "fraud-*"), Grant(Role.CONTRIBUTOR)
DAY, MINUTE = timedelta(days=1), timedelta(minutes=1)


def person(name: str, *grants: Grant, kind: str = PERSON) -> Person:
    return Person(name, kind, T0, "boss", tuple(sorted(grants)))


def token(id: str, owner: str, *roles: Role, pattern: str = "*", at: timedelta = timedelta()) -> Token:
    return Token(id, owner, "a label", frozenset(roles), pattern, T0 + at, "boss", T0 + at + DAY)


def add(store: SqlStore, *people: Person) -> None:
    with store.writing(None) as work:
        for each in people:
            work.people.add(each, BOSS)


@pytest.fixture
def two(store: SqlStore) -> SqlStore:
    add(store, person("Zoë", FRAUD, ALL), person("ci", ALL, kind=SERVICE))
    return store


def test_at_first_there_is_nobody(store: SqlStore) -> None:
    with store.reading() as work:
        assert not work.people.any()
        assert work.people.all() == []
        assert work.people.get("ana") is None
        assert work.people.credentials("ana") is None
        assert work.people.grants_of("ana") == ()
        assert work.people.roles_of(["ana"], "fraud") == {}
        assert work.people.tokens() == []
        assert work.people.token_of("sha256:0") is None


def test_people_are_read_back_as_they_were_added(two: SqlStore) -> None:
    with two.reading() as work:
        assert work.people.any()
        assert work.people.all() == [person("Zoë", FRAUD, ALL), person("ci", ALL, kind=SERVICE)]
        assert work.people.get("Zoë") == person("Zoë", FRAUD, ALL)


def test_a_name_is_compared_letter_by_letter(two: SqlStore) -> None:
    with two.reading() as work:
        for name in ("zoë", "ZOË", "Zoe", "Zoë ", "", "a\x00b", "' OR 1=1 --", "%"):
            assert work.people.get(name) is None, name
            assert work.people.credentials(name) is None, name


def test_a_name_that_only_looks_the_same_is_found(two: SqlStore) -> None:
    with two.reading() as work:
        assert [work.people.alike(name) for name in ("zoë", "ZOË", "Zoe\u0308")] == ["Zoë"] * 3
        assert work.people.alike("zoe") is None


def test_what_somebody_has_is_what_they_were_given_and_still_have(two: SqlStore) -> None:
    admin = Grant(Role.ADMIN)
    with two.writing(None) as work:
        work.people.grant("Zoë", admin, BOSS, T0)
        work.people.revoke("Zoë", ALL)
    with two.reading() as work:
        assert work.people.grants_of("Zoë") == (admin, FRAUD)
        assert work.people.grants_of("ci") == (ALL,)


def test_whoever_is_disabled_has_nothing_until_they_are_enabled_again(two: SqlStore) -> None:
    with two.writing(None) as work:
        work.people.set_disabled("Zoë", T0)
    with two.reading() as work:
        assert work.people.grants_of("Zoë") == ()
        assert work.people.roles_of(["Zoë", "ci", "nobody"], "fraud-eu") == {
            "ci": frozenset({Role.CONTRIBUTOR, Role.VIEWER})
        }
        found = work.people.get("Zoë")
        assert found is not None
        assert (found.disabled_at, found.grants) == (T0, (FRAUD, ALL))
    with two.writing(None) as work:
        work.people.set_disabled("Zoë", None)
    with two.reading() as work:
        assert work.people.grants_of("Zoë") == (FRAUD, ALL)


def test_roles_are_those_that_reach_the_model_and_what_they_contain(two: SqlStore) -> None:
    add(two, person("ben"))
    with two.reading() as work:
        assert work.people.roles_of(["Zoë", "ben"], "fraud-eu") == {
            "Zoë": frozenset({Role.APPROVER, Role.CONTRIBUTOR, Role.VIEWER}),
            "ben": frozenset(),
        }
        assert work.people.roles_of(["Zoë"], "churn") == {"Zoë": frozenset({Role.CONTRIBUTOR, Role.VIEWER})}


def test_a_password_is_kept_beside_its_person(two: SqlStore) -> None:
    with two.writing(None) as work:
        work.people.set_password("Zoë", "$argon2id$…", must_change=True, at=T0)
    with two.reading() as work:
        found = work.people.credentials("Zoë")
        assert found is not None
        assert (found.password, found.person.must_change, found.person.has_password) == ("$argon2id$…", True, True)
        assert "argon2id" not in repr(found.person)


def test_changing_somebody_who_is_not_there_is_an_error(store: SqlStore) -> None:
    with pytest.raises(NotFound), store.writing(None) as work:
        work.people.set_disabled("ana", T0)
    with pytest.raises(NotFound), store.writing(None) as work:
        work.people.grant("ana", ALL, BOSS, T0)


def test_a_token_keeps_no_more_of_its_persons_grants_than_it_names(two: SqlStore) -> None:
    narrow = token("tok-1", "Zoë", Role.VIEWER, pattern="churn")
    with two.writing(None) as work:
        work.people.add_token(narrow, "sha256:1", BOSS)
    with two.reading() as work:
        assert work.people.token_of("sha256:1") == narrow
        assert work.people.token("tok-1") == narrow
        assert work.people.grants_of("Zoë", "tok-1") == narrowed((FRAUD, ALL), {Role.VIEWER}, "churn")
        assert work.people.grants_of("ci", "tok-1") == (), "it is another's"
        assert work.people.grants_of("Zoë", "tok-2") == (), "it is not there"


def test_a_revoked_token_keeps_nothing_and_stays_as_it_was_revoked_first(two: SqlStore) -> None:
    with two.writing(None) as work:
        work.people.add_token(token("tok-1", "Zoë", Role.VIEWER), "sha256:1", BOSS)
        work.people.revoke_tokens(["tok-1"], T0 + MINUTE)
        work.people.revoke_tokens(["tok-1"], T0 + DAY)
    with two.reading() as work:
        assert work.people.grants_of("Zoë", "tok-1") == ()
        found = work.people.token("tok-1")
        assert found is not None
        assert found.revoked_at == T0 + MINUTE


def test_tokens_are_listed_newest_first_of_one_or_of_all(two: SqlStore) -> None:
    with two.writing(None) as work:
        work.people.add_token(token("tok-1", "Zoë", Role.VIEWER), "sha256:1", BOSS)
        work.people.add_token(token("tok-2", "ci", Role.VIEWER, at=MINUTE), "sha256:2", BOSS)
    with two.reading() as work:
        assert [each.id for each in work.people.tokens()] == ["tok-2", "tok-1"]
        assert [each.id for each in work.people.tokens("Zoë")] == ["tok-1"]


def test_the_last_use_of_a_token_never_goes_back(two: SqlStore) -> None:
    with two.writing(None) as work:
        work.people.add_token(token("tok-1", "Zoë", Role.VIEWER), "sha256:1", BOSS)
        work.people.used("tok-1", T0 + MINUTE)
        work.people.used("tok-1", T0)
    with two.reading() as work:
        found = work.people.token("tok-1")
        assert found is not None
        assert found.used_at == T0 + MINUTE


def test_an_id_that_no_token_can_have_is_no_token(two: SqlStore) -> None:
    with two.reading() as work:
        assert work.people.token("tok\x001") is None
        assert work.people.grants_of("Zoë", "tok\x001") == ()


def test_an_address_without_end_is_counted_all_the_same(store: SqlStore) -> None:
    address = "f" * 300
    with store.changing() as work:
        work.people.failed("ana", address, T0)
    with store.reading() as work:
        assert work.people.failures("ana", address, T0 - MINUTE).both.number == 1


def test_the_longest_names_there_can_be_are_kept(store: SqlStore) -> None:
    names = ("x" * 200, "李" * 200, "\U0001f512" * 200, "ﬃ" * 150)
    add(store, *(person(person_name(name)) for name in names))
    with store.reading() as work:
        assert {each.name for each in work.people.all()} == set(names)


def test_failures_are_counted_by_name_by_address_and_by_both(store: SqlStore) -> None:
    with store.changing() as work:
        for at, (name, address) in enumerate([("ana", "a"), ("ana", "b"), ("ANA", "a"), ("ben", "a")]):
            work.people.failed(name, address, T0 + at * MINUTE)
    with store.reading() as work:
        found = work.people.failures("ana", "a", T0 - MINUTE)
        assert (found.both, found.name, found.address) == (Counted(2, T0), Counted(3, T0), Counted(3, T0))
        later = work.people.failures("ana", "a", T0)
        assert (later.both, later.name) == (Counted(1, T0 + 2 * MINUTE), Counted(2, T0 + MINUTE))
        assert work.people.failures("nobody", "nowhere", T0 - MINUTE).both == Counted(0, None)


def test_old_failures_are_forgotten_and_those_of_who_logged_in(store: SqlStore) -> None:
    with store.changing() as work:
        for name, address, at in (
            ("ana", "a", T0),
            ("ana", "a", T0 + DAY),
            ("ana", "b", T0 + DAY),
            ("ben", "a", T0 + DAY),
        ):
            work.people.failed(name, address, at)
        work.people.forget_failures(before=T0 + MINUTE, name="ana", address="a")
    with store.reading() as work:
        found = work.people.failures("ana", "a", T0 - MINUTE)
        assert (found.both.number, found.name.number, found.address.number) == (0, 1, 1)


def test_what_was_typed_where_the_name_belongs_is_not_kept(store: SqlStore) -> None:
    from sqlalchemy import text

    with store.changing() as work:
        work.people.failed("correct horse battery", "a", T0)
    with store.engine.connect() as connection:
        kept = connection.execute(text("SELECT name FROM lockgate_failed_logins")).scalar_one()
    assert kept.startswith("sha256:")
