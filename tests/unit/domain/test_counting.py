"""Which yeses count, whatever people do: never the requester's, one a person, and none that has ended."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from datetime import timedelta
from itertools import permutations
from typing import Any, ClassVar

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lockgate.domain.approvals import Asked, Decision, Delegation, RequestState, Tally, expired, tally
from lockgate.domain.consent import approval_gate
from lockgate.domain.evidence import plan_digest
from lockgate.domain.identity import Who
from lockgate.domain.policy import ApprovalRule, Team
from lockgate.domain.verdict import Gate, Level, Standing
from tests.unit.domain.cases import ANN, BEA, EVIDENCE, NOW, RULES, decision, request

PLAN = "sha256:" + "1" * 64
HOUR, DAY = timedelta(hours=1), timedelta(days=1)
PEOPLE = ["ann", "Ann", "bea", "cem", "dev", "eli"]  # ann asked; Ann is ann
ROLES = [frozenset[str](), frozenset({"viewer"}), frozenset({"viewer", "approver"}), frozenset({"viewer", "legal"})]

names = st.sampled_from(PEOPLE)
times = st.integers(-72, 3).map(lambda hours: NOW + hours * HOUR)
yeses = st.builds(
    Decision,
    approved=st.just(True),
    who=names.map(lambda name: Who(name, verified=True)),
    comment=st.just(""),
    at=times,
    plan_digest=st.sampled_from([PLAN, PLAN, "sha256:old"]),
    behalf=st.one_of(st.just(""), names),
    withdrawn_at=st.sampled_from([None, None, NOW]),
)
teams = st.builds(
    Team,
    role=st.sampled_from(["", "approver", "legal"]),
    people=st.lists(names, max_size=3).map(tuple),
    approvals=st.integers(1, 2),
)
rules = st.builds(
    ApprovalRule,
    approvals=st.integers(1, 3),
    roles=st.sampled_from([(), ("approver",), ("approver", "legal")]),
    not_the_requester=st.booleans(),
    teams=st.lists(teams, max_size=3).map(tuple),
    expires=st.sampled_from([None, DAY]),
)
roles_now: st.SearchStrategy[dict[str, frozenset[str]]] = st.one_of(
    st.just({}),
    st.dictionaries(names, st.sampled_from(ROLES)).map(lambda found: {n: frozenset() for n in PEOPLE} | found),
)
answers = st.lists(yeses, max_size=7)


def counted(given_: list[Decision], rule: ApprovalRule, roles: Mapping[str, frozenset[str]]) -> Tally:
    return tally(request(*given_), Asked(rule, PLAN, NOW, roles))


def people(found: Tally) -> list[str]:
    return [name for decision in found.counted for name in decision.people]


@given(answers, rules, roles_now)
def test_the_requester_never_counts_and_nobody_counts_twice(given_, rule, roles) -> None:
    found = counted(given_, rule, roles)

    assert len(set(people(found))) == len(people(found))
    if rule.not_the_requester:
        assert "ann" not in people(found)


@given(answers, rules, roles_now)
def test_what_counts_is_of_this_plan_of_this_day_was_not_taken_back_and_has_its_role(given_, rule, roles) -> None:
    for each in counted(given_, rule, roles).counted:
        assert each.plan_digest == PLAN
        assert each.withdrawn_at is None
        assert each.at <= NOW
        assert rule.expires is None or each.at + rule.expires > NOW
        if roles:
            assert roles[each.who.name]
            assert roles[each.voice] & (set(rule.roles) or {"approver", "admin"})


@given(answers, rules, roles_now, yeses)
def test_another_yes_never_takes_anything_away(given_, rule, roles, another) -> None:
    before, after = counted(given_, rule, roles), counted([*given_, another], rule, roles)

    assert after.counted[: len(before.counted)] == before.counted
    assert after.enough or not before.enough


@given(answers, rules, roles_now)
def test_every_yes_counts_or_is_told_why_not(given_, rule, roles) -> None:
    found = counted(given_, rule, roles)

    assert sorted([*found.counted, *(each for each, _ in found.ignored)], key=id) == sorted(given_, key=id)
    assert all(because for _, because in found.ignored)


@given(answers, rules, roles_now)
def test_teams_are_filled_as_well_as_anybody_could(given_, rule, roles) -> None:
    found = counted(given_, rule, roles)
    seats = [team for team in rule.teams for _ in range(team.approvals)]

    def sits(each: Decision, team: Team) -> bool:
        has_role = not team.role or team.role in roles.get(each.voice, ())
        return has_role and (not team.people or each.voice.lower() in {name.lower() for name in team.people})

    enough_people = len(found.counted) >= rule.approvals
    tried = permutations(found.counted, len(seats)) if len(seats) <= len(found.counted) else ()
    filled = any(all(map(sits, order, seats)) for order in tried) or not seats
    assert found.enough == (enough_people and filled)


@given(answers, rules, roles_now, names)
def test_who_loses_every_role_counts_no_more_and_makes_nothing_enough(given_, rule, roles, leaver) -> None:
    if not roles:
        return
    before, after = counted(given_, rule, roles), counted(given_, rule, {**roles, leaver: frozenset()})

    assert all(leaver not in (each.who.name, each.voice) for each in after.counted)
    if all(not each.behalf for each in given_):  # without stand-ins nobody's going lets another in
        others = [name for name in PEOPLE if name.lower() == leaver.lower()]
        if len(others) == 1:
            assert before.enough or not after.enough


@given(answers, rules, roles_now, st.integers(0, 6))
def test_taking_a_yes_back_makes_nothing_enough(given_, rule, roles, place) -> None:
    own = [replace(each, behalf="") for each in given_]
    if place >= len(own):
        return
    before = counted(own, rule, roles)
    back = [
        replace(each, withdrawn_at=NOW, withdrawn_because="no") if each.people == own[place].people else each
        for each in own
    ]

    after = counted(back, rule, roles)
    assert before.enough or not after.enough
    assert own[place].people.isdisjoint(people(after))


class TestTeams:
    RULE = ApprovalRule(approvals=1, teams=(Team(role="approver"), Team(people=("dana", "lee"))))
    ROLES: ClassVar = {name: frozenset({"approver"}) for name in ("ann", "bea", "dana", "lee")}

    def missing(self, *who: str) -> tuple[str, ...]:
        given_ = [decision(Who(name, verified=True), PLAN) for name in who]
        return counted(given_, self.RULE, self.ROLES).missing

    def test_several_teams_must_each_agree(self) -> None:
        assert self.missing("bea") == ("1 of dana or lee",)
        assert self.missing("bea", "lee") == ()

    def test_nobody_stands_for_two_teams(self) -> None:
        assert self.missing("dana") == ("1 of dana or lee",) or self.missing("dana") == ("1 of the role approver",)
        assert self.missing("dana", "lee") == ()

    def test_the_order_in_which_they_agree_does_not_matter(self) -> None:
        assert self.missing("dana", "bea") == self.missing("bea", "dana") == ()

    def test_a_team_is_told_as_a_sentence(self) -> None:
        assert [str(team) for team in self.RULE.teams] == ["the role approver", "dana or lee"]


class TestStandIns:
    RULE = ApprovalRule(approvals=2)
    ROLES: ClassVar = {"ann": frozenset({"approver"}), "bea": frozenset({"approver"}), "cem": frozenset({"viewer"})}

    def of(self, *given_: tuple[str, str]) -> list[str]:
        made = [replace(decision(Who(hand, verified=True), PLAN), behalf=voice) for hand, voice in given_]
        return [str(each) for each in counted(made, self.RULE, self.ROLES).counted]

    def test_the_stand_in_of_the_requester_is_the_requester(self) -> None:
        assert self.of(("cem", "ann")) == []

    def test_a_stand_in_counts_as_the_one_they_stand_in_for_and_both_names_are_told(self) -> None:
        assert self.of(("cem", "bea")) == ["cem for bea"]

    def test_who_answers_twice_is_one_person(self) -> None:
        assert self.of(("bea", ""), ("cem", "bea")) == ["bea"]

    def test_a_delegation_holds_from_its_beginning_to_its_end(self) -> None:
        given_ = Delegation("dlg-1", BEA, "cem", "away", NOW, NOW + DAY)

        assert [given_.holds(NOW + hours * HOUR) for hours in (-1, 0, 23, 24)] == [False, True, True, False]
        assert not replace(given_, ended_at=NOW).holds(NOW)


class TestTheGate:
    def gate(self, rule: ApprovalRule, *answers_: Decision, **changes: Any) -> Gate:
        rules = replace(RULES, approval=rule)
        made = [replace(each, plan_digest=plan_digest(EVIDENCE, rules)) for each in answers_]
        evidence = replace(EVIDENCE, request=replace(request(*made), **changes))
        return approval_gate(evidence, rules, rule, Level.ENFORCE)

    def test_it_says_who_does_not_count_and_why(self) -> None:
        old = decision(BEA, "", at=NOW - 8 * DAY)
        found = self.gate(ApprovalRule(expires=7 * DAY), old)

        assert (found.standing, found.seen) == (Standing.WAITS, "0")
        assert "bea (unverified): it is too old" in found.because

    def test_a_yes_from_the_future_does_not_count(self) -> None:
        found = self.gate(ApprovalRule(), decision(BEA, "", at=NOW + HOUR))

        assert found.standing is Standing.WAITS
        assert "the clock was set back" in found.because

    def test_a_yes_that_was_taken_back_is_told(self) -> None:
        found = self.gate(ApprovalRule(), replace(decision(BEA, ""), withdrawn_at=NOW, withdrawn_because="a mistake"))

        assert "taken back: a mistake" in found.because

    def test_a_request_that_was_withdrawn_is_none(self) -> None:
        found = self.gate(ApprovalRule(), state=RequestState.WITHDRAWN, closed_because="ann: not now")

        assert (found.standing, found.because) == (Standing.WAITS, "the request was withdrawn: ann: not now")

    def test_a_request_that_nobody_answered_in_time_is_over(self) -> None:
        rule = ApprovalRule(request_expires=DAY)

        assert self.gate(rule, asked_at=NOW - 2 * DAY).seen == "expired"
        assert self.gate(rule, decision(BEA, ""), asked_at=NOW - 2 * DAY).standing is Standing.HOLDS
        assert not expired(request(at=NOW), rule, NOW)

    def test_a_stale_approval_says_which_part_changed(self) -> None:
        signed = {"sha256:before": {"metric accuracy": "0.91 (claimed)", "policy": "sha256:policy"}}
        rules = replace(RULES, validation_tests=(), required_tags=(), require_signature=False)
        asked = replace(request(decision(BEA, "sha256:before")), plans=signed)
        found = approval_gate(replace(EVIDENCE, request=asked), rules, ApprovalRule(), Level.ENFORCE)

        assert found.seen == "stale"
        assert "metric accuracy changed from 0.91 (claimed) to 0.93 (claimed)" in found.because
        assert "policy" not in found.because

    @pytest.mark.parametrize("rule", [ApprovalRule(roles=("legal",)), ApprovalRule(teams=(Team(role="legal"),))])
    def test_roles_and_teams_of_roles_cannot_be_met_without_users(self, rule: ApprovalRule) -> None:
        assert self.gate(rule, decision(BEA, "")).standing is Standing.FAILS

    def test_a_yes_from_before_there_were_users_does_not_count_afterwards(self) -> None:
        given_ = [decision(BEA, PLAN)]

        assert counted(given_, ApprovalRule(), {}).enough
        assert not counted(given_, ApprovalRule(), {"ann": frozenset(), "bea": frozenset({"approver"})}).enough
        assert str(ANN) == "ann (unverified)"
