"""Which path answers what, who is turned away, and what becomes of requests while somebody else takes over."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from lockgate.usecases.login import secret_digest
from lockgate.wire.routes import Place
from lockgate.wire.workers import WorkerConfig
from lockgate.worker.http.messages import Answer, Reply, Request, identity_of
from lockgate.worker.routing.app import Router
from lockgate.worker.routing.traffic import Traffic

CONFIG = WorkerConfig(
    worker="w1", endpoint="e", release="r1", generation=3, model="a b", version=7, digest="sha256:0", artifacts="/m",
    folder="/w", host="127.0.0.1", port=5002, listener_fd=9,
)  # fmt: skip


class Watcher:
    """Remembers what it is told."""

    def __init__(self) -> None:
        self.answers: list[tuple[int, bool]] = []
        self.ways: list[str] = []

    def answered(self, request: Request, answer: Answer, seconds: float, *, invocation: bool) -> None:
        assert seconds >= 0, request
        self.answers.append((answer.status, invocation))

    def predicted(self, requests: int, rows: int, seconds: float) -> None:
        raise AssertionError(f"a router predicts nothing: {requests}, {rows}, {seconds}")

    def waiting(self, requests: int) -> None:
        raise AssertionError(requests)

    def passed(self, how: str) -> None:
        self.ways.append(how)

    def text(self, *, alone: bool = False) -> bytes:
        return b"own 1\n" if alone else b"all 1\n"


class Echo:
    """A version that answers with what it was asked."""

    engine = "native"

    def __init__(self, version: int = 7, release: str = "r1") -> None:
        self.model, self.version, self.release = "a b", version, release
        self.identity = identity_of(self.model, version, release)

    def invoke(self, request: Request, reply: Reply) -> None:
        reply(Answer(200, b"invoked " + request.body, identity=self.identity))

    def infer(self, request: Request, reply: Reply) -> None:
        reply(Answer(200, b"inferred " + request.body, identity=self.identity))

    def describe(self) -> Answer:
        return Answer(200, b"{}", identity=self.identity)


class Line:
    """A client's connection that is given away only to those it is told."""

    def __init__(self, *takers: Path, home: str = "e", switches: int = 0) -> None:
        self.home, self.switches = home, switches
        self.takers = takers
        self.given: list[Path] = []

    def hand_over(self, folder: Path) -> bool:
        if folder in self.takers:
            self.given.append(folder)
        return folder in self.takers


def made(**told: Any) -> Router:
    router = Router(WorkerConfig(**{**_fields(CONFIG), **told}), Watcher())
    router.served = Echo()
    router.mlflow_version = "3.17.2"
    return router


def ask(router: Router, method: str, path: str, body: bytes = b"", link: Any = None, **headers: str) -> Answer | None:
    """The answer, None where the request went elsewhere."""
    heard: list[Answer] = []
    told = {"host": "localhost:5002", **headers}
    raw = [(name.replace("_", "-").encode(), value.encode()) for name, value in told.items()]
    router(Request(method.encode(), path.encode(), b"", raw, body, link=link), heard.append)
    assert len(heard) < 2
    return heard[0] if heard else None


def status(router: Router, method: str, path: str, **headers: str) -> int:
    answer = ask(router, method, path, b"", None, **headers)
    assert answer is not None
    return answer.status


@pytest.mark.parametrize(
    "path",
    [
        "/invocations",
        "/models/a%20b/invocations",
        "/models/%61%20b/invocations",
        "/models/a%20b/versions/7/invocations",
        "/models/%61%20b/versions/7/invocations",
    ],
)
def test_an_invocation_reaches_the_model_and_is_told_as_one(path: str) -> None:
    router = made()
    answer = ask(router, "POST", path, b"hi")
    assert answer is not None
    assert (answer.status, answer.body) == (200, b"invoked hi")
    assert answer.identity == b"x-lockgate-model: a%20b\r\nx-lockgate-version: 7\r\nx-lockgate-release: r1\r\n"
    assert router._observer.answers == [(200, True)]  # type: ignore[attr-defined]


@pytest.mark.parametrize("one", ["a%20b", "%61 b", "a%20b/versions/7"])
def test_the_open_inference_protocol_has_its_paths(one: str) -> None:
    router = made()
    assert status(router, "GET", f"/v2/models/{one}") == 200
    assert status(router, "GET", f"/v2/models/{one}/ready") == 200
    answer = ask(router, "POST", f"/v2/models/{one}/infer", b"x")
    assert answer is not None
    assert answer.body == b"inferred x"
    assert status(router, "GET", "/v2/health/live") == status(router, "GET", "/v2/health/ready") == 200
    server = ask(router, "GET", "/v2")
    assert server is not None
    assert json.loads(server.body)["name"] == "lockgate"


@pytest.mark.parametrize(
    ("method", "path", "expected"),
    [
        ("GET", "/invocations", 405),
        ("POST", "/ping", 405),
        ("PUT", "/v2/models/a%20b/infer", 405),
        ("GET", "/", 404),
        ("GET", "", 404),
        ("POST", "//invocations", 404),
        ("POST", "/invocations/", 404),
        ("POST", "/models/c/invocations", 404),
        ("POST", "/models/a%20b/versions/8/invocations", 404),
        ("POST", "/models/a%20b/versions/07/invocations", 404),
        ("POST", "/models/a%20b/versions/x/invocations", 404),
        ("POST", "/models/a%20b/versions//invocations", 404),
        ("POST", "/models/a/b/invocations", 404),
        ("POST", "/models//invocations", 404),
        ("POST", "/models/%ff/invocations", 404),
        ("POST", "/models/" + "x" * 5000 + "/invocations", 404),
        ("POST", "/v2/models/a%20b/explain", 404),
        ("POST", "/v2/models/c/infer", 404),
        ("POST", "/feedback", 404),
        ("GET", "/models/a%20b/feedback", 405),
        ("POST", "/models/a%20b/versions/7/feedback", 404),
        ("POST", "/v2/models/a%20b/feedback", 404),
    ],
)
def test_what_is_not_there_is_refused_in_mlflows_form(method: str, path: str, expected: int) -> None:
    answer = ask(made(), method, path)
    assert answer is not None
    assert answer.status == expected
    assert {"error_code", "message"} <= json.loads(answer.body).keys()
    assert len(answer.body) < 1000


def test_labels_are_taken_for_the_model_of_the_port_or_of_the_path() -> None:
    router = made()
    router.feedback = lambda request, reply: reply(Answer(200, b"kept"))
    assert [status(router, "POST", path) for path in ("/feedback", "/models/a%20b/feedback")] == [200] * 2
    line = Line(Path("/c1"), Path("/c2"))
    assert ask(beside(), "POST", "/models/c%2Fd/feedback", b"x", line) is None
    assert len(line.given) == 1


def test_probes_say_whether_the_model_is_loaded() -> None:
    router = made()
    assert [status(router, "GET", path) for path in ("/ping", "/health", "/v2/health/ready")] == [200] * 3
    router.served = None
    probes = ("/ping", "/health", "/v2/health/ready", "/v2/models/a%20b/ready", "/v2/models/a%20b")
    assert [status(router, "GET", path) for path in probes] == [503] * 5
    assert [status(router, "POST", path) for path in ("/invocations", "/v2/models/a%20b/infer")] == [503] * 2
    assert status(router, "GET", "/v2/health/live") == 200


def test_what_is_told_of_the_worker_has_its_own_form() -> None:
    version, metrics = ask(made(), "GET", "/version"), ask(made(), "HEAD", "/metrics")
    assert version is not None
    assert metrics is not None
    assert version.body == b"3.17.2"
    assert (metrics.body, metrics.content_type) == (b"all 1\n", b"text/plain; version=0.0.4; charset=utf-8")


def test_where_a_token_is_asked_for_its_bearer_sees_what_was_counted_of_this_endpoint_alone() -> None:
    router = made(tokens=(secret_digest("lge_one"),))
    metrics = ask(router, "GET", "/metrics", authorization="Bearer lge_one")
    assert metrics is not None
    assert metrics.body == b"own 1\n"


@pytest.mark.parametrize("host", ["localhost", "LOCALHOST:5002", "127.0.0.1:80", "[::1]:5002", "[::1]"])
def test_this_machines_own_names_are_answered(host: str) -> None:
    assert status(made(), "GET", "/ping", host=host) == 200


@pytest.mark.parametrize("host", ["evil.example", "localhost.evil.example", "127.0.0.1.evil.example:5002", "[::2]", ""])
def test_any_other_name_is_not(host: str) -> None:
    assert status(made(), "GET", "/ping", host=host) == 403


@pytest.mark.parametrize(
    ("path", "expected"),
    [("/ping", 200), ("/v2/health/ready", 200), ("/metrics", 401), ("/nothing", 401), ("/v2", 401), ("/version", 401)],
)
def test_where_a_token_is_asked_for_only_probes_go_without(path: str, expected: int) -> None:
    assert status(made(closed=True), "GET", path) == expected


def test_a_worker_without_a_successor_refuses_and_hangs_up() -> None:
    router = made()
    router.turn(Traffic.REFUSE)
    answer = ask(router, "POST", "/invocations", b"x", Line(Path("/green")))
    assert answer is not None
    assert answer.status == 503
    assert {(b"connection", b"close"), (b"retry-after", b"1")} <= set(answer.headers)


def test_once_another_took_over_a_connection_goes_there_with_its_request() -> None:
    router = made()
    router.turn(Traffic.FORWARD, [Path("/gone"), Path("/green")])
    line = Line(Path("/green"))
    assert ask(router, "POST", "/invocations", b"x", line) is None
    assert line.given == [Path("/green")]
    assert line.switches == 0  # another release of the same model is no other model
    assert router._observer.ways == ["handed"]  # type: ignore[attr-defined]
    router.turn(Traffic.ANSWER)
    assert status(router, "POST", "/invocations") == 200


OTHER = Place("e2", "c/d", "127.0.0.1", 5003, ("/c1", "/c2"))
OWN = Place("e", "a b", "127.0.0.1", 5002, ("/w",))


def beside(**told: Any) -> Router:
    """A worker that knows another model of its environment."""
    router = made(**told)
    router.tell_routes({"places": [OWN.plain(), OTHER.plain()]})
    return router


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("POST", "/models/c%2Fd/invocations"),
        ("POST", "/models/c%2fd/invocations"),
        ("POST", "/models/%63%2Fd/versions/3/invocations"),
        ("GET", "/v2/models/c%2Fd"),
        ("HEAD", "/v2/models/c%2Fd/ready"),
        ("POST", "/v2/models/c%2Fd/versions/3/infer"),
    ],
)
def test_a_request_for_another_model_takes_its_connection_to_a_worker_of_that_model(method: str, path: str) -> None:
    router = beside()
    line = Line(Path("/c1"), Path("/c2"))
    assert ask(router, method, path, b"x", line) is None
    assert ask(router, method, path, b"x", line) is None
    assert set(line.given) == {Path("/c1"), Path("/c2")}, "its workers take turns"


def test_a_worker_that_takes_nothing_is_passed_over() -> None:
    line = Line(Path("/c2"))
    router = beside()
    for _ in range(3):
        assert ask(router, "POST", "/models/c%2Fd/invocations", b"x", line) is None
    assert line.given == [Path("/c2")] * 3


def test_a_path_that_names_no_model_means_the_endpoint_by_whose_port_the_client_came() -> None:
    router = beside()
    line = Line(Path("/c1"), Path("/c2"), home="e2")
    for path in ("/invocations", "/ping", "/metrics", "/v2", "/feedback"):
        assert ask(router, "GET" if path in ("/ping", "/metrics", "/v2") else "POST", path, b"x", line) is None
    assert len(line.given) == 5
    answer = ask(router, "POST", "/models/a%20b/invocations", b"x", line)
    assert answer is not None
    assert answer.body == b"invoked x"


def test_a_connection_that_came_to_an_endpoint_nobody_knows_any_more_is_closed_for_a_fresh_one() -> None:
    answer = ask(beside(), "POST", "/invocations", b"x", Line(home="e9"))
    assert answer is not None
    assert (answer.status, (b"connection", b"close") in answer.headers) == (503, True)


def test_another_models_token_is_asked_for_by_that_model_and_not_here() -> None:
    router = beside(tokens=(secret_digest("lge_one"),))
    line = Line(Path("/c1"), Path("/c2"))
    assert ask(router, "POST", "/models/c%2Fd/invocations", b"x", line) is None
    assert status(router, "POST", "/models/nobody/invocations") == 401
    assert ask(router, "POST", "/models/c%2Fd/invocations", b"x", line, host="evil.example").status == 403  # type: ignore[union-attr]


def test_what_another_worker_passes_on_for_the_wrong_model_goes_no_further() -> None:
    heard: list[Answer] = []
    host = [(b"host", b"localhost")]
    beside().passed_on(Request(b"POST", b"/models/c%2Fd/invocations", b"", host, b""), heard.append)
    assert [answer.status for answer in heard] == [404]
    beside(closed=True).passed_on(Request(b"POST", b"/models/c%2Fd/invocations", b"", host, b""), heard.append)
    assert heard[1].status == 401, "nor does it tell who has no token what is served here"


def test_junk_from_the_agent_changes_nothing() -> None:
    router = beside()
    routes: list[dict[str, Any]] = [{}, {"places": [{}]}, {"places": [{**OTHER.plain(), "port": "x"}]}]
    splits: list[dict[str, Any]] = [{}, {"versions": [], "split": {}}, {"versions": [{}], "split": None}]
    for told in routes:
        with pytest.raises((KeyError, TypeError, ValueError)):
            router.tell_routes(told)
    for told in splits:
        with pytest.raises((KeyError, TypeError, ValueError)):
            router.tell_split(told)
    assert ask(router, "POST", "/models/c%2Fd/invocations", b"x", Line(Path("/c1"), Path("/c2"))) is None


def _fields(config: WorkerConfig) -> dict[str, Any]:
    return {name: getattr(config, name) for name in config.__dataclass_fields__}
