"""The name a request claims, and the names it may not."""

from __future__ import annotations

import base64
from urllib.parse import quote

import pytest

from lockgate.domain.identity import Who
from lockgate.server.identity import Identity, caller
from lockgate.server.replies import Receive, Scope, Send
from tests.unit.server.asgi import Echo, ask


def _basic(user: str) -> str:
    return "Basic " + base64.b64encode(f"{user}:secret".encode()).decode()


class Asks(Echo):
    """Keeps who the caller was."""

    def __init__(self) -> None:
        super().__init__([])
        self.callers: list[Who] = []

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        self.callers.append(caller())
        await super().__call__(scope, receive, send)


def _caller(path: str = "/api/2.0/mlflow/x", **headers: str) -> Who:
    app = Asks()
    answer = ask(Identity(app), "GET", path, headers={name.replace("_", "-"): value for name, value in headers.items()})
    assert answer.status == 200, answer.body
    return app.callers[0]


def test_nobody_in_particular_is_anonymous():
    assert _caller() == Who("anonymous", verified=False, via="mlflow")


def test_the_name_of_an_mlflow_client_is_its_user_name():
    assert _caller(authorization=_basic("ann")) == Who("ann", via="mlflow")


def test_our_own_header_holds_any_name_percent_encoded():
    assert _caller("/api/lockgate/v1/status", x_lockgate_user=quote("Zoë Müller")) == Who("Zoë Müller", via="api")


def test_the_door_is_told_on_our_own_api_alone():
    assert _caller("/api/lockgate/v1/status", x_lockgate_via="cli").via == "cli"
    assert _caller("/api/lockgate/v1/status", x_lockgate_via="controller").via == "api"
    assert _caller("/api/2.0/mlflow/x", x_lockgate_via="cli").via == "mlflow"


def test_nobody_can_call_themselves_verified():
    assert not _caller(x_lockgate_user="lockgate").verified


@pytest.mark.parametrize("raw", ["%00", "a%0Ab", "%ff", "x" * 201, "%20"])
def test_a_name_that_cannot_stand_on_the_record_is_refused(raw):
    app = Asks()
    assert ask(Identity(app), headers={"x-lockgate-user": raw}).status == 400
    assert app.callers == []


def test_two_names_are_refused():
    answer = ask(Identity(Asks()), headers={"x-lockgate-user": "ann", "authorization": _basic("bob")})
    assert answer.status == 400
    assert "two names" in answer.json["message"]


def test_a_broken_basic_header_is_refused():
    assert ask(Identity(Asks()), headers={"authorization": "Basic ???"}).status == 400
