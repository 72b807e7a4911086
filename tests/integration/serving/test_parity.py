"""An endpoint answers as `mlflow models serve` does, less the stack traces."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterator
from typing import Any

import pytest

from lockgate.usecases.program_ports import Programs
from tests.integration.serving.machine import Heard, Machine
from tests.integration.serving.models import COLUMNS, ROWS, Models, release

# every test starts programs that import MLflow, which takes its time on a busy machine
pytestmark = pytest.mark.timeout(400)

SPLIT = {"columns": COLUMNS, "data": ROWS}
RECORDS = [dict(zip(COLUMNS, row, strict=True)) for row in ROWS]
CSV = "\n".join([",".join(COLUMNS), *(",".join(map(str, row)) for row in ROWS)])
JSON = "application/json"

ANSWERED = {
    "dataframe_split": (json.dumps({"dataframe_split": SPLIT}), JSON),
    "dataframe_records": (json.dumps({"dataframe_records": RECORDS}), JSON),
    "instances": (json.dumps({"instances": RECORDS}), JSON),
    "inputs": (json.dumps({"inputs": {name: [row[i] for row in ROWS] for i, name in enumerate(COLUMNS)}}), JSON),
    "charset": (json.dumps({"dataframe_split": SPLIT}), "application/json; charset=utf-8"),
    "csv": (CSV, "text/csv"),
    "params": (json.dumps({"dataframe_split": SPLIT, "params": {"word": "héron"}}), JSON),
}
REFUSED: dict[str, tuple[str | bytes, str]] = {
    "not json": ("{", JSON),
    "a list": ("[1, 2]", JSON),
    "no format": (json.dumps({"rows": ROWS}), JSON),
    "two formats": (json.dumps({"dataframe_split": SPLIT, "inputs": ROWS}), JSON),
    "a column missing": (json.dumps({"dataframe_split": {"columns": COLUMNS[:2], "data": [[1, 2]]}}), JSON),
    "text for a number": (json.dumps({"dataframe_split": {"columns": COLUMNS, "data": [["a", "b", "c"]]}}), JSON),
    "nothing": ("", JSON),
    "bytes that are no text": (b"\xff\xfe", JSON),
    "broken csv": ('a,b\n"', "text/csv"),
    "another charset": ("{}", "application/json; charset=latin-1"),
    "an unknown parameter": ("{}", "application/json; colour=red"),
    "another type": ("{}", "application/xml"),
    "a model that raises": (json.dumps({"dataframe_split": SPLIT, "params": {"word": "raise"}}), JSON),
}


@pytest.fixture(scope="module")
def both(tmp_path_factory: pytest.TempPathFactory, models: Models, programs: Programs) -> Iterator[Machine]:
    """`e1` serves the scikit-learn model, `e2` the one with params."""
    machine = Machine(tmp_path_factory.mktemp("parity") / "run" / "workers", models, programs)
    try:
        for endpoint in ("e1", "e2"):
            machine.want(endpoint=endpoint)
        machine.begin()
        machine.serve(release(1, models.first))
        machine.serve(release(2, models.patient, endpoint="e2"))
        yield machine
    finally:
        machine.end()


@pytest.fixture(scope="module")
def stock(models: Models) -> dict[str, Any]:
    """MLflow's own applications for the same two models."""
    import mlflow.pyfunc
    from mlflow.pyfunc import scoring_server

    loaded = {"e1": models.first, "e2": models.patient}
    return {name: scoring_server.init(mlflow.pyfunc.load_model(str(model.folder))) for name, model in loaded.items()}


@pytest.mark.parametrize("case", ANSWERED)
def test_an_accepted_request_gets_the_same_bytes(case: str, both: Machine, stock: dict[str, Any]) -> None:
    body, content_type = ANSWERED[case]
    endpoint = "e2" if case == "params" else "e1"
    ours = both.client(endpoint).ask("/invocations", body.encode(), content_type=content_type)
    theirs = asked_of(stock[endpoint], body.encode(), content_type)
    assert theirs.status == 200
    assert (ours.status, ours.body, ours.headers["content-type"]) == (200, theirs.body, theirs.headers["content-type"])


@pytest.mark.parametrize("case", REFUSED)
@pytest.mark.parametrize("endpoint", ["e1", "e2"])
def test_a_refused_request_gets_the_same_refusal_without_the_trace(
    case: str, endpoint: str, both: Machine, stock: dict[str, Any]
) -> None:
    body, content_type = REFUSED[case]
    raw = body if isinstance(body, bytes) else body.encode()
    ours = both.client(endpoint).ask("/invocations", raw, content_type=content_type)
    theirs = asked_of(stock[endpoint], raw, content_type)
    assert (ours.status, ours.headers["content-type"]) == (theirs.status, theirs.headers["content-type"])
    assert b"Traceback" not in ours.body
    if theirs.headers["content-type"] != JSON:
        assert without_order(ours.body) == without_order(theirs.body)
    elif ours.status != 200:
        for key in ("error_code", "message"):
            assert without_order(ours.told[key].encode()) == without_order(theirs.told[key].encode())


def test_a_missing_content_type_is_told_and_not_a_bare_500(both: Machine) -> None:
    client = both.client()
    heard = client.ask("/invocations", b"{}", content_type="")
    assert heard.status == 415
    assert b"only supports the following content types" in heard.body


def without_order(text: bytes) -> list[str]:
    """The words of a message: MLflow prints a set in it, whose order differs from process to process."""
    return sorted(text.decode().replace("{", " ").replace("}", " ").replace(",", " ").split())


def asked_of(app: Any, body: bytes, content_type: str) -> Heard:
    """The answer of an ASGI application to one invocation."""
    events: list[dict[str, Any]] = []

    async def receive() -> dict[str, Any]:
        return {"type": "http.request", "body": body, "more_body": False}

    async def send(event: dict[str, Any]) -> None:
        events.append(event)

    scope = {
        "type": "http",
        "asgi": {"version": "3.0", "spec_version": "2.3"},
        "http_version": "1.1",
        "method": "POST",
        "scheme": "http",
        "path": "/invocations",
        "raw_path": b"/invocations",
        "query_string": b"",
        "root_path": "",
        "headers": [(b"host", b"localhost"), (b"content-type", content_type.encode())],
        "client": ("127.0.0.1", 1),
        "server": ("127.0.0.1", 2),
    }
    asyncio.run(app(scope, receive, send))
    headers = {name.decode().lower(): value.decode() for name, value in events[0]["headers"]}
    return Heard(events[0]["status"], headers, b"".join(event.get("body", b"") for event in events[1:]))
