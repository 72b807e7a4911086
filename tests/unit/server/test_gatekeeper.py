"""Which of MLflow's routes are open, and that one declaration says so to the server and to the reader."""

from __future__ import annotations

import pytest

from lockgate.config import Router
from lockgate.domain.errors import Forbidden
from lockgate.server.problems import Problem
from lockgate.server.registry import known_routes
from lockgate.server.registry.gatekeeper import Gatekeeper, judge_route
from lockgate.server.registry.known_routes import ROUTES, Changes, Way
from tests.unit.server.asgi import Echo, ask
from tools.write_routes import MARK, PAGE, tables

KNOWN = sorted(
    (route.method, route.path.removeprefix("/api/"))
    for route in ROUTES
    if route.changes is Changes.REGISTRY and route.path.startswith("/api/") and "{" not in route.path
    if route.router is None
)


@pytest.mark.parametrize("prefix", ["/api/", "/ajax-api/", "//api//"])
@pytest.mark.parametrize(("method", "route"), KNOWN)
def test_the_known_ways_to_change_the_registry_are_open(prefix, method, route):
    assert judge_route(method, prefix + route) is None


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("POST", "/api/2.0/mlflow/registered-models/wipe"),
        ("PUT", "/api/2.0/mlflow/registered-models/create"),
        ("FROB", "/api/2.0/mlflow/registered-models/get"),
        ("POST", "/api/2.0/preview/mlflow/registered-models/create"),
        ("POST", "/api/2.0/mlflow/registered-models/create/"),
        ("POST", "/api/3.0/mlflow/model-versions/copy"),
        ("DELETE", "/ajax-api/2.0/mlflow/model-versions"),
        ("POST", "/api/2.1/unity-catalog/models"),
        ("POST", "//api/2.0/mlflow//registered-models/wipe"),
        ("POST", "/api/2.0/mlflow/webhooks/1/redeliver"),
        ("PUT", "/api/3.0/mlflow/workspaces/default"),
    ],
)
def test_an_unknown_way_to_change_it_is_refused(method, path):
    refusal = judge_route(method, path, set(Router))
    assert isinstance(refusal, Forbidden)
    assert "no way to change the registry" in refusal.message


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("POST", "/api/4.0/mlflow/anything"),
        ("POST", "/API/2.0/mlflow/registered-models/create"),
        ("POST", "/api/2.0/mlflow/runs/../registered-models/create"),
        ("POST", "/api/2.0/mlflow/registered-models%2Fcreate"),
        ("POST", "/mlflow/api/2.0/mlflow/registered-models/create"),
        ("PUT", "/api/2.0/mlflow/runs/create"),
        ("TRACE", "/"),
        ("POST", "/"),
    ],
)
def test_a_change_by_a_route_that_is_nowhere_is_unknown_as_on_a_server_of_another_release(method, path):
    unknown = judge_route(method, path, set(Router))
    assert isinstance(unknown, Problem)
    assert (unknown.status, unknown.code) == (404, "ENDPOINT_NOT_FOUND")


@pytest.mark.parametrize(
    ("router", "path"),
    [
        ("gateway", "/gateway/x/mlflow/invocations"),
        ("gateway", "/gateway"),
        ("gateway", "//gateway//y"),
        ("gateway", "/api/3.0/mlflow/gateway/secrets/create"),
        ("gateway", "/ajax-api/2.0/mlflow/gateway-proxy"),
        ("assistant", "/ajax-api/3.0/mlflow/assistant/message"),
        ("mcp", "/api/3.0/mlflow/mcp-servers"),
        ("mcp", "/api/3.0/mlflow/mcp-servers/a/b/c"),
        ("jobs", "/ajax-api/3.0/jobs/"),
        ("jobs", "/ajax-api/3.0/mlflow/jobs/cancel/1"),
        ("jobs", "/ajax-api/3.0/mlflow/scorer/invoke"),
        ("jobs", "/ajax-api/3.0/mlflow/genai/evaluate/invoke"),
    ],
)
@pytest.mark.parametrize("method", ["GET", "POST", "FROB"])
def test_assistant_gateway_mcp_and_jobs_are_off(method, router, path):
    refusal = judge_route(method, path, set(Router) - {Router(router)})
    assert isinstance(refusal, Forbidden)
    assert "off by default" in refusal.message
    assert f"--mlflow-routers {router}" in refusal.hint


@pytest.mark.parametrize("path", ["/ajax-api/3.0/mlflow/issues/invoke", "/api/3.0/mlflow/prompt-optimization/jobs"])
def test_what_would_start_a_job_is_off_with_the_jobs(path):
    assert isinstance(judge_route("POST", path), Forbidden)
    assert judge_route("POST", path, {Router.JOBS}) is None


@pytest.mark.parametrize("route", [route for route in ROUTES if route.router], ids=lambda r: f"{r.method} {r.path}")
def test_a_router_that_is_opened_is_open_with_all_its_routes_and_no_other_is(route):
    path = route.path.replace(":path}", "}")
    assert judge_route(route.method, path, {route.router}) is None
    assert isinstance(judge_route(route.method, path, set(Router) - {route.router}), Forbidden)


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("POST", "/api/2.0/mlflow/runs/create"),
        ("GET", "/api/2.0/mlflow/registered-models/search"),
        ("HEAD", "/api/2.0/mlflow/registered-models/search"),
        ("OPTIONS", "/api/2.0/mlflow/registered-models/create"),
        ("GET", "/api/2.0/mlflow/registered-models/unknown"),
        ("PUT", "/api/2.0/mlflow-artifacts/artifacts/0/model-versions/x"),
        ("PUT", "/api/2.0/mlflow-artifacts/artifacts/0//x\ny"),
        ("POST", "/api/3.0/mlflow/scorers/register"),
        ("POST", "/api/3.0/mlflow/issues/search"),
        ("POST", "/api/3.0/mlflow/prompt-optimization/jobs/search"),
        ("POST", "/graphql"),
        ("POST", "/v1/traces"),
    ],
)
def test_everything_else_of_mlflow_is_open(method, path):
    assert judge_route(method, path) is None


def test_a_call_through_an_opened_router_is_on_the_record_before_it_goes_on_and_a_read_is_not():
    inner, told = Echo([]), list[tuple]()
    keeper = Gatekeeper(
        inner, refused=lambda *_: None, called=lambda *call: told.append((*call, len(inner.seen))), opened={Router.MCP}
    )
    assert ask(keeper, "GET", "/api/3.0/mlflow/mcp-servers").status == 200
    assert ask(keeper, "POST", "/api/3.0/mlflow/mcp-servers").status == 200
    assert told == [("mcp", "POST /api/3.0/mlflow/mcp-servers", 1)]


def test_a_call_that_cannot_be_put_on_the_record_does_not_go_on():
    def full(_router: str, _route: str) -> None:
        raise RuntimeError("disk")

    inner = Echo([])
    keeper = Gatekeeper(inner, refused=lambda *_: None, called=full, opened={Router.MCP})
    with pytest.raises(RuntimeError, match="disk"):
        ask(keeper, "POST", "/api/3.0/mlflow/mcp-servers")
    assert inner.seen == []


def test_a_refused_change_is_on_the_record_and_a_refused_read_is_not():
    told: list[str] = []
    keeper = Gatekeeper(Echo([]), refused=lambda route, _why: told.append(route), called=lambda *_: None)
    assert ask(keeper, "GET", "/gateway/mlflow/v1/models").status == 403
    assert ask(keeper, "POST", "/api/2.0/mlflow/registered-models/wipe").status == 403
    assert ask(keeper, "POST", "/nowhere").json["error_code"] == "ENDPOINT_NOT_FOUND"
    assert told == ["POST /api/2.0/mlflow/registered-models/wipe"]


def test_no_route_is_declared_twice():
    declared = [(route.method, route.path) for route in ROUTES]
    assert [one for one in declared if declared.count(one) > 1] == []


def test_what_changes_the_registry_ends_in_the_governed_store():
    falling = [route for route in ROUTES if route.changes is Changes.REGISTRY and route.way is Way.MLFLOW]
    # its job writes the prompt, in a process that has nothing but this server's address
    assert {route.path for route in falling if route.router is None} == set()


def test_the_page_of_routes_holds_exactly_what_the_server_judges_by():
    _, mark, written = PAGE.read_text(encoding="utf-8").partition(MARK)
    assert mark, f"{PAGE} lacks the line {MARK}"
    assert written.strip() == tables().strip(), "run `python tools/write_routes.py`"


def test_the_routes_of_a_router_are_recognised_by_their_paths_too():
    # else an undeclared route beneath it would count as one of nowhere
    for route in ROUTES:
        if route.router and "prompt-optimization" not in route.path:
            assert known_routes.router_of(route.path) == route.router, route
