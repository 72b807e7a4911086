"""A hundred promotions of a hundred models at the same moment, over HTTP, and how they ended."""

from __future__ import annotations

import http.client
import json
import statistics
import threading
import time
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path

from benchmarks.registry import seed, sides
from benchmarks.registry.content import Content, model_name

AT_ONCE = 100
ANSWER_LIMIT = 120.0


@dataclass(slots=True)
class Crowd:
    """What the hundred were answered, how long each took in milliseconds, and all of them together in seconds."""

    database: str
    answers: Counter[str] = field(default_factory=Counter)
    times: list[float] = field(default_factory=list)
    together: float = 0.0
    in_production: int = 0

    @property
    def middle(self) -> float:
        return statistics.median(self.times)

    @property
    def is_right(self) -> bool:
        return self.answers == {"200": AT_ONCE} and self.in_production == AT_ONCE


def measure(database: str, server: str | None, folder: Path) -> Crowd:
    """Start Lockgate on a hundred models of ten versions and move one version of each to Production at once."""
    content = Content(AT_ONCE, 10)
    uri = (
        seed.sqlite_file(content, folder / "crowd.db")
        if server is None
        else seed.postgres_database(content, server, "governance_crowd")
    )
    if server is None:
        seed.write_ahead(uri)
    crowd = Crowd(database)
    with sides.lockgate(uri, folder / "crowd", 1) as node:
        start = threading.Barrier(AT_ONCE + 1)
        threads = [threading.Thread(target=_move, args=(node.port, n, start, crowd)) for n in range(AT_ONCE)]
        for thread in threads:
            thread.start()
        start.wait()
        began = time.monotonic()
        for thread in threads:
            thread.join()
        crowd.together = time.monotonic() - began
        crowd.in_production = sum(_stage(node.port, number) == "Production" for number in range(AT_ONCE))
    return crowd


def _move(port: int, number: int, start: threading.Barrier, crowd: Crowd) -> None:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=ANSWER_LIMIT)
    connection.connect()
    body = {"name": model_name(number), "version": "10", "stage": "Production", "archive_existing_versions": True}
    start.wait()
    began = time.perf_counter()
    try:
        connection.request(
            "POST",
            "/api/2.0/mlflow/model-versions/transition-stage",
            json.dumps(body),
            {"Content-Type": "application/json"},
        )
        answer = connection.getresponse()
        said = str(answer.status) if answer.status == 200 else f"{answer.status}: {answer.read()[:200]!r}"
        answer.read()
    except (OSError, http.client.HTTPException) as error:
        said = repr(error)
    finally:
        connection.close()
    crowd.times.append(1000 * (time.perf_counter() - began))
    crowd.answers[said] += 1


def _stage(port: int, number: int) -> str:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=ANSWER_LIMIT)
    connection.request("GET", f"/api/2.0/mlflow/model-versions/get?name={model_name(number)}&version=10")
    told = json.loads(connection.getresponse().read())
    connection.close()
    return str(told["model_version"]["current_stage"])
