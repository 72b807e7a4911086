"""Every route of MLflow that somebody here has read: what it changes, who answers it, and which are off by default.

The gatekeeper judges by it, docs/reference/routes.md shows it, and a test holds it against MLflow's application.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from enum import StrEnum

from lockgate.config import Router
from lockgate.domain.access import Act
from lockgate.server.registry.own_routes import OWN_ROUTES
from lockgate.wire.requests import PREFIX

BOTH = ("/api", "/ajax-api")


class Changes(StrEnum):
    """What a route can change."""

    NOTHING = ""
    REGISTRY = "registry"
    ELSEWHERE = "elsewhere"  # runs, traces, artifacts, settings: whatever is no model, version, alias or prompt


class Way(StrEnum):
    """Who answers. What changes the registry ends in the governed store, whichever it is."""

    NATIVE = "native"
    GOVERNED = "MLflow's route, our store"
    JUDGED = "falls through, once the places it writes to are judged"
    MLFLOW = "falls through"
    OURS = "Lockgate"


@dataclass(frozen=True, slots=True)
class Route:
    """One method and path. `{name}` in the path is one segment, `{name:path}` one or more.

    `acts` are those of which the caller needs one, once there are people: on the model where one is named. None is
    everybody, and an empty set whoever has logged in.
    """

    method: str
    path: str
    part: str
    changes: Changes
    way: Way
    router: Router | None
    acts: frozenset[Act] | None


@dataclass(frozen=True, slots=True)
class Line:
    """Some methods of a path as the table shows them; a leading `*` is written for `/api` and `/ajax-api`."""

    methods: tuple[str, ...]
    path: str
    changes: Changes
    way: Way
    router: Router | None
    acts: frozenset[Act] | None


# Methods, path and marks: R changes the registry, E changes something else, N native, G our store by MLflow's route,
# J judged by the places it writes to, O our own answer, or the name of a router that is off by default. Without R or E
# it only reads, whatever its method. What the caller needs is a mark of `_ACTS`; without one it is to read where
# nothing changes, to write where something else than the registry does, and to call routers in one of those. What
# changes the registry says it, or the server does not start.
_TABLE = {
    "Registered models": """
        GET     */2.0/mlflow/registered-models/get                  N
        GET     */2.0/mlflow/registered-models/search               N
        GET,POST */2.0/mlflow/registered-models/get-latest-versions N
        GET     */2.0/mlflow/registered-models/alias                N
        POST    */2.0/mlflow/registered-models/alias                R N write|ask
        DELETE  */2.0/mlflow/registered-models/alias                R N write
        POST    */2.0/mlflow/registered-models/create               R N write
        PATCH   */2.0/mlflow/registered-models/update               R N write
        POST    */2.0/mlflow/registered-models/rename               R N remove
        DELETE  */2.0/mlflow/registered-models/delete               R N remove
        POST    */2.0/mlflow/registered-models/set-tag              R N write
        DELETE  */2.0/mlflow/registered-models/delete-tag           R N write
    """,
    "Model versions": """
        GET     */2.0/mlflow/model-versions/get                     N
        GET     */2.0/mlflow/model-versions/search                  N
        GET     */2.0/mlflow/model-versions/get-download-uri        N
        POST    */2.0/mlflow/model-versions/create                  R N write
        PATCH   */2.0/mlflow/model-versions/update                  R N write
        DELETE  */2.0/mlflow/model-versions/delete                  R N remove
        POST    */2.0/mlflow/model-versions/transition-stage        R N ask
        POST    */2.0/mlflow/model-versions/set-tag                 R N write|ask|decide
        DELETE  */2.0/mlflow/model-versions/delete-tag              R N write
        GET     /model-versions/get-artifact                        N
    """,
    "Webhooks": """
        GET     */2.0/mlflow/webhooks                               G
        POST    */2.0/mlflow/webhooks                               R G webhooks
        GET     */2.0/mlflow/webhooks/{webhook_id}                  G
        PATCH   */2.0/mlflow/webhooks/{webhook_id}                  R G webhooks
        DELETE  */2.0/mlflow/webhooks/{webhook_id}                  R G webhooks
        POST    */2.0/mlflow/webhooks/{webhook_id}/test             E G webhooks
    """,
    "Prompts, and the demo": """
        POST    */2.0/mlflow/traces/link-prompts                    E
        GET,POST */3.0/mlflow/prompt-optimization/jobs/search
        GET     */3.0/mlflow/prompt-optimization/jobs/{job_id}
        DELETE  */3.0/mlflow/prompt-optimization/jobs/{job_id}      E
        POST    */3.0/mlflow/prompt-optimization/jobs/{job_id}/cancel E
        POST    */3.0/mlflow/prompt-optimization/jobs               R jobs
        POST    /ajax-api/3.0/mlflow/demo/generate                  R G write
        POST    /ajax-api/3.0/mlflow/demo/delete                    R G remove
    """,
    "GraphQL": """
        GET,POST /graphql                                           G
    """,
    "Artifacts": """
        GET     */2.0/mlflow-artifacts/artifacts
        GET     */2.0/mlflow-artifacts/artifacts/{artifact_path:path} N
        PUT,DELETE */2.0/mlflow-artifacts/artifacts/{artifact_path:path} E J
        POST    */2.0/mlflow-artifacts/mpu/create/{artifact_path:path}   E J
        POST    */2.0/mlflow-artifacts/mpu/complete/{artifact_path:path} E J
        POST    */2.0/mlflow-artifacts/mpu/abort/{artifact_path:path}    E
        GET     */2.0/mlflow-artifacts/presigned/{artifact_path:path}
        GET     */2.0/mlflow/artifacts/list
        POST    */2.0/mlflow/artifacts/presigned-download-url
        POST    */2.0/mlflow/artifacts/presigned-upload-url         E J
        POST    /ajax-api/2.0/mlflow/upload-artifact                E J
        GET     /get-artifact                                       N
    """,
    "Experiments and runs": """
        GET     */2.0/mlflow/experiments/get
        GET     */2.0/mlflow/experiments/get-by-name
        GET,POST */2.0/mlflow/experiments/search
        POST    /ajax-api/2.0/mlflow/experiments/search-datasets
        POST    */2.0mlflow/experiments/search-datasets
        POST    */2.0/mlflow/experiments/create                     E
        POST    */2.0/mlflow/experiments/update                     E
        POST    */2.0/mlflow/experiments/delete                     E
        POST    */2.0/mlflow/experiments/restore                    E
        POST    */2.0/mlflow/experiments/set-experiment-tag         E
        POST    */2.0/mlflow/experiments/delete-experiment-tag      E
        GET     */2.0/mlflow/runs/get
        POST    */2.0/mlflow/runs/search
        POST    */2.0/mlflow/runs/create                            E
        POST    */2.0/mlflow/runs/update                            E
        POST    */2.0/mlflow/runs/delete                            E
        POST    */2.0/mlflow/runs/restore                           E
        POST    */2.0/mlflow/runs/log-metric                        E
        POST    */2.0/mlflow/runs/log-parameter                     E
        POST    */2.0/mlflow/runs/log-batch                         E
        POST    */2.0/mlflow/runs/log-inputs                        E
        POST    */2.0/mlflow/runs/log-model                         E
        POST    */2.0/mlflow/runs/outputs                           E
        POST    */2.0/mlflow/runs/set-tag                           E
        POST    */2.0/mlflow/runs/delete-tag                        E
        POST    /ajax-api/2.0/mlflow/runs/create-promptlab-run      E J
        GET     */2.0/mlflow/metrics/get-history
        GET     /ajax-api/2.0/mlflow/metrics/get-history-bulk
        GET     */2.0/mlflow/metrics/get-history-bulk-interval
    """,
    "Logged models": """
        POST    */2.0/mlflow/logged-models                          E
        POST    */2.0/mlflow/logged-models/search
        GET     */2.0/mlflow/logged-models/{model_id}
        PATCH,DELETE */2.0/mlflow/logged-models/{model_id}          E
        POST    */2.0/mlflow/logged-models/{model_id}/params        E
        PATCH   */2.0/mlflow/logged-models/{model_id}/tags          E
        DELETE  */2.0/mlflow/logged-models/{model_id}/tags/{tag_key} E
        GET     */2.0/mlflow/logged-models/{model_id}/artifacts/directories
        GET     /ajax-api/2.0/mlflow/logged-models/{model_id}/artifacts/files N
    """,
    "Traces": """
        POST    /v1/traces                                          E
        GET     */2.0/mlflow/traces
        POST    */2.0/mlflow/traces                                 E
        PATCH   */2.0/mlflow/traces/{request_id}                    E
        GET     */2.0/mlflow/traces/{request_id}/info
        PATCH,DELETE */2.0/mlflow/traces/{request_id}/tags          E
        POST    */2.0/mlflow/traces/delete-traces                   E
        POST    */2.0/mlflow/traces/link-to-run                     E
        GET     */2.0/mlflow/unified-traces
        GET     */2.0/mlflow/get-online-trace-details
        GET     /ajax-api/2.0/mlflow/get-trace-artifact
        GET     /ajax-api/3.0/mlflow/get-trace-artifact
        POST    */3.0/mlflow/traces                                 E
        GET     */3.0/mlflow/traces/get
        GET     */3.0/mlflow/traces/batchGet
        POST    */3.0/mlflow/traces/batchGetInfos
        POST    */3.0/mlflow/traces/calculate-filter-correlation
        POST    */3.0/mlflow/traces/metrics
        POST    */3.0/mlflow/traces/search
        POST    */3.0/mlflow/traces/delete-traces                   E
        GET     */3.0/mlflow/traces/{trace_id}
        PATCH,DELETE */3.0/mlflow/traces/{trace_id}/tags            E
        POST    */3.0/mlflow/traces/{trace_id}/assessments          E
        GET     */3.0/mlflow/traces/{trace_id}/assessments/{assessment_id}
        PATCH,DELETE */3.0/mlflow/traces/{trace_id}/assessments/{assessment_id} E
    """,
    "Evaluation": """
        POST    */3.0/mlflow/datasets/create                        E
        GET,POST */3.0/mlflow/datasets/search
        GET     */3.0/mlflow/datasets/{dataset_id}
        DELETE  */3.0/mlflow/datasets/{dataset_id}                  E
        GET     */3.0/mlflow/datasets/{dataset_id}/records
        POST,DELETE */3.0/mlflow/datasets/{dataset_id}/records      E
        GET     */3.0/mlflow/datasets/{dataset_id}/experiment-ids
        POST    */3.0/mlflow/datasets/{dataset_id}/add-experiments  E
        POST    */3.0/mlflow/datasets/{dataset_id}/remove-experiments E
        PATCH   */3.0/mlflow/datasets/{dataset_id}/tags             E
        DELETE  */3.0/mlflow/datasets/{dataset_id}/tags/{key}       E
        POST    */3.0/mlflow/issues                                 E
        POST    */3.0/mlflow/issues/search
        GET     */3.0/mlflow/issues/{issue_id}
        PATCH   */3.0/mlflow/issues/{issue_id}                      E
        GET     */3.0/mlflow/label-schemas/get
        GET     */3.0/mlflow/label-schemas/get-by-name
        GET     */3.0/mlflow/label-schemas/list
        POST    */3.0/mlflow/label-schemas/create                   E
        PATCH   */3.0/mlflow/label-schemas/update                   E
        DELETE  */3.0/mlflow/label-schemas/delete                   E
        GET     */3.0/mlflow/review-queues/get
        GET     */3.0/mlflow/review-queues/get-by-name
        GET     */3.0/mlflow/review-queues/list
        GET     */3.0/mlflow/review-queues/items/list
        POST    */3.0/mlflow/review-queues/create                   E
        POST    */3.0/mlflow/review-queues/get-or-create-user       E
        POST    */3.0/mlflow/review-queues/update                   E
        POST    */3.0/mlflow/review-queues/delete                   E
        POST    */3.0/mlflow/review-queues/items/add                E
        POST    */3.0/mlflow/review-queues/items/remove             E
        POST    */3.0/mlflow/review-queues/items/set-status         E
        GET     */3.0/mlflow/scorers/get
        GET     */3.0/mlflow/scorers/list
        GET     */3.0/mlflow/scorers/versions
        GET     */3.0/mlflow/scorers/online-configs
        POST    */3.0/mlflow/scorers/register                       E
        DELETE  */3.0/mlflow/scorers/delete                         E
        PUT     */3.0/mlflow/scorers/online-config                  E
    """,
    "Workspaces": """
        GET     */3.0/mlflow/workspaces
        GET     */3.0/mlflow/workspaces/{workspace_name}
        POST    */3.0/mlflow/workspaces                             R G routers
        PATCH,DELETE */3.0/mlflow/workspaces/{workspace_name}       R G routers
    """,
    "Jobs": """
        POST    /ajax-api/3.0/jobs/                                 E jobs
        POST    /ajax-api/3.0/jobs/search                           jobs
        GET     /ajax-api/3.0/jobs/{job_id}                         jobs
        PATCH   /ajax-api/3.0/jobs/cancel/{job_id}                  E jobs
        GET     /ajax-api/3.0/mlflow/jobs/{job_id}                  jobs
        PATCH   /ajax-api/3.0/mlflow/jobs/cancel/{job_id}           E jobs
        POST    /ajax-api/3.0/mlflow/scorer/invoke                  E jobs
        POST    /ajax-api/3.0/mlflow/issues/invoke                  E jobs
        POST    /ajax-api/3.0/mlflow/genai/evaluate/invoke          E jobs
    """,
    "Assistant": """
        POST    /ajax-api/3.0/mlflow/assistant/message              E assistant
        GET     /ajax-api/3.0/mlflow/assistant/sessions/{session_id}/stream assistant
        PATCH   /ajax-api/3.0/mlflow/assistant/sessions/{session_id} E assistant
        POST    /ajax-api/3.0/mlflow/assistant/sessions/{session_id}/permission E assistant
        POST    /ajax-api/3.0/mlflow/assistant/sessions/{session_id}/tool-result E assistant
        GET     /ajax-api/3.0/mlflow/assistant/providers            assistant
        GET     /ajax-api/3.0/mlflow/assistant/providers/{provider}/health assistant
        GET     /ajax-api/3.0/mlflow/assistant/providers/{provider}/models assistant
        GET     /ajax-api/3.0/mlflow/assistant/config               assistant
        PUT     /ajax-api/3.0/mlflow/assistant/config               E assistant
        POST    /ajax-api/3.0/mlflow/assistant/skills/install       E assistant
    """,
    "MCP servers": """
        GET     */3.0/mlflow/mcp-servers                            mcp
        POST    */3.0/mlflow/mcp-servers                            E mcp
        GET     */3.0/mlflow/mcp-servers/endpoints                  mcp
        GET     */3.0/mlflow/mcp-servers/{name:path}                mcp
        PATCH,DELETE */3.0/mlflow/mcp-servers/{name:path}           E mcp
        GET     */3.0/mlflow/mcp-servers/{name:path}/versions       mcp
        POST    */3.0/mlflow/mcp-servers/{name:path}/versions       E mcp
        GET     */3.0/mlflow/mcp-servers/{name:path}/versions/{version:path} mcp
        PATCH,DELETE */3.0/mlflow/mcp-servers/{name:path}/versions/{version:path} E mcp
        POST    */3.0/mlflow/mcp-servers/{name:path}/versions/{version:path}/tags E mcp
        DELETE  */3.0/mlflow/mcp-servers/{name:path}/versions/{version:path}/tags/{key:path} E mcp
        GET     */3.0/mlflow/mcp-servers/{name:path}/endpoints      mcp
        POST    */3.0/mlflow/mcp-servers/{name:path}/endpoints      E mcp
        GET     */3.0/mlflow/mcp-servers/{name:path}/endpoints/{endpoint_id} mcp
        PATCH,DELETE */3.0/mlflow/mcp-servers/{name:path}/endpoints/{endpoint_id} E mcp
        POST    */3.0/mlflow/mcp-servers/{name:path}/tags           E mcp
        DELETE  */3.0/mlflow/mcp-servers/{name:path}/tags/{key:path} E mcp
        POST    */3.0/mlflow/mcp-servers/{name:path}/aliases        E mcp
        GET     */3.0/mlflow/mcp-servers/{name:path}/aliases/{alias:path} mcp
        DELETE  */3.0/mlflow/mcp-servers/{name:path}/aliases/{alias:path} E mcp
    """,
    "AI gateway": """
        GET     /gateway/mlflow/v1/models                           gateway
        POST    /gateway/mlflow/v1/chat/completions                 E gateway
        POST    /gateway/openai/v1/chat/completions                 E gateway
        POST    /gateway/openai/v1/embeddings                       E gateway
        POST    /gateway/openai/v1/responses                        E gateway
        POST    /gateway/openai/v1/responses/compact                E gateway
        POST    /gateway/anthropic/v1/messages                      E gateway
        POST    /gateway/typesafe/v1/systemone                      E gateway
        POST    /gateway/gemini/v1beta/models/{endpoint_name}:generateContent E gateway
        POST    /gateway/gemini/v1beta/models/{endpoint_name}:streamGenerateContent E gateway
        POST    /gateway/{endpoint_name}/mlflow/invocations         E gateway
        POST    /gateway/proxy/{endpoint_name}/{path:path}          E gateway
        GET,POST /ajax-api/2.0/mlflow/gateway-proxy                 E gateway
        GET     /ajax-api/3.0/mlflow/gateway/provider-config        gateway
        GET     /ajax-api/3.0/mlflow/gateway/secrets/config         gateway
        GET     /ajax-api/3.0/mlflow/gateway/supported-models       gateway
        GET     /ajax-api/3.0/mlflow/gateway/supported-providers    gateway
        GET     */3.0/mlflow/gateway/secrets/get                    gateway
        GET     */3.0/mlflow/gateway/secrets/list                   gateway
        POST    */3.0/mlflow/gateway/secrets/create                 E gateway
        POST    */3.0/mlflow/gateway/secrets/update                 E gateway
        DELETE  */3.0/mlflow/gateway/secrets/delete                 E gateway
        GET     */3.0/mlflow/gateway/endpoints/get                  gateway
        GET     */3.0/mlflow/gateway/endpoints/list                 gateway
        POST    */3.0/mlflow/gateway/endpoints/create               E gateway
        POST    */3.0/mlflow/gateway/endpoints/update               E gateway
        DELETE  */3.0/mlflow/gateway/endpoints/delete               E gateway
        POST    */3.0/mlflow/gateway/endpoints/set-tag              E gateway
        DELETE  */3.0/mlflow/gateway/endpoints/delete-tag           E gateway
        GET     */3.0/mlflow/gateway/endpoints/bindings/list        gateway
        POST    */3.0/mlflow/gateway/endpoints/bindings/create      E gateway
        DELETE  */3.0/mlflow/gateway/endpoints/bindings/delete      E gateway
        POST    */3.0/mlflow/gateway/endpoints/models/attach        E gateway
        POST    */3.0/mlflow/gateway/endpoints/models/detach        E gateway
        GET     */3.0/mlflow/gateway/model-definitions/get          gateway
        GET     */3.0/mlflow/gateway/model-definitions/list         gateway
        POST    */3.0/mlflow/gateway/model-definitions/create       E gateway
        POST    */3.0/mlflow/gateway/model-definitions/update       E gateway
        DELETE  */3.0/mlflow/gateway/model-definitions/delete       E gateway
        GET     */3.0/mlflow/gateway/budgets/get                    gateway
        GET     */3.0/mlflow/gateway/budgets/list                   gateway
        GET     */3.0/mlflow/gateway/budgets/windows                gateway
        POST    */3.0/mlflow/gateway/budgets/create                 E gateway
        POST    */3.0/mlflow/gateway/budgets/update                 E gateway
        DELETE  */3.0/mlflow/gateway/budgets/delete                 E gateway
        GET     */3.0/mlflow/gateway/guardrails/get                 gateway
        GET     */3.0/mlflow/gateway/guardrails/list                gateway
        GET     */3.0/mlflow/gateway/guardrails/list-for-endpoint   gateway
        POST    */3.0/mlflow/gateway/guardrails/create              E gateway
        DELETE  */3.0/mlflow/gateway/guardrails/delete              E gateway
        POST    */3.0/mlflow/gateway/guardrails/add-to-endpoint     E gateway
        DELETE  */3.0/mlflow/gateway/guardrails/remove-from-endpoint E gateway
        PATCH   */3.0/mlflow/gateway/guardrails/update-config       E gateway
    """,
    "Pages and the server itself": """
        GET     /
        GET     /static-files/{path:path}
        GET     /build/{filename:path}
        GET     /version open
        GET     /health                                             O open
        GET     */3.0/mlflow/server-info
        GET     /ajax-api/3.0/mlflow/ui-telemetry
        POST    /ajax-api/3.0/mlflow/ui-telemetry                   E read
    """,
}
_CHANGES = {"R": Changes.REGISTRY, "E": Changes.ELSEWHERE}
_WAYS = {"N": Way.NATIVE, "G": Way.GOVERNED, "O": Way.OURS, "J": Way.JUDGED}
ANYBODY = None
LOGGED_IN: frozenset[Act] = frozenset()
_ACTS = {
    "read": Act.READ,
    "record": Act.READ_RECORD,
    "predictions": Act.READ_PREDICTIONS,
    "write": Act.WRITE,
    "ask": Act.ASK,
    "check": Act.REPORT_CHECK,
    "number": Act.NUMBER,
    "decide": Act.DECIDE,
    "glass": Act.BREAK_GLASS,
    "operate": Act.OPERATE,
    "remove": Act.REMOVE,
    "webhooks": Act.MANAGE_WEBHOOKS,
    "policy": Act.CHANGE_POLICY,
    "people": Act.MANAGE_PEOPLE,
    "routers": Act.CALL_ROUTERS,
    "keep": Act.KEEP_RECORD,
}
# `open` is for everybody, `own` for whoever has logged in: what is theirs alone
_FREE: Mapping[str, frozenset[Act] | None] = {"open": ANYBODY, "own": LOGGED_IN}
_SLASHES = re.compile(r"/{2,}")
_PLACE = re.compile(r"\{(\w+)(:path)?\}")
# beneath these nothing is open that the table lacks, and nothing at all while their router is off
_OF_ROUTER: Mapping[Router, re.Pattern[str]] = {
    Router.ASSISTANT: re.compile(r"/(ajax-)?api/\d+\.\d+/mlflow/assistant(/|$)"),
    Router.GATEWAY: re.compile(r"/gateway(/|$)|/(ajax-)?api/\d+\.\d+/mlflow/(gateway|gateway-proxy)(/|$)"),
    Router.MCP: re.compile(r"/(ajax-)?api/\d+\.\d+/mlflow/(mcp-servers|mcp)(/|$)"),
    Router.JOBS: re.compile(
        r"/(ajax-)?api/\d+\.\d+/(mlflow/)?jobs(/|$)"
        r"|/(ajax-)?api/\d+\.\d+/mlflow/(scorer|issues|genai/evaluate)/invoke(/|$)"
    ),
}
_REGISTRY = re.compile(
    r"/(ajax-)?api/\d+\.\d+/(mlflow/|preview/)*(registered-models|model-versions|registered_models|model_versions"
    r"|unity-catalog|webhooks|workspaces)(/|$)"
)


def parts() -> Iterator[tuple[str, tuple[Line, ...]]]:
    """The table as it is shown: each part's heading and its lines."""
    for part, text in _TABLE.items():
        yield part, _lines(text)


def own() -> tuple[Line, ...]:
    """Lockgate's own routes. They never come before the gatekeeper: it stands before MLflow's alone."""
    return tuple(replace(line, way=Way.OURS) for line in _lines(OWN_ROUTES))


def find(method: str, path: str) -> Route | None:
    """The route of that method and path; HEAD is asked where GET is. Doubled slashes count as one."""
    method = "GET" if method == "HEAD" else method
    if found := _PLAIN.get((method, path)):
        return found
    path = without_doubled_slashes(path)
    if found := _PLAIN.get((method, path)):
        return found
    return next((route for route, pattern in _PATTERNS.get(method, ()) if pattern.fullmatch(path)), None)


def find_own(method: str, path: str) -> Route | None:
    """The route of our own with that method and path; HEAD is asked where GET is."""
    method = "GET" if method == "HEAD" else method
    if found := _OWN_PLAIN.get((method, path)):
        return found
    return next((route for route, pattern in _OWN_PATTERNS.get(method, ()) if pattern.fullmatch(path)), None)


def router_of(path: str) -> Router | None:
    """The router that everything beneath that path belongs to."""
    path = without_doubled_slashes(path)
    return next((router for router, pattern in _OF_ROUTER.items() if pattern.match(path)), None)


def is_of_the_registry(path: str) -> bool:
    """Whether that is where registries are changed: an unknown change there is refused and put on the record."""
    return _REGISTRY.match(without_doubled_slashes(path)) is not None


def without_doubled_slashes(path: str) -> str:
    """The path as MLflow's application matches it."""
    return _SLASHES.sub("/", path)


def _lines(text: str) -> tuple[Line, ...]:
    return tuple(_line(row.split()) for row in text.splitlines() if row.strip())


def _line(words: list[str]) -> Line:
    methods, path, *marks = words
    changes = next((_CHANGES[mark] for mark in marks if mark in _CHANGES), Changes.NOTHING)
    acts = [mark for mark in marks if mark in _FREE or set(mark.split("|")) <= _ACTS.keys()]
    named = [mark for mark in marks if mark not in _CHANGES and mark not in _WAYS and mark not in acts]
    router = Router(named[0]) if named else None
    return Line(
        tuple(methods.split(",")),
        path,
        changes,
        next((_WAYS[mark] for mark in marks if mark in _WAYS), Way.MLFLOW),
        router,
        _acts(acts, changes, router, path),
    )


def _acts(marks: list[str], changes: Changes, router: Router | None, path: str) -> frozenset[Act] | None:
    """What the marks say a caller needs. Raises ValueError where nobody has said it."""
    if marks and marks[0] in _FREE:
        return _FREE[marks[0]]
    if marks:
        return frozenset(_ACTS[name] for name in marks[0].split("|"))
    if router is not None:
        return frozenset({Act.CALL_ROUTERS})
    if changes is Changes.REGISTRY or (changes is Changes.ELSEWHERE and path.startswith(PREFIX)):
        raise ValueError(f"known_routes.py does not say who may call {path}")
    return frozenset({Act.READ if changes is Changes.NOTHING else Act.WRITE})


def _routes(lines_of: Iterator[tuple[str, tuple[Line, ...]]]) -> Iterator[Route]:
    for part, lines in lines_of:
        for line in lines:
            paths = [prefix + line.path[1:] for prefix in BOTH] if line.path.startswith("*") else [line.path]
            for method in line.methods:
                for path in paths:
                    yield Route(method, path, part, line.changes, line.way, line.router, line.acts)


def _plain(routes: Iterable[Route]) -> dict[tuple[str, str], Route]:
    return {(route.method, route.path): route for route in routes}


def _patterns(routes: Iterable[Route]) -> dict[str, list[tuple[Route, re.Pattern[str]]]]:
    found: dict[str, list[tuple[Route, re.Pattern[str]]]] = {}
    for route in routes:
        if "{" in route.path:
            found.setdefault(route.method, []).append((route, _pattern(route.path)))
    return found


def _pattern(path: str) -> re.Pattern[str]:
    places = [(place.start(), place.end(), place[2]) for place in _PLACE.finditer(path)]
    pattern, after = "", 0
    for start, end, many in places:
        pattern += re.escape(path[after:start]) + (".+" if many else "[^/]+")
        after = end
    return re.compile(pattern + re.escape(path[after:]), re.DOTALL)


ROUTES = tuple(_routes(parts()))
OWN = tuple(_routes(iter([("Lockgate's own", own())])))
_PLAIN: Mapping[tuple[str, str], Route] = _plain(ROUTES)
_PATTERNS: Mapping[str, list[tuple[Route, re.Pattern[str]]]] = _patterns(ROUTES)
_OWN_PLAIN: Mapping[tuple[str, str], Route] = _plain(OWN)
_OWN_PATTERNS: Mapping[str, list[tuple[Route, re.Pattern[str]]]] = _patterns(OWN)
