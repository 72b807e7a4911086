"""No way of writing a path leads past the gatekeeper into a change that nobody governs; what was opened is recorded."""

from __future__ import annotations

import http.client
import json
from collections.abc import Callable, Iterator
from typing import Any

import pytest
import requests

from tests.integration.registry.servers import Running, server

POLICY = """
level: enforce
stages:
  Staging:
    alias: staging
    requires: {required_tags: [team]}
endpoints: {"*": {serve: off}}
"""
LIMIT = 60
ROUTE = "/api/2.0/mlflow/registered-models/create"
WRITTEN_OTHERWISE = [
    "//api/2.0/mlflow/registered-models/create",
    "/api//2.0/mlflow//registered-models/create",
    "/api/2.0/mlflow/registered-models/create/",
    "/api/2.0/mlflow/registered-models//create",
    "/./api/2.0/mlflow/registered-models/create",
    "/api/2.0/mlflow/../mlflow/registered-models/create",
    "/api/2.0/mlflow/runs/../registered-models/create",
    "/api/2.0/mlflow/runs/%2e%2e/registered-models/create",
    "/%61pi/2.0/mlflow/registered-models/create",
    "/api/2.0/mlflow%2Fregistered-models%2fcreate",
    "/api/2.0/mlflow%252Fregistered-models/create",
    "/api/2.0/mlflow/registered%2Dmodels/create",
    "/API/2.0/MLFLOW/registered-models/create",
    "/api/2.0/mlflow/Registered-Models/create",
    "/api/2.0/mlflow/registered-models/create%00",
    "/api/2.0/mlflow/registered-models/create%20",
    "/api/2.0/mlflow/registered-models/create;x=1",
    "/api/2.0/mlflow/registered-models/create?_method=DELETE&method=DELETE",
    "/api/2.0/preview/mlflow/registered-models/create",
    "/ajax-api/2.0/preview/mlflow/registered-models/create",
    "/api/3.0/mlflow/registered-models/create",
    "/mlflow/api/2.0/mlflow/registered-models/create",
    "/static-files/../api/2.0/mlflow/registered-models/create",
    "/api/lockgate/v1/../../2.0/mlflow/registered-models/create",
    "/api/lockgate/v1/%2e%2e/%2e%2e/2.0/mlflow/registered-models/create",
    "/gateway/../api/2.0/mlflow/registered-models/create",
    "http://localhost/api/2.0/mlflow/registered-models/create",
    "\\api\\2.0\\mlflow\\registered-models\\create",
]
OVERRIDES = [
    {"X-HTTP-Method-Override": "POST"},
    {"X-HTTP-Method": "POST"},
    {"X-Method-Override": "POST"},
    {"X-Original-URL": ROUTE},
    {"X-Rewrite-URL": ROUTE},
    {"X-Script-Name": "/api"},
    {"X-Forwarded-Prefix": "/api"},
]


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    folder = tmp_path_factory.mktemp("past")
    with server(folder, policy=POLICY, more={"LOCKGATE_MLFLOW_ROUTERS": "mcp, gateway,assistant"}) as ready:
        yield ready


Ask = Callable[..., tuple[int, Any]]


@pytest.fixture
def ask(running: Running) -> Ask:
    """Send a request exactly as it is written; the status and the body."""

    def send(method: str, target: str, told: Any = None, headers: dict[str, str] | None = None) -> tuple[int, Any]:
        connection = http.client.HTTPConnection(running.url.removeprefix("http://"), timeout=LIMIT)
        try:
            body = json.dumps(told) if told is not None else None
            connection.request(method, target, body, {"Content-Type": "application/json", **(headers or {})})
            answer = connection.getresponse()
            raw = answer.read()
        finally:
            connection.close()
        return answer.status, json.loads(raw) if answer.headers["Content-Type"] == "application/json" else raw

    return send


def _record(running: Running, **asked: Any) -> list[dict[str, Any]]:
    answer = requests.get(f"{running.url}/api/lockgate/v1/audit", params={"limit": 100, **asked}, timeout=LIMIT)
    answer.raise_for_status()
    return list(answer.json()["entries"])


def _is_registered(ask: Ask, name: str) -> bool:
    return ask("GET", f"/api/2.0/mlflow/registered-models/get?name={name}")[0] == 200


@pytest.mark.parametrize("target", WRITTEN_OTHERWISE)
def test_a_route_written_in_another_way_is_the_governed_one_or_none(running, ask, target):
    name = f"made-{WRITTEN_OTHERWISE.index(target)}"
    status, answer = ask("POST", target, {"name": name})
    if _is_registered(ask, name):
        assert status == 200
        assert [entry["action"] for entry in _record(running, model=name)] == ["model:registered"]
    else:
        assert status in (308, 400, 403, 404, 405), answer


@pytest.mark.parametrize("headers", OVERRIDES, ids=lambda headers: next(iter(headers)))
@pytest.mark.parametrize("target", [ROUTE, "/health", "/version", "/api/2.0/mlflow/registered-models/search"])
def test_a_header_does_not_make_a_read_into_a_change(ask, headers, target):
    name = f"override-{next(iter(headers))}"
    ask("GET", target, {"name": name}, headers)
    assert not _is_registered(ask, name)


@pytest.mark.parametrize(
    "target",
    [
        "//api/2.0/mlflow/model-versions/transition-stage",
        "/api/2.0/mlflow//model-versions/transition-stage",
        "/api/2.0/mlflow/model-versions/transition-stage/",
        "/api/2.0/mlflow/model-versions%2Ftransition-stage",
        "/%61jax-api/2.0/mlflow/model-versions/transition-stage",
        "/api/2.0/preview/mlflow/model-versions/transition-stage",
    ],
)
@pytest.mark.parametrize("method", ["POST", "PUT", "PATCH", "FROB", "GET", "OPTIONS", "HEAD"])
def test_no_spelling_and_no_method_moves_a_version_past_its_gates(ask, target, method):
    ask("POST", ROUTE, {"name": "gated"})
    ask("POST", "/api/2.0/mlflow/model-versions/create", {"name": "gated", "source": "s3://bucket/x"})
    status, _ = ask(method, target, {"name": "gated", "version": "1", "stage": "Staging"})
    assert status != 200 or method == "OPTIONS"
    _, told = ask("GET", "/api/2.0/mlflow/model-versions/get?name=gated&version=1")
    assert told["model_version"]["current_stage"] == "None"


def test_an_unknown_way_to_change_the_registry_is_refused_and_on_the_record(running, ask):
    # under a name of its own: what one caller is refused is counted together from the twentieth thing on
    wiper = {"X-Lockgate-User": "wiper"}
    status, answer = ask("POST", "/api/2.0/mlflow/registered-models/wipe", {"name": "gated"}, wiper)
    assert (status, answer["error_code"]) == (403, "PERMISSION_DENIED")
    assert _record(running)[0]["detail"] == {"asked": "POST /api/2.0/mlflow/registered-models/wipe"}


def test_a_route_of_nowhere_is_told_as_on_a_server_of_another_release(ask):
    status, answer = ask("POST", "/api/9.0/mlflow/anything", {})
    assert (status, answer["error_code"]) == (404, "ENDPOINT_NOT_FOUND")


def test_what_was_not_opened_is_off_and_says_how_it_is_opened(running, ask):
    for target in ("/ajax-api/3.0/jobs/", "/ajax-api/3.0/mlflow/scorer/invoke"):
        status, answer = ask("POST", target, {}, {"X-Lockgate-User": "opener"})
        assert (status, "--mlflow-routers" in answer["message"]) == (403, True)
        assert _record(running)[0]["action"] == "access:refused"


def test_a_call_through_an_opened_router_is_on_the_record_as_its_callers(running, ask):
    ann = {"X-Lockgate-User": "ann"}
    status, made = ask("POST", "/api/3.0/mlflow/mcp-servers", {"name": "com.example/tools"}, ann)
    assert (status, made["name"]) == (200, "com.example/tools")
    for read in ("/api/3.0/mlflow/gateway/endpoints/list", "/ajax-api/3.0/mlflow/assistant/config"):
        assert ask("GET", read)[0] == 200
    [entry] = [entry for entry in _record(running) if entry["action"] == "router:called"]
    assert entry["who"]["name"] == "ann"
    assert entry["detail"] == {"router": "mcp", "asked": "POST /api/3.0/mlflow/mcp-servers"}


@pytest.mark.parametrize(
    ("method", "target", "told"),
    [
        ("POST", "webhooks", {"name": "h", "url": "https://example.org", "events": [{"entity": "X", "action": "Y"}]}),
        ("POST", "webhooks", {"name": "h", "url": "https://example.org", "events": "x"}),
        ("PATCH", "webhooks/none", {"events": [{"entity": "X", "action": "Y"}]}),
        ("GET", "registered-models/search?max_results=1.0", None),
        ("GET", "model-versions/search?max_results=1e2", None),
        ("GET", "registered-models/get", ["x"]),
    ],
)
def test_what_mlflows_code_stumbles_over_is_told_as_json_and_not_to_be_repeated(ask, method, target, told):
    status, answer = ask(method, f"/api/2.0/mlflow/{target}", told)
    assert (status, answer["error_code"]) == (400, "INVALID_PARAMETER_VALUE")
    assert answer["message"]


def test_graphql_answers_queries_and_changes_nothing(ask):
    ask("POST", ROUTE, {"name": "asked"})
    ask("POST", "/api/2.0/mlflow/model-versions/create", {"name": "asked", "source": "s3://bucket/x"})
    found = "{mlflowSearchModelVersions(input: {filter: \"name = 'asked'\"}) {modelVersions {name version}}}"
    status, answer = ask("POST", "/graphql", {"query": found})
    assert status == 200, answer
    assert answer["data"]["mlflowSearchModelVersions"]["modelVersions"] == [{"name": "asked", "version": "1"}]
    _, answer = ask("POST", "/graphql", {"query": 'mutation {testMutation(inputString: "x") {output}}'})
    assert answer["errors"] == ["Cannot query field 'testMutation' on type 'Mutation'."]


@pytest.mark.parametrize("told", [None, [], "x", {}, {"query": 1}, {"query": "{"}, {"query": "{a}", "variables": [1]}])
def test_what_is_no_graphql_is_told_so(ask, told):
    status, answer = ask("POST", "/graphql", told)
    assert (status, answer["error_code"]) == (400, "INVALID_PARAMETER_VALUE")


def test_prompt_optimisation_is_looked_at_without_jobs_and_started_only_with_them(ask):
    route = "/api/3.0/mlflow/prompt-optimization/jobs"
    assert ask("POST", f"{route}/search", {"experiment_id": "0"}) == (200, {})
    assert ask("GET", f"{route}/nobody")[0] == 404
    status, answer = ask("POST", route, {"experiment_id": "0"})
    assert (status, "--mlflow-routers jobs" in answer["message"]) == (403, True)


def test_the_demo_registers_its_prompts_in_its_callers_name_and_takes_them_away_again(running, ask):
    told, ann = {"features": ["prompts"]}, {"X-Lockgate-User": "ann"}
    status, answer = ask("POST", "/ajax-api/3.0/mlflow/demo/generate", told, ann)
    assert status == 200, answer
    made = [entry for entry in _record(running) if entry["action"] == "prompt:version-registered"]
    assert {entry["who"]["name"] for entry in made} == {"ann"}
    status, answer = ask("POST", "/ajax-api/3.0/mlflow/demo/delete", {}, ann)
    assert status == 200, answer
    found = "/api/2.0/mlflow/registered-models/search?filter=tags.%60mlflow.prompt.is_prompt%60%20%3D%20%27true%27"
    assert ask("GET", found) == (200, {})
