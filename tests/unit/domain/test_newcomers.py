"""What somebody who comes from elsewhere may do here, and that a wrong line is named."""

from __future__ import annotations

import pytest

from lockgate.domain.access import Act, Grant, Role, allowed
from lockgate.domain.errors import BadInput
from lockgate.domain.newcomers import MlflowUser, Newcomer, Permission, from_csv, from_mlflow


def on(name: str, permission: str, resource: str = "registered_model", workspace: str = "default") -> Permission:
    return Permission(workspace, resource, name, permission)


def come(*permissions: Permission, admin: bool = False, everyone: Role | None = None) -> Newcomer:
    return from_mlflow(MlflowUser("ana", "scrypt:…", admin, permissions), everyone)


@pytest.mark.parametrize(
    ("permission", "role"),
    [("READ", Role.VIEWER), ("USE", Role.VIEWER), ("EDIT", Role.CONTRIBUTOR), ("MANAGE", Role.CONTRIBUTOR)],
)
def test_each_permission_on_a_model_becomes_a_role_on_exactly_that_name(permission: str, role: Role) -> None:
    assert come(on("fraud[1]*", permission)).grants == (Grant(role, "fraud[[]1][*]"),)


def test_an_administrator_stays_one_and_needs_nothing_else() -> None:
    assert come(on("fraud", "EDIT"), admin=True, everyone=Role.VIEWER).grants == (Grant(Role.ADMIN),)


def test_a_permission_for_all_models_swallows_those_for_single_ones() -> None:
    assert come(on("*", "EDIT"), on("fraud", "READ"), on("churn", "EDIT")).grants == (Grant(Role.CONTRIBUTOR),)


def test_a_member_of_the_workspace_may_register_models() -> None:
    grants = come(on("*", "USE", "workspace"), everyone=Role.VIEWER).grants

    assert allowed(grants, Act.WRITE, "a-new-one")


def test_what_everybody_may_is_given_to_whoever_is_denied_nothing() -> None:
    assert come(on("fraud", "EDIT"), everyone=Role.VIEWER).grants == (
        Grant(Role.CONTRIBUTOR, "fraud"),
        Grant(Role.VIEWER),
    )


@pytest.mark.parametrize("denial", ["DENY", "NO_PERMISSIONS"])
def test_a_denied_model_is_not_opened_by_what_everybody_may(denial: str) -> None:
    newcomer = come(on("secret", denial), on("fraud", "READ"), everyone=Role.VIEWER)

    assert not allowed(newcomer.grants, Act.READ, "secret")
    assert allowed(newcomer.grants, Act.READ, "fraud")
    assert "secret" in newcomer.notes[0]


@pytest.mark.parametrize(
    ("more", "said"),
    [([], "nothing they have here reaches these"), ([on("*", "READ")], "reaches these too: look at it")],
)
def test_a_denial_is_told_with_what_becomes_of_it(more: list[Permission], said: str) -> None:
    (note,) = come(on("secret", "DENY"), *more).notes

    assert note.startswith("was denied secret")
    assert said in note


def test_another_workspace_and_other_kinds_give_nothing_and_the_first_is_told() -> None:
    newcomer = come(on("fraud", "MANAGE", workspace="team-b"), on("1", "MANAGE", "experiment"))

    assert newcomer.grants == ()
    assert newcomer.notes == ("in the workspace team-b: MANAGE on registered_model fraud",)


def test_a_kept_password_is_never_shown_by_accident() -> None:
    assert "scrypt" not in repr(come())


def test_lines_of_one_name_are_one_person_with_several_roles() -> None:
    text = "\ufeffname,role,pattern\nana,approver,fraud-*\n\n# a remark\nana,viewer\nci,contributor,,service\nbo\n"

    assert from_csv(text) == [
        Newcomer("ana", grants=(Grant(Role.APPROVER, "fraud-*"), Grant(Role.VIEWER))),
        Newcomer("ci", "service", (Grant(Role.CONTRIBUTOR),)),
        Newcomer("bo"),
    ]


def test_every_wrong_line_of_a_table_is_named() -> None:
    with pytest.raises(BadInput) as wrong:
        from_csv("a:b,viewer\nana,boss\nbo,,fraud\nci,viewer,*,robot\n1,2,3,4,5\nx,viewer\nx,viewer,*,service\n")

    told = wrong.value.message
    assert [f"line {number}:" in told for number in range(1, 8)] == [True, True, True, True, True, False, True]


def test_quoted_cells_may_hold_commas() -> None:
    assert from_csv('"Brown, Ana",viewer\n') == [Newcomer("Brown, Ana", grants=(Grant(Role.VIEWER),))]
