"""Which of MLflow's routes are open."""

from __future__ import annotations

import pytest

from lockgate.domain.errors import Forbidden
from lockgate.server.registry.gatekeeper import KNOWN, judge_route


@pytest.mark.parametrize("prefix", ["/api/2.0/mlflow/", "/ajax-api/2.0/mlflow/", "//api/2.0//mlflow/"])
@pytest.mark.parametrize(("method", "route"), sorted(KNOWN))
def test_the_known_ways_to_change_the_registry_are_open(prefix, method, route):
    assert judge_route(method, prefix + route) is None


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("POST", "/api/2.0/mlflow/registered-models/wipe"),
        ("PUT", "/api/2.0/mlflow/registered-models/create"),
        ("POST", "/api/3.0/mlflow/model-versions/copy"),
        ("DELETE", "/ajax-api/2.0/mlflow/model-versions"),
        ("POST", "/api/2.1/unity-catalog/models"),
        ("POST", "//api/2.0/mlflow//registered-models/wipe"),
        ("DELETE", "/api/3.0/mlflow/workspaces/default"),
    ],
)
def test_an_unknown_way_to_change_it_is_refused(method, path):
    assert isinstance(judge_route(method, path), Forbidden)


@pytest.mark.parametrize(
    "path",
    [
        "/gateway/x/mlflow/invocations",
        "/api/3.0/mlflow/gateway/secrets/create",
        "/ajax-api/2.0/mlflow/gateway-proxy",
        "/ajax-api/3.0/mlflow/assistant/message",
        "/api/3.0/mlflow/mcp-servers",
        "/ajax-api/3.0/jobs/",
        "/ajax-api/3.0/mlflow/jobs/cancel/1",
        "/ajax-api/3.0/mlflow/scorer/invoke",
        "/ajax-api/3.0/mlflow/issues/invoke",
        "/ajax-api/3.0/mlflow/genai/evaluate/invoke",
        "/api/3.0/mlflow/prompt-optimization/jobs",
    ],
)
@pytest.mark.parametrize("method", ["GET", "POST"])
def test_assistant_gateway_mcp_and_jobs_are_off(method, path):
    refusal = judge_route(method, path)
    assert refusal is not None
    assert "off by default" in refusal.message


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("POST", "/api/2.0/mlflow/runs/create"),
        ("GET", "/api/2.0/mlflow/registered-models/search"),
        ("PUT", "/api/2.0/mlflow-artifacts/artifacts/0/model-versions/x"),
        ("POST", "/api/3.0/mlflow/scorers/register"),
        ("POST", "/api/3.0/mlflow/issues/search"),
        ("POST", "/graphql"),
    ],
)
def test_everything_else_of_mlflow_is_open(method, path):
    assert judge_route(method, path) is None
