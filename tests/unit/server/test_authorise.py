"""Once there are people: who gets in, which routes their roles open, and what is told to those who stay outside."""

from __future__ import annotations

import base64
from collections.abc import Iterable

import pytest

from lockgate.domain.access import Act, Grant, Role
from lockgate.domain.errors import Forbidden, Unauthenticated, Unavailable
from lockgate.domain.identity import SERVICE, Who
from lockgate.server.authorise import Leaves, lacking
from lockgate.server.identity import CALLER, Identity, caller
from lockgate.server.logins import Basic, Bearer, Known, Logins, Proofs
from lockgate.server.registry import known_routes
from lockgate.server.replies import Receive, Scope, Send
from lockgate.wire.requests import PREFIX
from tests.unit.server.asgi import Answer, Echo, ask

MLFLOW = "/api/2.0/mlflow"
PEOPLE = {
    "vera": (Grant(Role.VIEWER),),
    "carl": (Grant(Role.CONTRIBUTOR, "fraud-*"),),
    "abby": (Grant(Role.APPROVER),),
    "olaf": (Grant(Role.OPERATOR),),
    "anna": (Grant(Role.ADMIN),),
    "nora": (),
}


class Door:
    """A server with people, whose password is their name, and what was put on its record."""

    def __init__(self) -> None:
        self.record: list[tuple[str, str, str]] = []
        self.callers: list[Who] = []
        self.lacks: list[Forbidden | None] = []
        self.away = False
        proofs = Proofs(lambda: True, self._basic, self._bearer)
        self.app = Identity(self._inner, Logins(proofs), Leaves(self._refused))

    def ask(self, name: str | None, method: str = "GET", path: str = f"{MLFLOW}/runs/get", **headers: str) -> Answer:
        told = {key.replace("_", "-"): value for key, value in headers.items()}
        if name is not None:
            told["authorization"] = "Basic " + base64.b64encode(f"{name}:{name}".encode()).decode()
        return ask(self.app, method, path, headers=told)

    async def _inner(self, scope: Scope, receive: Receive, send: Send) -> None:
        self.callers.append(caller())
        self.lacks = [lacking("fraud-1"), lacking("churn")] if CALLER.get().known else []
        await Echo([])(scope, receive, send)

    def _basic(self, given: Basic, _address: str, _proof: str) -> Known:
        if self.away:
            raise Unavailable("The database does not answer.")
        if given.password != given.name or given.name not in {*PEOPLE, "newt"}:
            raise Unauthenticated("The name or the password is wrong.", wait=41.2 if given.name == "eve" else 0)
        return Known.of(given.name, PEOPLE.get(given.name, PEOPLE["anna"]), must_change=given.name == "newt")

    def _bearer(self, given: Bearer, _address: str) -> Known:
        return Known.of("ci", (Grant(Role.CONTRIBUTOR),), kind=SERVICE, token=given.secret)

    def _refused(self, who: Who, asked: str, model: str, why: Forbidden) -> None:
        self.record.append((who.name, asked, model))


@pytest.fixture
def door() -> Door:
    return Door()


def test_whoever_says_nothing_is_asked_to_log_in_as_a_browser_and_an_mlflow_client_understand_it(door):
    answer = door.ask(None)
    assert (answer.status, answer.json["error_code"], door.callers) == (401, "UNAUTHENTICATED", [])
    assert answer.headers["www-authenticate"].startswith("Basic ")
    assert "MLFLOW_TRACKING_USERNAME" in answer.json["message"]


def test_a_name_that_is_only_claimed_is_told_that_there_are_users_now(door):
    answer = door.ask(None, x_lockgate_user="anna")
    assert answer.status == 401
    assert "--as" in answer.json["message"]


def test_a_claim_beside_credentials_of_somebody_else_is_refused(door):
    assert door.ask("vera", x_lockgate_user="anna").status == 400
    assert door.ask("vera", x_lockgate_user="vera").status == 200


def test_a_wrong_password_gets_no_further_and_too_many_are_told_how_long_to_wait(door):
    assert door.ask("zoe").status == 401
    locked = door.ask("eve")
    assert (locked.status, locked.headers["retry-after"]) == (401, "42")
    assert door.callers == []


def test_a_database_that_is_away_is_told_as_that(door):
    door.away = True
    assert door.ask("vera").status == 503


def test_who_logged_in_is_verified_and_stands_on_the_record_with_their_token(door):
    door.ask("vera")
    ask(door.app, headers={"authorization": "Bearer lgt_7"}, path=f"{PREFIX}/status")
    by_password, by_token = door.callers
    assert (by_password.name, by_password.verified, by_password.via, by_password.kind) == (
        "vera", True, "mlflow", "person",
    )  # fmt: skip
    assert (by_token.name, by_token.verified, by_token.kind, by_token.token) == ("ci", True, "service", "lgt_7")


@pytest.mark.parametrize("path", ["/version", "/health"])
def test_what_is_for_everybody_takes_no_login_and_looks_at_none(door, path):
    assert door.ask(None, path=path).status == 200
    assert door.ask("zoe", path=path).status == 200


@pytest.mark.parametrize(
    ("method", "path", "who"),
    [
        ("GET", f"{MLFLOW}/registered-models/search", {"vera", "carl", "abby", "olaf", "anna"}),
        ("GET", "/", {"vera", "carl", "abby", "olaf", "anna"}),
        ("POST", "/graphql", {"vera", "carl", "abby", "olaf", "anna"}),
        ("POST", f"{MLFLOW}/registered-models/create", {"carl", "anna"}),
        ("POST", f"{MLFLOW}/runs/log-metric", {"carl", "anna"}),
        ("PUT", "/api/2.0/mlflow-artifacts/artifacts/0/r/model.pkl", {"carl", "anna"}),
        ("DELETE", f"{MLFLOW}/registered-models/delete", {"olaf", "anna"}),
        ("POST", f"{MLFLOW}/model-versions/transition-stage", {"carl", "olaf", "anna"}),
        ("POST", f"{MLFLOW}/model-versions/set-tag", {"carl", "abby", "olaf", "anna"}),
        ("POST", f"{MLFLOW}/webhooks", {"olaf", "anna"}),
        ("POST", "/ajax-api/3.0/mlflow/workspaces", {"anna"}),
        ("POST", "/ajax-api/3.0/jobs/", {"anna"}),
        ("POST", f"{PREFIX}/approvals/decision", {"vera", "carl", "abby", "olaf", "anna"}),
        ("POST", f"{PREFIX}/rollbacks", {"olaf", "anna"}),
        ("POST", f"{PREFIX}/users", {"anna"}),
        ("GET", f"{PREFIX}/endpoints/tokens", {"olaf", "anna"}),
        ("GET", f"{PREFIX}/whoami", set(PEOPLE)),
    ],
)
def test_a_route_opens_to_the_roles_that_the_table_says(door, method, path, who):
    statuses = {name: door.ask(name, method, path).status for name in PEOPLE}
    assert statuses == {name: 200 if name in who else 403 for name in PEOPLE}
    assert {name for name, *_ in door.record} == set(PEOPLE) - who


def test_a_refusal_names_the_roles_that_would_do_and_those_that_are_there(door):
    answer = door.ask("carl", "POST", f"{MLFLOW}/webhooks")
    assert answer.json["error_code"] == "PERMISSION_DENIED"
    assert "takes the role operator or admin" in answer.json["message"]
    assert "contributor on fraud-*" in answer.json["message"]
    assert door.record == [("carl", f"POST {MLFLOW}/webhooks", "")]


def test_what_belongs_to_no_single_model_takes_a_grant_for_all():
    door = Door()
    PEOPLE["adam"] = (Grant(Role.ADMIN, "fraud-*"),)
    try:
        assert door.ask("adam", "POST", f"{MLFLOW}/webhooks").status == 403
        assert door.ask("adam", "POST", f"{MLFLOW}/registered-models/create").status == 200
    finally:
        del PEOPLE["adam"]


def test_what_a_route_does_to_a_model_is_judged_by_the_model(door):
    door.ask("carl", "POST", f"{PREFIX}/promotions")
    there, elsewhere = door.lacks
    assert there is None
    assert elsewhere is not None
    assert "on the model churn" in elsewhere.message


def test_reading_is_not_divided_by_model(door):
    door.ask("carl", "POST", f"{PREFIX}/plan")
    assert door.lacks == [None, None]


def test_before_a_given_password_is_replaced_there_is_nothing_but_replacing_it(door):
    assert door.ask("newt", "POST", f"{PREFIX}/password").status == 200
    assert door.ask("newt", path=f"{PREFIX}/whoami").status == 200
    for method, path in (("GET", f"{MLFLOW}/runs/get"), ("POST", f"{PREFIX}/tokens"), ("GET", f"{PREFIX}/status")):
        refused = door.ask("newt", method, path)
        assert (refused.status, "replaced" in refused.json["message"]) == (403, True)


def test_what_nobody_knows_is_nowhere(door):
    assert door.ask("anna", path=f"{MLFLOW}/secrets").json["error_code"] == "ENDPOINT_NOT_FOUND"
    assert door.ask("anna", "POST", f"{PREFIX}/secrets").status == 404
    assert door.ask("anna", "GET", f"{PREFIX}x").status == 404
    assert door.callers == []
    # a change that nobody knows goes on to the gatekeeper, which refuses it and puts it on the record
    assert door.ask("anna", "POST", f"{MLFLOW}/registered-models/wipe").status == 200
    assert door.ask(None, path=f"{MLFLOW}/secrets").status == 401


def test_every_route_says_what_its_caller_needs():
    declared = [*known_routes.ROUTES, *known_routes.OWN]
    free = {route.path for route in declared if not route.acts}
    assert {route.path for route in declared if route.acts is known_routes.ANYBODY} == {"/health", "/ready", "/version"}
    assert free - {"/health", "/ready", "/version"} <= {
        f"{PREFIX}/{path}" for path in ("whoami", "password", "users/named", "tokens", "tokens/revoke")
    }
    changing = [route for route in declared if route.changes is not known_routes.Changes.NOTHING and route.acts]
    reading = {Act.READ, Act.READ_RECORD}
    assert [route.path for route in changing if _all_in(route.acts, reading)] == [
        "/ajax-api/3.0/mlflow/ui-telemetry",
    ]


@pytest.mark.parametrize("changes", ["R", "E"])
def test_a_route_that_changes_something_and_does_not_say_for_whom_does_not_start(changes):
    with pytest.raises(ValueError, match="does not say who may call /api/lockgate/v1/new"):
        known_routes._line(["POST", f"{PREFIX}/new", changes])
    with pytest.raises(ValueError, match="who may call"):
        known_routes._line(["POST", "*/2.0/mlflow/registered-models/new", "R"])


def _all_in(acts: Iterable[Act] | None, wanted: set[Act]) -> bool:
    return set(acts or ()) <= wanted
