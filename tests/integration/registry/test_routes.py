"""The table of routes is complete: it has every route of MLflow's application and of ours, and none that is gone."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator
from typing import Any

import pytest

from lockgate.server.problems import TABLE, Problem
from lockgate.server.registry import artifact_routes, known_routes
from lockgate.server.registry.artifact_routes import Kind
from lockgate.server.registry.known_routes import BOTH, ROUTES, Route, Way
from lockgate.wire.requests import PREFIX

# what MLflow's Flask and FastAPI parts add to every route
ADDED = {"HEAD", "OPTIONS"}


def test_the_table_has_every_route_of_mlflow_and_none_that_is_gone():
    from mlflow.server import app as flask_app
    from mlflow.server.fastapi_app import app

    declared = {(route.method, _nameless(route.path)) for route in ROUTES}
    there = set(_of_flask(flask_app)) | set(_of_fastapi(app.routes))
    assert len(there) > 300, "MLflow's routes were not found: this test looks at the wrong place"
    assert there - declared == set(), "MLflow has them, known_routes.py lacks them: read them, then declare them"
    assert declared - there == set(), "known_routes.py has them, MLflow does not"


def test_the_table_has_every_route_of_ours_and_none_that_is_gone():
    from lockgate.server.api.app import create_api

    nobody: Any = None  # nothing is asked of it
    api: Any = create_api(nobody, nobody, parse_policy=nobody)
    there = {(method, PREFIX + path) for method, path in _of_fastapi(api.routes)}
    there |= {("GET", "/health"), ("GET", "/ready")}  # of `waiting`, which answers before anything is loaded
    declared = {(method, _nameless(line.path)) for line in known_routes.own() for method in line.methods}
    assert there == declared


def test_what_the_table_calls_native_is_answered_by_our_own_routes_and_nothing_else_is(monkeypatch):
    from mlflow.server import handlers

    from lockgate.server.registry.reads import NativeReads
    from lockgate.server.registry.writes import HANDLERS

    monkeypatch.setattr(handlers, "_get_model_registry_store", lambda: None)
    nobody: Any = None
    reads = NativeReads(nobody)
    native = {("GET", path) for path in reads._gets} | {("POST", path) for path in reads._posts} | set(HANDLERS)
    assert {
        (one.method, one.path) for one in ROUTES if one.way is Way.NATIVE and _artifacts_kind(one) is None
    } == native


def test_the_table_says_of_which_routes_the_door_of_artifacts_takes_care():
    for route in ROUTES:
        kind = _artifacts_kind(route)
        expected = None if kind is None else Way.NATIVE if kind.is_download else Way.JUDGED
        assert expected is None or route.way is expected, route
        assert expected is not None or route.way is not Way.JUDGED, route


@pytest.mark.parametrize("prefix", BOTH)
def test_both_prefixes_of_mlflow_have_the_same_table(prefix):
    with_star = [line for _, lines in known_routes.parts() for line in lines if line.path.startswith("*")]
    for line in with_star:
        found = known_routes.find(line.methods[0], prefix + line.path[1:])
        assert found is not None, line
        assert (found.changes, found.way, found.router) == (line.changes, line.way, line.router)


def _artifacts_kind(route: Route) -> Kind | None:
    path = re.sub(r"\{\w+(:path)?\}", lambda place: "a/b" if place[1] else "a", route.path)
    found = artifact_routes.find(route.method, path)
    return found.kind if found else None


def _of_flask(app: Any) -> Iterator[tuple[str, str]]:
    for rule in app.url_map.iter_rules():
        path = re.sub(r"<(?:(path):)?\w+>", lambda place: "{:path}" if place[1] else "{}", rule.rule)
        for method in rule.methods - ADDED:
            yield method, path


def _of_fastapi(routes: Iterable[Any]) -> Iterator[tuple[str, str]]:
    for route in routes:
        if hasattr(route, "effective_candidates"):  # a router that was included
            yield from _of_fastapi([*route.effective_candidates(), *route.effective_low_priority_routes()])
        elif methods := getattr(route, "methods", None):
            for method in methods - ADDED:
                yield method, _nameless(route.path)


def _nameless(path: str) -> str:
    return re.sub(r"\{\w+(:path)?\}", lambda place: "{:path}" if place[1] else "{}", path)


def test_our_errors_carry_the_same_classes_as_mlflows():
    from mlflow.exceptions import MlflowException
    from mlflow.protos.databricks_pb2 import ErrorCode

    for status, code in [*TABLE.values(), (404, "ENDPOINT_NOT_FOUND")]:
        theirs = json.loads(MlflowException("x", error_code=ErrorCode.Value(code)).serialize_as_json())
        assert Problem(status, code, "x").as_json() == theirs
