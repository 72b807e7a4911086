"""What a caller without our client meets: bodies, queries, statuses, and the document that describes it all."""

from __future__ import annotations

import re
from pathlib import Path

import httpx2
import pytest
from structlog.testing import capture_logs

from lockgate.sdk.client import Lockgate
from lockgate.wire.requests import PREFIX
from tests.integration.api.conftest import Machine

REFERENCE = Path(__file__).parents[3] / "docs" / "reference"


@pytest.fixture
def http(still: Machine):
    with asking(still) as client:
        yield client


def asking(machine: Machine) -> httpx2.Client:
    return httpx2.Client(base_url=machine.url + PREFIX, timeout=20, trust_env=False)


@pytest.mark.parametrize(
    ("path", "body", "said"),
    [
        ("/plan", "", "The body is not JSON."),
        ("/plan", "{", "The body is not JSON."),
        ("/plan", "[" * 100_000, "The body is not JSON."),
        ("/plan", "[]", "expected an object, found []."),
        ("/plan", '{"version": 7}', "model: expected text, found nothing."),
        ("/plan", '{"model": "fraud", "version": "7"}', "version: expected a whole number, found '7'."),
        ("/plan", '{"model": "fraud", "version": 7, "too": 1}', "too: there is no such field; known are model"),
        (
            "/promotions",
            '{"model": "fraud", "version": 7, "lasting": "no"}',
            "lasting: expected true or false, found 'no'.",
        ),
        ("/plan", '{"model": "a/b", "version": 7}', "'a/b' is not a model name."),
        ("/plan", '{"model": "fraud", "version": -1}', "-1 is not a version number."),
        ("/approvals", '{"model": "fraud", "version": 7, "reason": ""}', "reason is empty."),
    ],
)
def test_a_wrong_body_is_400_naming_the_field_and_what_was_expected(http, path, body, said):
    answer = http.post(path, content=body)

    assert answer.status_code == 400
    problem = answer.json()
    assert problem["error_code"] == "INVALID_PARAMETER_VALUE"
    assert said in problem["message"]
    assert problem["hint"]
    assert problem["lockgate"]["kind"] == "bad_input"


@pytest.mark.parametrize(
    ("query", "said"),
    [
        ("/status?modle=fraud", "unknown word 'modle'"),
        ("/audit?limit=1001", "query limit: expected 1000 or less"),
        ("/audit?limit=0", "query limit: expected 1 or more"),
        ("/audit?limit=many", "query limit: expected a whole number"),
        ("/rollouts", "query model: it is required"),
    ],
)
def test_a_wrong_query_is_400_naming_the_word(http, query, said):
    answer = http.get(query)

    assert (answer.status_code, answer.json()["error_code"]) == (400, "INVALID_PARAMETER_VALUE")
    assert said in answer.json()["message"]


def test_what_is_no_route_is_404_and_a_wrong_method_405_in_the_same_shape(http):
    missing, wrong = http.get("/nothing"), http.delete("/plan")

    assert (missing.status_code, missing.json()["error_code"]) == (404, "ENDPOINT_NOT_FOUND")
    assert f"GET {PREFIX}/nothing" in missing.json()["message"]
    assert (wrong.status_code, wrong.headers["allow"]) == (405, "POST")
    assert wrong.json()["lockgate"]["kind"] == "bad_input"


def test_a_promotion_answers_200_when_done_202_while_open_and_403_when_refused(machine: Machine):
    machine.register("fraud", 1, team="risk")
    machine.register("fraud", 2)

    def ask(version: int, to: str) -> httpx2.Response:
        with asking(machine) as http:
            return http.post("/promotions", json={"model": "fraud", "version": version, "to": to})

    assert ask(1, "Staging").status_code == 200
    assert ask(1, "Production").status_code == 202
    refused = ask(2, "Staging")
    assert (refused.status_code, refused.json()["error_code"]) == (403, "PERMISSION_DENIED")
    assert refused.json()["lockgate"]["standing"] == "fails"
    assert refused.json()["lockgate"]["gates"][0].keys() >= {"name", "standing", "because", "required", "next"}


def test_a_promotion_that_may_not_last_answers_409_when_a_gate_waits(machine: Machine):
    machine.register("fraud", 1, team="risk")
    with asking(machine) as http:
        http.post("/promotions", json={"model": "fraud", "version": 1, "to": "Staging"})

        waits = http.post("/promotions", json={"model": "fraud", "version": 1, "to": "Production", "lasting": False})

    assert (waits.status_code, waits.json()["error_code"]) == (409, "RESOURCE_CONFLICT")
    assert (waits.json()["lockgate"]["kind"], waits.json()["lockgate"]["standing"]) == ("waits", "waits")


def test_what_nobody_foresaw_is_500_with_an_id_that_the_log_knows(http, still: Machine, monkeypatch):
    def broken() -> None:
        raise RuntimeError("secret of the inside")

    monkeypatch.setattr(still.ports.store, "reading", broken)
    with capture_logs() as logs:
        answer = http.get("/endpoints")

    assert (answer.status_code, answer.json()["error_code"]) == (500, "INTERNAL_ERROR")
    assert "secret" not in answer.text
    assert "Traceback" not in answer.text
    (entry,) = [each for each in logs if each["event"] == "unexpected"]
    assert entry["id"] in answer.json()["message"]


def test_answers_are_kept_by_no_cache(http):
    assert http.get("/endpoints").headers["cache-control"] == "no-store"
    assert http.get("/nothing").headers["cache-control"] == "no-store"


def test_the_document_describes_bodies_answers_and_errors(http):
    document = http.get("/openapi.json").json()

    plan = document["paths"]["/plan"]["post"]
    body = plan["requestBody"]["content"]["application/json"]["schema"]
    assert (body["required"], body["additionalProperties"]) == (["model", "version"], False)
    assert plan["responses"]["200"]["content"]["application/json"]["schema"]["$ref"].endswith("/Plan")
    assert plan["responses"]["4XX"]["content"]["application/json"]["schema"]["$ref"].endswith("/Problem")
    assert document["servers"] == [{"url": PREFIX}]


def test_the_reference_has_a_line_for_each_route_and_no_other(http):
    paths = http.get("/openapi.json").json()["paths"]
    routes = {f"{method.upper()} {path}" for path, methods in paths.items() for method in methods}

    written = (REFERENCE / "api.md").read_text(encoding="utf-8")

    assert set(re.findall(r"^\| `((?:GET|POST) [^`?]+)", written, re.MULTILINE)) == routes


def test_the_reference_has_a_line_for_each_method_of_the_client_and_no_other():
    methods = {name for name, value in vars(Lockgate).items() if callable(value) and not name.startswith("_")}

    written = (REFERENCE / "sdk.md").read_text(encoding="utf-8")

    assert set(re.findall(r"^\| `(\w+)\(", written, re.MULTILINE)) == methods
