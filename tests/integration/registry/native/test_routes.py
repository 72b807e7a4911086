"""The native routes answer with MLflow's JSON, and leave to MLflow what is not in the usual form."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from typing import Any
from urllib.parse import quote, urlencode

import pytest
from mlflow.exceptions import MlflowException
from mlflow.protos.model_registry_pb2 import (
    GetLatestVersions,
    GetModelVersion,
    GetModelVersionByAlias,
    GetModelVersionDownloadUri,
    GetRegisteredModel,
    SearchModelVersions,
    SearchRegisteredModels,
)
from mlflow.utils.proto_json_utils import message_to_json

from lockgate.server.registry.reads import NativeReads
from lockgate.server.replies import Message, Receive, Scope, Send
from tests.databases.backends import on_sqlite
from tests.integration.registry.native.content import NAMES, Pair

API = "/api/2.0/mlflow/"
PASSED_ON = 299  # the status by which the application behind tells that it was reached


@dataclass(frozen=True)
class Answer:
    status: int
    headers: dict[bytes, bytes]
    body: bytes

    @property
    def told(self) -> Any:
        return json.loads(self.body)


class Client:
    """Asks the native routes, in an event loop of its own that stays open from one request to the next."""

    def __init__(self, both: Pair) -> None:
        self._app = NativeReads(self._behind, both.ours)
        self.loop = asyncio.new_event_loop()

    def get(self, path: str, query: str = "", headers: tuple[tuple[bytes, bytes], ...] = ()) -> Answer:
        return self._ask("GET", path, query, headers, [])

    def post(self, path: str, body: bytes, kind: bytes = b"application/json") -> Answer:
        chunks = [body[:5], body[5:]]
        return self._ask("POST", path, "", ((b"content-type", kind),), chunks)

    def _ask(
        self, method: str, path: str, query: str, headers: tuple[tuple[bytes, bytes], ...], chunks: list[bytes]
    ) -> Answer:
        scope = {"type": "http", "method": method, "path": API + path, "query_string": query.encode("latin-1")}
        sent: list[Message] = []

        async def receive() -> Message:
            return {"type": "http.request", "body": chunks.pop(0) if chunks else b"", "more_body": bool(chunks)}

        async def send(message: Message) -> None:
            sent.append(message)

        self.loop.run_until_complete(self._app({**scope, "headers": list(headers)}, receive, send))
        return Answer(sent[0]["status"], dict(sent[0]["headers"]), b"".join(part.get("body", b"") for part in sent[1:]))

    @staticmethod
    async def _behind(_scope: Scope, receive: Receive, send: Send) -> None:
        message = await receive()
        await send({"type": "http.response.start", "status": PASSED_ON, "headers": []})
        await send({"type": "http.response.body", "body": message.get("body", b"")})


@pytest.fixture
def client(filled: Pair) -> Any:
    made = Client(filled)
    yield made
    made.loop.run_until_complete(made.loop.shutdown_default_executor())
    # the reader's connections belong to this loop
    made.loop.run_until_complete(_closed(filled))
    made.loop.close()


async def _closed(both: Pair) -> None:
    both.ours.reader.close()


def _cases(stock: Any) -> Iterator[tuple[str, dict[str, Any], Callable[[], Any]]]:
    """A path, what is asked there, and what MLflow's handler would answer."""
    for name in (*NAMES, "nobody"):
        yield "registered-models/get", {"name": name}, partial(_model, stock, name)
        for stages in ([], ["None", "production"]):
            latest = partial(_latest, stock, name, stages)
            yield "registered-models/get-latest-versions", {"name": name, "stages": stages}, latest
        yield "registered-models/alias", {"name": name, "alias": "champion"}, partial(_aliased, stock, name, "champion")
        for number in ("1", "2", "3", "4", "x", "99"):
            asked = {"name": name, "version": number}
            yield "model-versions/get", asked, partial(_version, stock, name, number)
            yield "model-versions/get-download-uri", asked, partial(_location, stock, name, number)


def test_every_answer_is_mlflows_json(client: Client, filled: Pair) -> None:
    for path, asked, expected in _cases(filled.stock):
        answer = client.get(path, urlencode(asked, doseq=True))
        status, told = _stock(expected)
        assert (answer.status, _sorted(answer.told)) == (status, _sorted(told)), (path, asked)


SEARCHES: list[dict[str, Any]] = [
    {},
    {"filter": "name LIKE '%r%'", "max_results": "3"},
    {"order_by": ["name DESC"], "max_results": "2"},
    {"filter": "name = 'ärger'"},
    {"filter": "nonsense"},
    {"order_by": ["nonsense"]},
    {"page_token": "nonsense"},
    {"filter": "name = 'fraud'" + " AND name = 'fraud'" * 200},
]


@pytest.mark.parametrize("path", ["model-versions/search", "registered-models/search"])
def test_searches_are_mlflows_json(client: Client, filled: Pair, path: str) -> None:
    for asked in SEARCHES:
        answer = client.get(path, urlencode(asked, doseq=True, quote_via=quote))
        status, told = _stock(partial(_found, filled.stock, path, asked))
        found = answer.told
        token = found.pop("next_page_token", None)
        assert answer.status == status, asked
        assert _in_order(_sorted(found, aliases=False)) == _in_order(_sorted(told, aliases=False)), asked
        assert bool(token) == (status == 200 and "max_results" in asked)


def test_latest_versions_are_answered_to_a_post(client: Client, filled: Pair) -> None:
    body = json.dumps({"name": "fraud", "stages": ["Staging"]}).encode()

    answer = client.post("registered-models/get-latest-versions", body)

    expected = GetLatestVersions.Response(
        model_versions=_protos(filled.stock.get_latest_versions("fraud", ["Staging"]))
    )
    assert answer.told == json.loads(message_to_json(expected))
    assert answer.headers[b"content-type"] == b"application/json"
    assert answer.headers[b"x-content-type-options"] == b"nosniff"
    assert answer.headers[b"x-frame-options"] == b"SAMEORIGIN"


@on_sqlite
def test_what_is_unusual_is_left_to_mlflow(client: Client) -> None:
    """It validates them, and its words are not for us to repeat."""
    fraud = "name=fraud"
    asked = [
        client.get("model-versions/get"),
        client.get("model-versions/get", fraud),
        client.get("model-versions/get", "name=&version=1"),
        client.get("model-versions/get", "name=%ff&version=1"),
        client.get("model-versions/get", "name=ä&version=1"),
        client.get("model-versions/search", "max_results=-1"),
        client.get("model-versions/search", "max_results=x"),
        client.get("model-versions/search", "max_results=1.0"),
        client.get("model-versions/search", "max_results=200001"),
        client.get("registered-models/search", "max_results=1001"),
        client.get("model-versions/get", f"{fraud}&version=1", ((b"origin", b"http://localhost:3000"),)),
        client.get("model-versions/get/", f"{fraud}&version=1"),
        client.get("experiments/search"),
        client.post("model-versions/get", b"{}"),
    ]
    bodies = [
        b"",
        b"[]",
        b'{"name": 5}',
        b'{"name": "a", "stages": "b"}',
        b'{"name": "a", "more": 1}',
        b'"{}"',
        b"\xff",
    ]

    assert {answer.status for answer in asked} == {PASSED_ON}
    for body in bodies:
        answer = client.post("registered-models/get-latest-versions", body)
        assert (answer.status, answer.body) == (PASSED_ON, body), "whoever comes next gets the whole body"
    answer = client.post("registered-models/get-latest-versions", b'{"name": "fraud"}', b"text/plain")
    assert answer.status == PASSED_ON


@on_sqlite
def test_of_a_parameter_that_stands_twice_the_first_counts(client: Client) -> None:
    once = client.get("model-versions/search", "filter=name%3D'fraud'&max_results=3")
    twice = client.get("model-versions/search", "filter=name%3D'fraud'&filter=x&max_results=3&max_results=x&other=1&&")

    assert once.status == 200
    assert twice.told == once.told


def test_a_client_that_leaves_in_the_middle_gets_no_answer(filled: Pair) -> None:
    async def gone() -> Message:
        return {"type": "http.disconnect"}

    async def send(_message: Message) -> None:
        raise AssertionError("nobody is there")

    scope = {"type": "http", "method": "POST", "path": f"{API}registered-models/get-latest-versions", "headers": []}
    asyncio.run(NativeReads(Client._behind, filled.ours)(scope, gone, send))


def _stock(expected: Callable[[], Any]) -> tuple[int, Any]:
    try:
        return 200, json.loads(message_to_json(expected()))
    except MlflowException as error:
        return error.get_http_status_code(), json.loads(error.serialize_as_json())


def _latest(stock: Any, name: str, stages: list[str]) -> Any:
    return GetLatestVersions.Response(model_versions=_protos(stock.get_latest_versions(name, stages)))


def _aliased(stock: Any, name: str, alias: str) -> Any:
    return GetModelVersionByAlias.Response(model_version=stock.get_model_version_by_alias(name, alias).to_proto())


def _version(stock: Any, name: str, number: str) -> Any:
    return GetModelVersion.Response(model_version=stock.get_model_version(name, number).to_proto())


def _location(stock: Any, name: str, number: str) -> Any:
    return GetModelVersionDownloadUri.Response(artifact_uri=stock.get_model_version_download_uri(name, number))


def _model(stock: Any, name: str) -> Any:
    return GetRegisteredModel.Response(registered_model=stock.get_registered_model(name).to_proto())


def _found(stock: Any, path: str, asked: dict[str, Any]) -> Any:
    versions = path.startswith("model-versions")
    size = int(asked.get("max_results", 200_000 if versions else 100))
    search = stock.search_model_versions if versions else stock.search_registered_models
    found = _protos(search(asked.get("filter", ""), size, asked.get("order_by"), asked.get("page_token")))
    if versions:
        return SearchModelVersions.Response(model_versions=found)
    return SearchRegisteredModels.Response(registered_models=found)


def _protos(entities: list[Any]) -> list[Any]:
    return [entity.to_proto() for entity in entities]


def _in_order(told: Any) -> Any:
    """The rows of a search, whose order counts."""
    return [list(value.items()) if isinstance(value, dict) else value for value in told.values()]


def _sorted(told: Any, *, aliases: bool = True) -> Any:
    """JSON with every list that MLflow leaves in any order sorted, and the aliases of found versions aside."""
    if isinstance(told, list):
        return [_sorted(each, aliases=aliases) for each in told]
    if not isinstance(told, dict):
        return told
    kept = {key: _sorted(value, aliases=aliases) for key, value in told.items()}
    if not aliases and "current_stage" in kept:
        kept.pop("aliases", None)
    loose = {"tags", "aliases", "latest_versions"} | ({"model_versions"} if aliases else set())
    return {key: sorted(value, key=str) if key in loose else value for key, value in sorted(kept.items())}
