"""Who may ask a worker: the names it goes by, the pages that may ask it, and its tokens."""

from __future__ import annotations

from typing import Any

import pytest

from lockgate.usecases.login import secret_digest
from lockgate.wire.workers import WorkerConfig
from lockgate.worker.entrance import Entrance
from lockgate.worker.http.messages import Request

PROBES = ("/ping", "/health")
SECRET, OTHER = "lge_one", "lge_other"


def _entrance(**told: Any) -> Entrance:
    config = WorkerConfig(
        "w1", "ep", "rel", 1, "fraud", 1, "sha256:0", "/a", "/f", "127.0.0.1", 5002, 3,
        **{"hosts": ("localhost", "127.0.0.1", "*.example.org"), **told},
    )  # fmt: skip
    return Entrance(WorkerConfig.decode(config.encode()))


def _status(entrance: Entrance, path: str = "/invocations", **headers: str) -> int:
    told = {"host": "localhost:5002", **headers}
    request = Request(
        b"POST", path.encode(), b"", [(name.encode(), value.encode()) for name, value in told.items()], b""
    )
    # twice: what is remembered of the first time must not change the answer
    seen = {
        200 if refusal is None else refusal.status
        for refusal in (entrance.refusal(request, guarded=path not in PROBES) for _ in range(2))
    }
    (status,) = seen
    return status


@pytest.mark.parametrize(("host", "status"), [("LOCALHOST", 200), ("a.example.org:5002", 200), ("evil.org", 403)])
def test_it_answers_to_its_names_alone(host, status):
    assert _status(_entrance(), host=host) == status


@pytest.mark.parametrize(
    ("origin", "status"),
    [
        ("http://localhost:3000", 200),
        ("https://portal.test", 200),
        ("https://portal.test.evil.org", 403),
        ("http://portal.test", 403),
        ("null", 403),
    ],
)
def test_a_page_of_ours_or_one_that_was_allowed_may_ask(origin, status):
    assert _status(_entrance(origins=("https://portal.test",)), origin=origin) == status


def test_on_loopback_nobody_needs_a_token_until_there_is_one():
    entrance = _entrance()
    assert _status(entrance) == 200
    entrance.admit([secret_digest(SECRET)])
    assert _status(entrance) == 401
    assert _status(entrance, authorization=f"Bearer {SECRET}") == 200
    entrance.admit([])
    assert _status(entrance) == 200


def test_where_other_machines_reach_it_none_means_nobody():
    entrance = _entrance(closed=True)
    assert _status(entrance) == 401
    assert _status(entrance, authorization=f"Bearer {SECRET}") == 401
    entrance.admit([secret_digest(SECRET)])
    assert _status(entrance, authorization=f"bearer {SECRET}") == 200


@pytest.mark.parametrize(
    "authorization",
    [f"Bearer {OTHER}", f"Basic {SECRET}", SECRET, "Bearer", "", f"Bearer {SECRET} x", f"Bearer {SECRET}x"],
)
def test_anything_but_a_token_of_its_own_is_turned_away(authorization):
    assert _status(_entrance(tokens=(secret_digest(SECRET),)), authorization=authorization) == 401


def test_what_is_kept_of_a_token_lets_nobody_in():
    digest = secret_digest(SECRET)
    for shown in (digest, digest.removeprefix("sha256:")):
        assert _status(_entrance(tokens=(digest,)), authorization=f"Bearer {shown}") == 401


def test_a_token_that_was_revoked_is_worth_nothing():
    entrance = _entrance(tokens=(secret_digest(SECRET), secret_digest(OTHER)))
    assert _status(entrance, authorization=f"Bearer {SECRET}") == 200
    entrance.admit([secret_digest(OTHER)])
    assert _status(entrance, authorization=f"Bearer {SECRET}") == 401
    assert _status(entrance, authorization=f"Bearer {OTHER}") == 200


@pytest.mark.parametrize(("path", "status"), [("/ping", 200), ("/health", 200), ("/metrics", 401), ("/version", 401)])
def test_probes_need_no_token_and_all_else_does(path, status):
    assert _status(_entrance(closed=True), path=path) == status


def test_what_is_remembered_of_headers_stays_small():
    entrance = _entrance(tokens=(secret_digest(SECRET),))
    for number in range(2000):
        spelt = "Bearer" + " " * (number + 1)
        assert _status(entrance, host=f"{number}.example.org", authorization=spelt + SECRET) == 200
        assert _status(entrance, origin=f"http://{number}.example.org", authorization=spelt + OTHER) == 401
    kept = (entrance._good_hosts, entrance._good_origins, entrance._good_tokens)
    assert all(0 < len(good) <= 256 for good in kept)
