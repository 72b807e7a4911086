"""Who may do what: the matrix, what a grant reaches, what a token keeps, and which names there can be."""

from __future__ import annotations

import re
import unicodedata
from fnmatch import fnmatchcase
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lockgate.domain.access import (
    BESIDES_FOR_SERVICES,
    EVERYWHERE,
    LONGEST_NAME,
    MATRIX,
    NEVER_FOR_SERVICES,
    Act,
    Grant,
    Role,
    acts_of,
    allowed,
    allowed_somewhere,
    contained,
    exactly,
    folded,
    missing,
    model_pattern,
    narrowed,
    person_name,
    roles_on,
)
from lockgate.domain.errors import BadInput
from lockgate.domain.identity import PERSON, SERVICE

PAGE = Path(__file__).resolve().parents[3] / "docs" / "reference" / "roles.md"

ROLES = st.sampled_from(list(Role))
ACTS = st.sampled_from(list(Act))
KINDS = st.sampled_from([PERSON, SERVICE])
MODELS = st.text("abfr-", min_size=1, max_size=6)
PATTERNS = st.one_of(st.just(EVERYWHERE), MODELS, MODELS.map(lambda model: f"{model}*"))
GRANTS = st.lists(st.builds(Grant, ROLES, PATTERNS), max_size=4)


def test_the_page_of_roles_shows_the_matrix_that_the_server_judges_by() -> None:
    rows = [[cell.strip() for cell in line.strip("|").split("|")] for line in PAGE.read_text().splitlines()]
    head = next(row for row in rows if row[:2] == ["to", "that is"])
    told = {
        (row[0], role): row[column] == "yes"
        for row in rows
        if len(row) == len(head) and row[0] in set(Act)
        for column, role in enumerate(head)
        if role in set(Role)
    }

    assert told == {(act.value, role.value): act in MATRIX[role] for act in Act for role in Role}


def test_the_page_of_roles_says_what_service_accounts_may_besides_and_what_never() -> None:
    text = " ".join(PAGE.read_text().split())

    assert {Role.CONTRIBUTOR: {Act.REPORT_CHECK}} == BESIDES_FOR_SERVICES
    assert "With the role contributor it may report a check as well" in text
    assert {Act.DECIDE, Act.BREAK_GLASS} == NEVER_FOR_SERVICES
    assert "It never may approve or reject, and never break the glass, whatever its role" in text


def test_every_act_is_somebodys_and_an_administrator_may_do_all() -> None:
    assert MATRIX[Role.ADMIN] == frozenset(Act)
    assert contained(Role.ADMIN) == frozenset(Role)
    assert all(Role.VIEWER in contained(role) for role in Role)


@given(act=ACTS, kind=KINDS, model=MODELS)
def test_nobody_without_a_grant_may_do_anything(act: Act, kind: str, model: str) -> None:
    assert not allowed([], act, model, kind)
    assert not allowed_somewhere([], act, kind)
    assert roles_on([], model) == frozenset()


@given(
    grants=GRANTS, act=ACTS, model=st.one_of(st.just(""), MODELS), kind=KINDS, more=st.builds(Grant, ROLES, PATTERNS)
)
def test_another_grant_never_takes_anything_away(
    grants: list[Grant], act: Act, model: str, kind: str, more: Grant
) -> None:
    if allowed(grants, act, model, kind):
        assert allowed([*grants, more], act, model, kind)
        assert allowed_somewhere(grants, act, kind)


@given(grants=GRANTS, act=ACTS, model=MODELS, kind=KINDS)
def test_what_is_allowed_follows_from_one_role_that_reaches_the_model(
    grants: list[Grant], act: Act, model: str, kind: str
) -> None:
    reaching = [grant for grant in grants if fnmatchcase(model, grant.pattern)]

    assert allowed(grants, act, model, kind) == any(act in acts_of(grant.role, kind) for grant in reaching)


@given(grants=GRANTS, act=ACTS, kind=KINDS)
def test_what_belongs_to_no_single_model_takes_a_grant_for_all_of_them(
    grants: list[Grant], act: Act, kind: str
) -> None:
    whole = [grant for grant in grants if grant.pattern == EVERYWHERE]

    assert allowed(grants, act, "", kind) == any(act in acts_of(grant.role, kind) for grant in whole)


@given(
    grants=GRANTS, roles=st.sets(ROLES), pattern=PATTERNS, act=ACTS, model=st.one_of(st.just(""), MODELS), kind=KINDS
)
def test_a_token_never_may_more_than_its_person(
    grants: list[Grant], roles: set[Role], pattern: str, act: Act, model: str, kind: str
) -> None:
    kept = narrowed(grants, roles, pattern)

    if allowed(kept, act, model, kind):
        assert allowed(grants, act, model, kind)
        assert any(act in acts_of(role, kind) for role in roles)
        assert fnmatchcase(model, pattern) if model else pattern == EVERYWHERE


@given(grants=GRANTS, pattern=PATTERNS, act=ACTS, model=MODELS)
def test_a_token_with_all_roles_of_its_person_may_the_same_where_its_pattern_reaches(
    grants: list[Grant], pattern: str, act: Act, model: str
) -> None:
    kept = narrowed(grants, {grant.role for grant in grants}, pattern)

    assert allowed(kept, act, model) == (allowed(grants, act, model) and fnmatchcase(model, pattern))


@given(act=ACTS, grants=GRANTS, model=st.one_of(st.just(""), MODELS), kind=KINDS)
def test_a_refusal_names_roles_of_which_each_would_do(act: Act, grants: list[Grant], model: str, kind: str) -> None:
    said = missing(grants, act, model, kind)
    named = re.search(r"takes the role (.*) on (?:the model|all models)", said)

    if kind == SERVICE and act in NEVER_FOR_SERVICES:
        assert said == f"To {act} takes a person: a service account never may."
        return
    assert named is not None, said
    roles = [Role(word) for word in re.split(r", | or ", named[1])]
    assert all(allowed([*grants, Grant(role)], act, model, kind) for role in roles)
    assert {role for role in Role if allowed([Grant(role)], act, model, kind)} == set(roles)


def test_a_refusal_says_where_and_what_one_has() -> None:
    said = missing([Grant(Role.VIEWER, "fraud-*"), Grant(Role.CONTRIBUTOR, "churn", "ch*")], Act.DECIDE, "fraud-eu")

    assert said == (
        "To approve or reject takes the role approver or admin on the model fraud-eu. "
        "Yours: contributor on churn and ch*, viewer on fraud-*."
    )


@given(kind_of_role=ROLES)
def test_no_role_lets_a_service_account_agree(kind_of_role: Role) -> None:
    grants = [Grant(kind_of_role)]

    assert not allowed(grants, Act.DECIDE, "fraud", SERVICE)
    assert not allowed(grants, Act.BREAK_GLASS, "fraud", SERVICE)


def test_a_service_account_reports_checks_as_a_contributor_and_a_person_does_not() -> None:
    assert allowed([Grant(Role.CONTRIBUTOR)], Act.REPORT_CHECK, "fraud", SERVICE)
    assert not allowed([Grant(Role.CONTRIBUTOR)], Act.REPORT_CHECK, "fraud", PERSON)


@given(model=st.text(min_size=1, max_size=8), other=st.text(min_size=1, max_size=8))
def test_the_exact_pattern_of_a_model_reaches_it_and_no_other(model: str, other: str) -> None:
    grant = Grant(Role.VIEWER, exactly(model))

    assert grant.covers(model)
    assert grant.covers(other) == (model == other)


@given(st.text(max_size=LONGEST_NAME + 5))
def test_a_name_that_is_taken_is_taken_again_as_it_is(written: str) -> None:
    try:
        name = person_name(written)
    except BadInput:
        return
    assert person_name(name) == name
    assert unicodedata.is_normalized("NFC", name)
    assert name.isprintable()
    assert folded(name) == folded(folded(name))


@pytest.mark.parametrize(
    "written",
    [
        *("", " ", "ana ", " ana", "a:b", "a\nb", "a\x00b", "a\tb", "a\u202eb", "a\u200bb", "\ud800", "a\u2028b"),
        *("x" * (LONGEST_NAME + 1), "\ufdfa" * 100, "anonymous", "Lockgate", "ANONYMOUS", "lock\uff47ate"),
    ],
)
def test_a_name_that_cannot_be_seen_sent_or_told_apart_is_refused(written: str) -> None:
    with pytest.raises(BadInput):
        person_name(written)


@pytest.mark.parametrize("written", [None, 7, True, ["ana"]])
def test_what_is_no_text_is_no_name(written: object) -> None:
    with pytest.raises(BadInput):
        person_name(written)


@pytest.mark.parametrize("name", ["O'Brien", 'ana "the boss"', "Zoë", "李雷", "ana@example.org", "a/b", "x y", "Ω"])
def test_quotes_spaces_and_letters_of_any_script_may_stand_in_a_name(name: str) -> None:
    assert person_name(unicodedata.normalize("NFD", name)) == unicodedata.normalize("NFC", name)


@pytest.mark.parametrize(
    ("one", "other"), [("ana", "ANA"), ("straße", "STRASSE"), ("ﬁ", "FI"), ("Ｏ", "o"), ("é", "e\u0301")]
)
def test_names_that_look_the_same_are_told_so(one: str, other: str) -> None:
    assert folded(one) == folded(other)


@pytest.mark.parametrize("written", ["", "a/b", "a:b", "a\nb", "x" * 257, None, 7])
def test_a_pattern_that_no_model_can_match_is_refused(written: object) -> None:
    with pytest.raises(BadInput):
        model_pattern(written)


def test_an_unknown_role_is_refused_naming_those_there_are() -> None:
    assert Role.parse(" Approver ") is Role.APPROVER
    with pytest.raises(BadInput, match="viewer, contributor, approver, operator, admin"):
        Role.parse("root")
