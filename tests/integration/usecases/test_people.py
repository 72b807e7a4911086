"""People, logins and tokens as the use cases promise them, with a clock that a test moves."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta

import pytest

from lockgate.domain.access import Act, Grant, Role, allowed
from lockgate.domain.errors import BadInput, Conflict, Forbidden, LockgateError, NotFound, Unauthenticated
from lockgate.domain.identity import SERVICE, Who
from lockgate.domain.newcomers import Newcomer
from lockgate.testing.passwords import OpenPasswords
from lockgate.usecases import import_people, login, people, tokens
from lockgate.usecases.ports import Ports, Recorded
from tests.databases.backends import on_sqlite
from tests.integration.usecases.world import HandClock, World

pytestmark = on_sqlite

PASSWORDS = OpenPasswords()
HERE, THERE = "192.0.2.1", "192.0.2.2"
CLAIM = Who("whoever", via="cli")
GOOD = "four words nobody chose"
ON_FRAUD = Grant(Role.CONTRIBUTOR, "fraud-*")


@dataclass
class Office:
    """A node whose first administrator is `boss`, logged in."""

    world: World
    boss: Who

    @property
    def ports(self) -> Ports:
        return self.world.ports

    @property
    def clock(self) -> HandClock:
        return self.world.clock

    def add(self, name: str, *grants: Grant, password: str = GOOD, kind: str = "person") -> Who:
        """Somebody who has replaced their one-time password and is logged in."""
        added = people.add(self.ports, PASSWORDS, name, self.boss, kind=kind, grants=grants)
        if added.one_time is None:
            return Who(name, verified=True, kind=SERVICE)
        who = login.by_password(self.ports, PASSWORDS, name, added.one_time, HERE).who
        people.change_password(self.ports, PASSWORDS, who, added.one_time, password)
        return who

    def login(self, name: str, password: str, address: str = HERE) -> login.Identified:
        return login.by_password(self.ports, PASSWORDS, name, password, address)

    def record(self, action: str) -> list[Recorded]:
        with self.ports.store.reading() as work:
            return list(work.record.read(action=action))


@pytest.fixture
def open_mode(world: Callable[[], World]) -> Ports:
    return world().ports


@pytest.fixture
def office(world: Callable[[], World]) -> Office:
    built = world()
    added = people.add(built.ports, PASSWORDS, "boss", CLAIM)
    assert added.one_time is not None
    who = login.by_password(built.ports, PASSWORDS, "boss", added.one_time, HERE).who
    people.change_password(built.ports, PASSWORDS, who, added.one_time, GOOD)
    return Office(built, who)


# --- the first one ----------------------------------------------------------------------------------------------------


def test_the_first_person_becomes_the_administrator_and_the_second_does_not(open_mode: Ports) -> None:
    first = people.add(open_mode, PASSWORDS, "ana", CLAIM, grants=[ON_FRAUD])

    assert first.person.grants == (Grant(Role.ADMIN), ON_FRAUD)
    second = people.add(open_mode, PASSWORDS, "ben", Who("ana", verified=True))
    assert second.person.grants == ()


def test_from_the_first_person_on_a_claimed_name_is_let_in_nowhere(office: Office) -> None:
    acts: list[Callable[[], object]] = [
        lambda: people.add(office.ports, PASSWORDS, "eve", CLAIM),
        lambda: people.listed(office.ports, CLAIM),
        lambda: people.grant(office.ports, "boss", Grant(Role.VIEWER), Who("boss")),
        lambda: tokens.create(office.ports, Who("boss")),
        lambda: tokens.listed(office.ports, Who("boss"), "boss"),
        lambda: people.change_password(office.ports, PASSWORDS, Who("boss"), GOOD, GOOD + "!"),
    ]
    for act in acts:
        with pytest.raises(Unauthenticated):
            act()


def test_a_service_account_is_nobodys_first_administrator(open_mode: Ports) -> None:
    with pytest.raises(BadInput, match="must be a person"):
        people.add(open_mode, PASSWORDS, "ci", CLAIM, kind=SERVICE)
    assert not people.any_people(open_mode)


def test_the_first_administrator_is_made_once(open_mode: Ports) -> None:
    one_time = people.first_admin(open_mode, PASSWORDS)

    assert one_time is not None
    assert people.first_admin(open_mode, PASSWORDS) is None
    found = login.by_password(open_mode, PASSWORDS, "admin", one_time, HERE)
    assert found.must_change
    assert found.grants == (Grant(Role.ADMIN),)


def test_the_last_administrator_stays_one(office: Office) -> None:
    office.add("ana", Grant(Role.ADMIN, "fraud-*"))
    office.add("robot", Grant(Role.ADMIN), kind=SERVICE)
    for act in (
        lambda: people.disable(office.ports, "boss", office.boss),
        lambda: people.revoke(office.ports, "boss", Grant(Role.ADMIN), office.boss),
    ):
        with pytest.raises(Conflict, match="last administrator"):
            act()

    people.grant(office.ports, "ana", Grant(Role.ADMIN), office.boss)
    people.disable(office.ports, "boss", office.boss)
    with pytest.raises(Conflict, match="last administrator"):
        people.disable(office.ports, "ana", Who("ana", verified=True))


def test_an_administrator_is_let_in_again_by_who_holds_the_database_and_nobody_else_is(office: Office) -> None:
    office.add("ana", Grant(Role.ADMIN, "fraud-*"))
    one_time = people.recover(office.ports, PASSWORDS, "boss", CLAIM, "forgotten")

    assert office.login("boss", one_time).must_change
    (entry,) = office.record("people:recovered")
    assert (entry.plain["who"]["name"], entry.plain["reason"]) == ("whoever", "forgotten")  # type: ignore[index,call-overload]
    for name, reason, error in (("ana", "x", Conflict), ("nobody", "x", NotFound), ("boss", " ", BadInput)):
        with pytest.raises(error):
            people.recover(office.ports, PASSWORDS, name, CLAIM, reason)


# --- names ------------------------------------------------------------------------------------------------------------


def test_two_names_that_look_the_same_are_not_both_taken(office: Office) -> None:
    office.add("José")
    for name in ("josé", "JOSÉ", "Jose\u0301"):
        with pytest.raises(Conflict, match="José"):
            people.add(office.ports, PASSWORDS, name, office.boss)


@pytest.mark.parametrize("name", ["", "a:b", "a\nb", "a\x00b", "anonymous", "x" * 201])
def test_a_name_that_cannot_be_changes_nothing(office: Office, name: str) -> None:
    with pytest.raises(BadInput):
        people.add(office.ports, PASSWORDS, name, office.boss)
    assert [person.name for person in people.listed(office.ports, office.boss)] == ["boss"]


def test_a_quote_in_a_name_is_a_letter_like_any_other(office: Office) -> None:
    name = "Robert'); DROP TABLE lockgate_people;--"
    office.add(name)

    assert office.login(name, GOOD).who.name == name


def test_whoever_is_meant_is_named_when_only_capitals_differ(office: Office) -> None:
    office.add("Ana")
    with pytest.raises(NotFound, match="Did you mean Ana"):
        people.shown(office.ports, "ana", office.boss)


# --- logging in -------------------------------------------------------------------------------------------------------


def test_a_wrong_name_and_a_wrong_password_are_refused_in_the_same_words(office: Office) -> None:
    office.add("ci", kind=SERVICE, password="")
    office.add("gone")
    people.disable(office.ports, "gone", office.boss)
    said = set()
    for name, password in [
        ("boss", "wrong"),
        ("nobody", GOOD),
        ("ci", GOOD),
        ("gone", GOOD),
        ("a\x00b", GOOD),
        ("", ""),
    ]:
        with pytest.raises(Unauthenticated) as refusal:
            office.login(name, password)
        said.add(str(refusal.value))
    assert len(said) == 1


def test_an_unknown_name_takes_the_same_comparison_as_a_known_one(office: Office) -> None:
    """Whoever is not to be let in at all is compared with nobody's password, so that names cannot be told apart."""

    class Counting(OpenPasswords):
        asked: list[str | None] = []  # noqa: RUF012 - read by the test

        def fits(self, kept: str | None, password: str) -> bool:
            self.asked.append(kept)
            return super().fits(kept, password)

    office.add("ci", kind=SERVICE)
    office.add("gone")
    people.disable(office.ports, "gone", office.boss)
    for name in ("nobody", "ci", "gone", "a\nb", "boss"):
        with pytest.raises(Unauthenticated):
            login.by_password(office.ports, Counting(), name, "wrong", HERE)

    assert Counting.asked == [None, None, None, None, "kept:" + GOOD]


def test_a_password_is_the_same_however_its_letters_are_composed(office: Office) -> None:
    office.add("ana", password="Größe über alles")

    assert office.login("ana", "Gro\u0308ße u\u0308ber alles").who == Who("ana", verified=True)


def test_ten_wrong_passwords_from_one_address_are_enough_for_five_minutes(office: Office) -> None:
    for _ in range(login.MOST_BOTH):
        with pytest.raises(Unauthenticated) as refusal:
            office.login("boss", "wrong")
        assert refusal.value.wait == 0

    with pytest.raises(Unauthenticated) as refusal:
        office.login("boss", GOOD)
    assert refusal.value.wait == pytest.approx(300)
    assert office.login("boss", GOOD, THERE).who.name == "boss", "another address is not the attacker's"
    office.clock.forward(minutes=5)
    assert office.login("boss", GOOD).who.name == "boss"
    (entry,) = office.record("people:locked")
    assert entry.plain["who"]["name"] == "boss"  # type: ignore[index,call-overload]
    assert entry.plain["who"]["verified"] is False  # type: ignore[index,call-overload]


def test_servers_of_one_database_count_together(office: Office) -> None:
    other = office.world.ports_of("second")
    for turn in range(login.MOST_BOTH):
        with pytest.raises(Unauthenticated):
            login.by_password(other if turn % 2 else office.ports, PASSWORDS, "boss", "wrong", HERE)
    for ports in (office.ports, other):
        with pytest.raises(Unauthenticated, match="too many"):
            login.by_password(ports, PASSWORDS, "boss", GOOD, HERE)


def test_guessing_many_names_from_one_address_ends_too_and_the_names_are_not_told(office: Office) -> None:
    for number in range(login.MOST_ADDRESS):
        with pytest.raises(Unauthenticated):
            office.login(f"guess-{number}", "wrong")
    with pytest.raises(Unauthenticated, match="too many"):
        office.login("boss", GOOD)
    (entry,) = office.record("people:locked")
    assert entry.plain["who"]["name"] == "anonymous"  # type: ignore[index,call-overload]
    assert "guess" not in entry.linked.text


def test_a_good_login_forgets_the_wrong_ones_before_it(office: Office) -> None:
    for _ in range(3):
        for _ in range(login.MOST_BOTH - 1):
            with pytest.raises(Unauthenticated):
                office.login("boss", "wrong")
        office.login("boss", GOOD)


def test_a_token_works_while_passwords_are_not_looked_at(office: Office) -> None:
    secret = tokens.create(office.ports, office.boss).secret
    for _ in range(login.MOST_BOTH):
        with pytest.raises(Unauthenticated):
            office.login("boss", "wrong")

    assert login.by_token(office.ports, secret, HERE).who.name == "boss"


def test_a_one_time_password_has_to_be_replaced_and_is_then_worth_nothing(office: Office) -> None:
    office.add("ana")
    reset = people.reset_password(office.ports, PASSWORDS, "ana", office.boss, "forgotten")
    assert reset.one_time is not None
    with pytest.raises(Unauthenticated):
        office.login("ana", GOOD)
    came = office.login("ana", reset.one_time)
    assert came.must_change
    people.change_password(office.ports, PASSWORDS, came.who, reset.one_time, "another good one")

    assert not office.login("ana", "another good one").must_change
    with pytest.raises(Unauthenticated):
        office.login("ana", reset.one_time)


@pytest.mark.parametrize(
    "weak", ["", "short", "x" * 1025, "aaaaaaaaaaaaaaaa", "anaanaanaana", GOOD, "twelve chars\ud800"]
)
def test_a_weak_password_is_not_taken(office: Office, weak: str) -> None:
    ana = office.add("ana")
    with pytest.raises(BadInput):
        people.change_password(office.ports, PASSWORDS, ana, GOOD, weak)
    assert office.login("ana", GOOD).who == ana


def test_ones_own_password_is_not_replaced_without_the_old_one(office: Office) -> None:
    with pytest.raises(Unauthenticated):
        people.change_password(office.ports, PASSWORDS, office.boss, "wrong", "another good one")
    assert office.login("boss", GOOD).who.name == "boss"


# --- roles ------------------------------------------------------------------------------------------------------------


def test_only_who_may_manage_people_does(office: Office) -> None:
    for role in (Role.VIEWER, Role.CONTRIBUTOR, Role.APPROVER, Role.OPERATOR):
        who = office.add(f"a-{role}", Grant(role))
        with pytest.raises(Forbidden, match="the role admin on all models"):
            people.grant(office.ports, who.name, Grant(Role.ADMIN), who)
    office.add("half", Grant(Role.ADMIN, "fraud-*"))
    with pytest.raises(Forbidden):
        people.add(office.ports, PASSWORDS, "eve", Who("half", verified=True))
    assert {entry.plain["detail"]["asked"] for entry in office.record("access:refused")} == {  # type: ignore[index,call-overload]
        "users grant",
        "users add",
    }


def test_a_role_is_taken_away_as_it_was_given(office: Office) -> None:
    office.add("ana", ON_FRAUD)
    with pytest.raises(NotFound, match="contributor on fraud-"):
        people.revoke(office.ports, "ana", Grant(Role.CONTRIBUTOR), office.boss)
    assert people.revoke(office.ports, "ana", ON_FRAUD, office.boss).grants == ()


def test_a_service_account_cannot_be_made_an_approver(office: Office) -> None:
    with pytest.raises(BadInput, match="service account"):
        people.add(office.ports, PASSWORDS, "ci", office.boss, kind=SERVICE, grants=[Grant(Role.APPROVER)])
    office.add("ci", ON_FRAUD, kind=SERVICE)
    with pytest.raises(BadInput, match="service account"):
        people.grant(office.ports, "ci", Grant(Role.APPROVER, "fraud"), office.boss)


def test_each_change_is_on_the_record_once_and_a_change_that_changes_nothing_is_not(office: Office) -> None:
    office.add("ana")
    for _ in range(2):
        people.grant(office.ports, "ana", ON_FRAUD, office.boss)
        people.disable(office.ports, "ana", office.boss, "left")
    for _ in range(2):
        people.enable(office.ports, "ana", office.boss, "back")
    (granted,) = office.record("people:granted")
    (disabled,) = office.record("people:disabled")
    (enabled,) = office.record("people:enabled")

    assert (granted.plain["before"], granted.plain["after"]) == ("no role", "contributor on fraud-*")
    assert (disabled.plain["before"], disabled.plain["after"]) == ("active", "disabled")
    assert (disabled.plain["reason"], enabled.plain["reason"]) == ("left", "back")
    assert granted.plain["detail"] == {"person": "ana", "kind": "person"}


def test_no_secret_is_on_the_record(office: Office) -> None:
    added = people.add(office.ports, PASSWORDS, "ana", office.boss)
    made = tokens.create(office.ports, office.boss)
    with office.ports.store.reading() as work:
        told = "".join(entry.linked.text for entry in work.record.read(limit=1000))

    assert added.one_time is not None
    assert all(secret not in told for secret in (GOOD, added.one_time, made.secret, login.secret_digest(made.secret)))


# --- tokens -----------------------------------------------------------------------------------------------------------


def test_a_token_comes_in_as_its_person_with_what_it_keeps(office: Office) -> None:
    office.add("ana", Grant(Role.OPERATOR), ON_FRAUD)
    ana = Who("ana", verified=True)
    made = tokens.create(office.ports, ana, roles=[Role.CONTRIBUTOR], pattern="*-eu", label="laptop")
    came = login.by_token(office.ports, made.secret, HERE)

    assert made.secret.startswith("lgt_")
    assert came.who == ana
    assert came.who.token == made.token.id
    assert allowed(came.grants, Act.WRITE, "fraud-eu")
    assert not allowed(came.grants, Act.WRITE, "fraud-us")
    assert not allowed(came.grants, Act.OPERATE, "fraud-eu")


def test_a_token_loses_what_its_person_loses(office: Office) -> None:
    ana = office.add("ana", ON_FRAUD)
    secret = tokens.create(office.ports, ana).secret
    people.revoke(office.ports, "ana", ON_FRAUD, office.boss)

    assert login.by_token(office.ports, secret, HERE).grants == ()


@pytest.mark.parametrize("roles", [[Role.ADMIN], [Role.CONTRIBUTOR, Role.APPROVER]])
def test_a_token_cannot_be_given_what_its_person_has_not(office: Office, roles: list[Role]) -> None:
    ana = office.add("ana", ON_FRAUD)
    with pytest.raises(BadInput, match="only what its person has"):
        tokens.create(office.ports, ana, roles=roles)


def test_a_token_of_somebody_disabled_is_good_again_only_when_they_are(office: Office) -> None:
    ana = office.add("ana", ON_FRAUD)
    secret = tokens.create(office.ports, ana).secret
    people.disable(office.ports, "ana", office.boss)
    with pytest.raises(Unauthenticated, match="disabled"):
        login.by_token(office.ports, secret, HERE)
    people.enable(office.ports, "ana", office.boss)
    assert login.by_token(office.ports, secret, HERE).who == ana


def test_an_expired_and_a_revoked_token_are_refused_and_say_so(office: Office) -> None:
    ana = office.add("ana", ON_FRAUD)
    short, long = (tokens.create(office.ports, ana, expires_in=timedelta(days=days)) for days in (1, 30))
    office.clock.forward(days=1)
    with pytest.raises(Unauthenticated, match="expired on 2026-03-02"):
        login.by_token(office.ports, short.secret, HERE)
    tokens.revoke(office.ports, long.token.id, ana, "lost")
    with pytest.raises(Unauthenticated, match="revoked"):
        login.by_token(office.ports, long.secret, HERE)
    (entry,) = office.record("token:revoked")
    assert (entry.plain["before"], entry.plain["after"], entry.plain["reason"]) == ("active", "revoked", "lost")


@pytest.mark.parametrize("secret", ["", "lgt_", "lgt_" + "x" * 43, "ghp_x", "lgt_\ud800", "lgt_' OR 1=1 --"])
def test_what_is_no_token_is_refused(office: Office, secret: str) -> None:
    with pytest.raises(Unauthenticated):
        login.by_token(office.ports, secret, HERE)


def test_a_token_of_somebody_with_a_one_time_password_waits_for_it_to_be_replaced(office: Office) -> None:
    ana = office.add("ana", ON_FRAUD)
    secret = tokens.create(office.ports, ana).secret
    people.reset_password(office.ports, PASSWORDS, "ana", office.boss)

    assert login.by_token(office.ports, secret, HERE).must_change


def test_the_last_use_of_a_token_is_written_once_a_minute(office: Office) -> None:
    made = tokens.create(office.ports, office.boss)
    seen = []
    for _ in range(3):
        login.by_token(office.ports, made.secret, HERE)
        seen.append(tokens.listed(office.ports, office.boss, "boss")[0].used_at)
        office.clock.forward(seconds=40)

    assert seen[0] == seen[1] != seen[2]


def test_nobody_makes_a_token_for_another_person_an_administrator_not_either(office: Office) -> None:
    ana = office.add("ana", ON_FRAUD)
    with pytest.raises(Forbidden, match="only they can make it"):
        tokens.create(office.ports, office.boss, person="ana")
    with pytest.raises(Forbidden):
        tokens.create(office.ports, ana, person="boss")


def test_an_administrator_makes_a_service_accounts_token_and_it_makes_none(office: Office) -> None:
    ana = office.add("ana", ON_FRAUD)
    office.add("ci", ON_FRAUD, kind=SERVICE)
    with pytest.raises(Forbidden):
        tokens.create(office.ports, ana, person="ci")
    came = login.by_token(office.ports, tokens.create(office.ports, office.boss, person="ci").secret, HERE)

    assert came.who.kind == SERVICE
    with pytest.raises(Forbidden, match="cannot make another"):
        tokens.create(office.ports, came.who)


def test_a_narrow_token_of_an_administrator_manages_nobody(office: Office) -> None:
    made = tokens.create(office.ports, office.boss, roles=[Role.VIEWER])
    narrow = login.by_token(office.ports, made.secret, HERE).who
    half = login.by_token(office.ports, tokens.create(office.ports, office.boss, pattern="fraud-*").secret, HERE).who
    for who in (narrow, half):
        for act in (
            lambda who=who: people.grant(office.ports, "boss", Grant(Role.VIEWER), who),
            lambda who=who: tokens.create(office.ports, who),
            lambda who=who: tokens.listed(office.ports, who),
        ):
            with pytest.raises(Forbidden):
                act()


def test_another_persons_tokens_are_not_to_be_seen_or_revoked(office: Office) -> None:
    ana, ben = office.add("ana", ON_FRAUD), office.add("ben", ON_FRAUD)
    made = tokens.create(office.ports, ana)
    for act in (
        lambda: tokens.listed(office.ports, ben, "ana"),
        lambda: tokens.listed(office.ports, ben),
        lambda: tokens.revoke(office.ports, made.token.id, ben),
        lambda: tokens.revoke(office.ports, "tok-none", ben),
        lambda: tokens.revoke_all(office.ports, "ana", ben),
    ):
        with pytest.raises(Forbidden):
            act()
    assert [each.id for each in tokens.revoke_all(office.ports, "ana", office.boss)] == [made.token.id]
    assert tokens.revoke_all(office.ports, "ana", office.boss) == []


@pytest.mark.parametrize("length", [timedelta(), timedelta(seconds=59), timedelta(days=367), timedelta(days=-1)])
def test_a_token_lasts_a_minute_at_least_and_a_year_at_most(office: Office, length: timedelta) -> None:
    with pytest.raises(BadInput):
        tokens.create(office.ports, office.boss, expires_in=length)


def test_somebody_without_a_role_gets_no_token(office: Office) -> None:
    with pytest.raises(BadInput, match="no role yet"):
        tokens.create(office.ports, office.add("ana"))


# --- coming from elsewhere --------------------------------------------------------------------------------------------


def bring(office: Office, *newcomers: Newcomer, try_only: bool = False) -> list[import_people.Brought]:
    ports, boss = office.ports, office.boss
    return list(import_people.bring(ports, PASSWORDS, newcomers, boss, "mlflow", try_only=try_only))


def test_a_password_from_elsewhere_stays_good_and_is_kept_in_our_form_after_a_login(office: Office) -> None:
    (brought,) = bring(office, Newcomer("ana", grants=(ON_FRAUD,), password="theirs:" + GOOD))

    assert (brought.outcome, brought.grants, brought.one_time) == ("added", (ON_FRAUD,), None)
    assert not office.login("ana", GOOD).must_change
    with office.ports.store.reading() as work:
        kept = work.people.credentials("ana")
    assert kept is not None
    assert kept.password == "kept:" + GOOD
    assert office.login("ana", GOOD).who.name == "ana"


def test_a_short_password_from_elsewhere_lets_its_owner_in_to_replace_it(office: Office) -> None:
    bring(office, Newcomer("ana", password="theirs:short"))

    assert office.login("ana", "short").must_change
    assert office.login("ana", "short").must_change, "the second time as well"


def test_whoever_brings_no_password_gets_a_one_time_one_and_a_program_none(office: Office) -> None:
    ana, ben, ci = bring(office, Newcomer("ana"), Newcomer("ben", password="md5:x"), Newcomer("ci", SERVICE))

    assert ana.one_time is not None
    assert office.login("ana", ana.one_time).must_change
    assert ben.one_time is not None
    assert ci.one_time is None


def test_whoever_is_here_is_given_what_they_lack_and_keeps_their_password(office: Office) -> None:
    office.add("ana", ON_FRAUD)
    both = Newcomer("ana", grants=(ON_FRAUD, Grant(Role.VIEWER)), password="theirs:other")

    assert [(each.outcome, each.grants) for each in bring(office, both)] == [("granted", (Grant(Role.VIEWER),))]
    assert [each.outcome for each in bring(office, both)] == ["unchanged"]
    assert office.login("ana", GOOD).grants == (ON_FRAUD, Grant(Role.VIEWER))


def test_if_one_cannot_be_brought_nobody_is_and_a_trial_says_which(office: Office) -> None:
    crowd = [Newcomer("ana"), Newcomer("a:b"), Newcomer("BOSS"), Newcomer("ci", SERVICE, (Grant(Role.APPROVER),))]

    assert [each.outcome for each in bring(office, *crowd, try_only=True)] == ["added", *["refused"] * 3]
    with pytest.raises(BadInput, match="3 cannot be brought") as wrong:
        bring(office, *crowd)
    assert "a:b" in str(wrong.value)
    assert [person.name for person in people.listed(office.ports, office.boss)] == ["boss"]
    assert office.record("people:added")[0].plain["detail"]["person"] == "boss"  # type: ignore[index,call-overload]


def test_a_trial_changes_nothing(office: Office) -> None:
    assert [each.outcome for each in bring(office, Newcomer("ana", grants=(ON_FRAUD,)), try_only=True)] == ["added"]
    assert [person.name for person in people.listed(office.ports, office.boss)] == ["boss"]


def test_the_first_who_come_must_have_an_administrator_among_them(open_mode: Ports) -> None:
    def come(*newcomers: Newcomer) -> object:
        return import_people.bring(open_mode, PASSWORDS, newcomers, CLAIM, "mlflow")

    with pytest.raises(BadInput, match="administrator"):
        come(Newcomer("ana", grants=(ON_FRAUD,)))
    assert not people.any_people(open_mode)
    come(Newcomer("ana", grants=(Grant(Role.ADMIN),)), Newcomer("ben"))
    assert people.any_people(open_mode)


def test_only_an_administrator_brings_anybody(office: Office) -> None:
    ana = office.add("ana", Grant(Role.OPERATOR))
    with pytest.raises(Forbidden):
        import_people.bring(office.ports, PASSWORDS, [Newcomer("eve", grants=(Grant(Role.ADMIN),))], ana, "x")


@pytest.mark.parametrize("many", [0, import_people.MOST_AT_ONCE + 1])
def test_nobody_and_a_crowd_are_not_brought_at_once(office: Office, many: int) -> None:
    with pytest.raises(LockgateError):
        bring(office, *(Newcomer(f"n{number}") for number in range(many)))
