"""Stock MLflow and Lockgate side by side, each on a database of its own, asked the same thing at the same time."""

from __future__ import annotations

import contextlib
import http.client
import json
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import quote

from tests.integration.registry.servers import Running, free_port, server, stop, until_answers

LIMIT = 60
# every rule judges and none binds, so that nothing but the registry itself is compared
OBSERVE = 'level: observe\nendpoints: {"*": {serve: off}}\n'
# a set as MLflow's messages show it: in another order in every process
_SET = re.compile(r"(?<=\{)'[\w. ]+'(, '[\w. ]+')+(?=\})")
_TIMES = frozenset({"creation_timestamp", "last_updated_timestamp"})


@dataclass(frozen=True)
class Request:
    """One request. `{run}` in path, query and body stands for each side's own run, `{webhook}` for its last webhook."""

    method: str
    path: str
    query: str = ""
    body: bytes | None = None
    headers: tuple[tuple[str, str], ...] = ()

    def __str__(self) -> str:
        told = f"{self.method} {self.path}" + (f"?{self.query}" if self.query else "")
        headers = "".join(f"\n    {name}: {value}" for name, value in self.headers)
        return told + headers + (f"\n    {self.body[:600]!r}" if self.body is not None else "")


@dataclass(frozen=True)
class Answer:
    """What came back, with what each side makes up itself (ids, times, tokens) replaced by words."""

    status: int
    body: Any
    token: str = field(default="", compare=False)

    def __str__(self) -> str:
        return f"{self.status} {json.dumps(self.body, ensure_ascii=False)[:1500]}"


class Side:
    """One of the two servers, over one connection that is kept."""

    def __init__(self, url: str) -> None:
        self._host = url.removeprefix("http://")
        self._connection = http.client.HTTPConnection(self._host, timeout=LIMIT)
        self.ids: dict[str, str] = {}
        self.lasting: dict[str, str] = {}

    def ask(self, request: Request) -> Answer:
        """Send it in this side's own ids."""
        told = {"{run}": self.lasting.get("{run}", "none"), "{webhook}": self._last("webhook"), "{token}": self.token}
        path, query, body = request.path, request.query, request.body
        for word, own in told.items():
            path, query = path.replace(word, own), query.replace(word, quote(own))
            body = body.replace(word.encode(), own.encode()) if body is not None else None
        try:
            status, kind, raw = self._send(request.method, f"{path}?{query}" if query else path, body, request.headers)
        except (http.client.HTTPException, OSError):  # a connection that was closed after the answer before
            self._connection.close()
            status, kind, raw = self._send(request.method, f"{path}?{query}" if query else path, body, request.headers)
        return self._answer(status, kind, raw)

    def upload(self, path: str, content: bytes) -> None:
        """Put an artifact."""
        status, _, raw = self._send("PUT", f"/api/2.0/mlflow-artifacts/artifacts/{path}", content, ())
        assert status == 200, raw

    def forget(self) -> None:
        """Begin another story: its webhooks are its own, and so are its pages."""
        self.ids = {}
        self.token = ""

    token = ""

    def close(self) -> None:
        self._connection.close()

    def _send(
        self, method: str, target: str, body: bytes | None, headers: tuple[tuple[str, str], ...]
    ) -> tuple[int, str, bytes]:
        self._connection.request(method, target, body, dict(headers))
        answer = self._connection.getresponse()
        return answer.status, answer.headers.get("Content-Type", ""), answer.read()

    def _answer(self, status: int, kind: str, raw: bytes) -> Answer:
        text = raw.decode("utf-8", "replace")
        if not raw:  # to a HEAD, for example
            return Answer(status, "")
        if not kind.startswith("application/json"):
            # a page for people: that it is one is what counts
            return Answer(status, f"<{kind.partition(';')[0]}>" if status >= 400 or "html" in kind else text)
        body = json.loads(text)
        token = body.get("next_page_token", "") if isinstance(body, dict) else ""
        self._learn(body)
        return Answer(status, self._plain(body), token)

    def _learn(self, body: Any) -> None:
        if isinstance(body, dict) and isinstance(body.get("webhook"), dict) and "webhook_id" in body["webhook"]:
            self.ids.setdefault(body["webhook"]["webhook_id"], f"webhook-{len(self.ids) + 1}")

    def _last(self, kind: str) -> str:
        return next((own for own, word in reversed(self.ids.items()) if word.startswith(kind)), "none")

    def _plain(self, value: Any) -> Any:
        if isinstance(value, dict):
            return {key: self._member(key, member) for key, member in value.items()}
        if isinstance(value, list):
            return [self._plain(member) for member in value]
        if isinstance(value, str):
            for own, word in [*self.ids.items(), *((own, word) for word, own in self.lasting.items())]:
                value = value.replace(own, word)
            value = re.sub(r"localhost:\d+|127\.0\.0\.1:\d+", "HOST", value)
            return _SET.sub(lambda found: ", ".join(sorted(found[0].split(", "))), value)
        return value

    def _member(self, key: str, member: Any) -> Any:
        if key in _TIMES and isinstance(member, int) and member > 0:
            return "a time"
        if key == "next_page_token" and member:
            return "a token"
        return self._plain(member)


@dataclass(frozen=True)
class Databases:
    """Their kind, and where each side's own is; a side without a URI has a new file in its folder."""

    kind: str
    stock: str | None = None
    ours: str | None = None


class Pair:
    """Both sides; `kind` is what both have for a database."""

    def __init__(self, kind: str, stock: Side, ours: Side) -> None:
        self.kind, self.stock, self.ours = kind, stock, ours
        self._threads = ThreadPoolExecutor(2)

    def ask(self, request: Request) -> tuple[Answer, Answer]:
        """Both answers to one request."""
        first, second = (self._threads.submit(side.ask, request) for side in (self.stock, self.ours))
        return first.result(), second.result()

    def pages(self, request: Request, most: int = 20) -> tuple[list[Answer], list[Answer]]:
        """Both answers to a search, page after page to the end; `{token}` in the query is where the token goes."""
        answers: tuple[list[Answer], list[Answer]] = ([], [])
        for side, found in zip((self.stock, self.ours), answers, strict=True):
            side.token = ""
            for _ in range(most):
                found.append(side.ask(request))
                side.token = found[-1].token
                if not side.token:
                    break
            side.token = ""
        return answers

    def begin_story(self) -> None:
        """What is made from now on belongs together."""
        for side in (self.stock, self.ours):
            side.forget()

    def close(self) -> None:
        self._threads.shutdown()
        for side in (self.stock, self.ours):
            side.close()


@contextlib.contextmanager
def pair(folder: Path, databases: Databases) -> Iterator[Pair]:
    """Both servers, with one run that has one artifact; stopped at the end of the block."""
    stock = _stock(folder / "stock", databases.stock)
    told = {"LOCKGATE_DATABASE": databases.ours} if databases.ours else {}
    try:
        with server(folder / "ours", policy=OBSERVE, more=told) as ours:
            until_answers(stock, "/health")
            both = Pair(databases.kind, Side(stock.url), Side(ours.url))
            try:
                for side in (both.stock, both.ours):
                    _make_run(side)
                yield both
            finally:
                both.close()
    finally:
        stop(stock)


def _make_run(side: Side) -> None:
    made = side.ask(_post("runs/create", {"experiment_id": "0", "start_time": 1}))
    assert made.status == 200, made
    run = made.body["run"]["info"]["run_id"]
    side.lasting["{run}"] = run
    side.upload(f"0/{run}/artifacts/model/MLmodel", b"flavors: {}\n")


def _post(route: str, told: dict[str, Any]) -> Request:
    body = json.dumps(told).encode()
    return Request("POST", f"/api/2.0/mlflow/{route}", "", body, (("Content-Type", "application/json"),))


def _stock(folder: Path, database: str | None) -> Running:
    folder.mkdir(parents=True)
    port, log = free_port(), folder / "server.log"
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("MLFLOW_", "LOCKGATE_"))}
    more = {"MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false", "MLFLOW_DISABLE_TELEMETRY": "true"}
    told = [
        *("--host", "127.0.0.1", "--port", str(port), "--workers", "1"),
        *("--backend-store-uri", database or f"sqlite:///{folder / 'mlflow.db'}"),
        *("--artifacts-destination", str(folder / "artifacts")),
    ]
    with log.open("wb") as out:
        process = subprocess.Popen(
            [sys.executable, "-m", "mlflow", "server", *told], stdout=out, stderr=out, env={**kept, **more}
        )
    return Running(f"http://localhost:{port}", folder, process, log)
