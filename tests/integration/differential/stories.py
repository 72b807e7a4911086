"""Stories: sequences of requests to the registry, well-formed and malformed, made from a seed."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from random import Random
from typing import Any
from urllib.parse import urlencode

from tests.integration.differential.pair import Request
from tests.integration.differential.values import ODD, ODD_BODIES, Values

PREFIXES = ("/api/2.0/mlflow/", "/ajax-api/2.0/mlflow/")
JSON = (("Content-Type", "application/json"),)
FORM = (("Content-Type", "application/x-www-form-urlencoded"),)

Make = Callable[[Values], Any]


@dataclass(frozen=True)
class Route:
    """A method, a path, how often it is asked, and how each parameter is filled that it must have or may have."""

    method: str
    path: str
    weight: int = 1
    must: Mapping[str, Make] = field(default_factory=dict)
    may: Mapping[str, Make] = field(default_factory=dict)


_NAME: dict[str, Make] = {"name": Values.name}
_VERSION: dict[str, Make] = {**_NAME, "version": Values.version}
_DESCRIBED: dict[str, Make] = {"description": Values.value}
_KEY: dict[str, Make] = {"key": Values.key}
_VALUE: dict[str, Make] = {"value": Values.value}
_ALIAS: dict[str, Make] = {**_NAME, "alias": Values.alias}
_MODELS: dict[str, Make] = {"max_results": Values.most, "order_by": Values.models_order}
_VERSIONS: dict[str, Make] = {"max_results": Values.most, "order_by": Values.versions_order}
_BROKEN: dict[str, Make] = {"filter": Values.broken_filter}
_ORIGIN: dict[str, Make] = {"run_id": Values.run_id, "run_link": Values.value, "tags": Values.tags, **_DESCRIBED}
_HOOK: dict[str, Make] = {"name": Values.hook, "url": Values.url, "events": Values.events}
_HOOK_MORE: dict[str, Make] = {"secret": Values.secret, "status": Values.status, **_DESCRIBED}
ROUTES = (
    Route("POST", "registered-models/create", 3, _NAME, {"tags": Values.tags, **_DESCRIBED}),
    Route("GET", "registered-models/get", 3, _NAME),
    Route("PATCH", "registered-models/update", 2, _NAME, _DESCRIBED),
    Route("POST", "registered-models/rename", 1, {**_NAME, "new_name": Values.name}),
    Route("DELETE", "registered-models/delete", 1, _NAME),
    Route("GET", "registered-models/search", 3, {"filter": Values.models_filter}, _MODELS),
    Route("GET", "registered-models/search", 2, _BROKEN, {**_MODELS, "page_token": Values.token}),
    Route("GET", "registered-models/get-latest-versions", 3, _NAME, {"stages": Values.stages}),
    Route("POST", "registered-models/get-latest-versions", 2, _NAME, {"stages": Values.stages}),
    Route("POST", "registered-models/set-tag", 3, {**_NAME, **_KEY}, _VALUE),
    Route("DELETE", "registered-models/delete-tag", 1, {**_NAME, **_KEY}),
    Route("POST", "registered-models/alias", 3, {**_ALIAS, "version": Values.version}),
    Route("DELETE", "registered-models/alias", 1, _ALIAS),
    Route("GET", "registered-models/alias", 3, _ALIAS),
    Route("POST", "model-versions/create", 5, {**_NAME, "source": Values.source}, _ORIGIN),
    Route("GET", "model-versions/get", 4, _VERSION),
    Route("PATCH", "model-versions/update", 2, _VERSION, _DESCRIBED),
    Route("DELETE", "model-versions/delete", 1, _VERSION),
    Route("GET", "model-versions/search", 4, {"filter": Values.versions_filter}, _VERSIONS),
    Route("GET", "model-versions/search", 2, _BROKEN, {**_VERSIONS, "page_token": Values.token}),
    Route("POST", "model-versions/set-tag", 3, {**_VERSION, **_KEY}, _VALUE),
    Route("DELETE", "model-versions/delete-tag", 1, {**_VERSION, **_KEY}),
    Route(
        "POST",
        "model-versions/transition-stage",
        5,
        {**_VERSION, "stage": Values.stage},
        {"archive_existing_versions": Values.flag},
    ),
    Route("GET", "model-versions/get-download-uri", 3, _VERSION),
    Route("POST", "webhooks", 2, _HOOK, _HOOK_MORE),
    Route("GET", "webhooks/{webhook}"),
    Route("PATCH", "webhooks/{webhook}", 1, {}, {**_HOOK, **_HOOK_MORE}),
    Route("DELETE", "webhooks/{webhook}"),
    Route("GET", "webhooks/nobody"),
)


def story(number: int, seed: int, length: int) -> Iterator[Request]:
    """So many requests about models of their own; the first ones make something to ask about."""
    random = Random(f"{seed}-{number}")
    values = Values(random, f"s{number}-")
    first = values.names[0]
    yield post("registered-models/create", name=first)
    yield post("model-versions/create", name=first, source="s3://bucket/model")
    for _ in range(length - 2):
        route = random.choices(ROUTES, [route.weight for route in ROUTES])[0]
        yield _one(route, values)


def post(path: str, **told: Any) -> Request:
    """A plain POST."""
    return Request("POST", PREFIXES[0] + path, "", json.dumps(told).encode(), JSON)


def get(path: str, **told: Any) -> Request:
    """A plain GET; `...` for the page token is where the next page's token goes."""
    query = urlencode([(key, _text(one)) for key, one in _pairs(told) if one is not ...])
    if told.get("page_token") is ...:
        query += "&page_token={token}"
    return Request("GET", PREFIXES[0] + path, query)


def _one(route: Route, values: Values) -> Request:
    random = values.random
    told = {key: make(values) for key, make in route.must.items()}
    told |= {key: make(values) for key, make in route.may.items() if random.random() < 0.6}
    if told and random.random() < 0.3:
        told = _spoiled(told, values)
    path = values.pick(*PREFIXES) + route.path
    if random.random() < 0.12:
        return _misshapen(route.method, path, told, values)
    if route.method == "GET" and random.random() < 0.9:
        return Request("GET", path, _query(told))
    return Request(route.method, path, "", json.dumps(told).encode(), JSON)


def _spoiled(told: dict[str, Any], values: Values) -> dict[str, Any]:
    key = values.random.choice(sorted(told))
    match values.random.randrange(6):
        case 0:
            return {other: value for other, value in told.items() if other != key}
        case 1:
            return {**told, "unexpected": values.pick(*ODD)}
        case 2 if "_" in key:
            head, *rest = key.split("_")
            other = "".join([head, *(word.title() for word in rest)])
            renamed = {(other if one == key else one): value for one, value in told.items()}
            return renamed if values.random.random() < 0.7 else {**told, **renamed}
        case _:
            return {**told, key: values.pick(*ODD)}


def _misshapen(method: str, path: str, told: dict[str, Any], values: Values) -> Request:
    body = json.dumps(told).encode()
    plain, loud = (("Content-Type", "text/plain"),), (("Content-Type", "APPLICATION/JSON; charset=utf-8"),)
    return Request(
        *values.pick(
            (method, path, _query(told)),
            (method, path, _query(told), body, JSON),
            (method, path, "", body, plain),
            (method, path, "", body, FORM),
            (method, path, "", _query(told).encode(), FORM),
            (method, path, "", body),
            (method, path, "", body, loud),
            (method, path, "", values.pick(*ODD_BODIES), JSON),
            (method, path, "", json.dumps(json.dumps(told)).encode(), JSON),  # as MLflow's older clients send it
            (method, path, "", body[:-1] + (b', "name": "twice"}' if told else b'"name": "twice"}'), JSON),
            (method, path, "", json.dumps([told]).encode(), JSON),
            (method, path, "", b"[" * 3000, JSON),
            (method, path, "", b"\xef\xbb\xbf" + body, JSON),
            (values.pick("GET", "POST", "PATCH", "DELETE", "PUT", "HEAD"), path, "", body, JSON),
        )
    )


def _query(told: Mapping[str, Any]) -> str:
    return urlencode([(key, _text(one)) for key, one in _pairs(told)])


def _pairs(told: Mapping[str, Any]) -> list[tuple[str, Any]]:
    return [(key, one) for key, value in told.items() for one in (value if isinstance(value, list) else [value])]


def _text(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value)
