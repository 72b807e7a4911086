"""What a worker allows its clients, and itself."""

from __future__ import annotations

import resource

import pytest

from lockgate.wire.workers import WorkerConfig
from lockgate.worker.http.limits import Limits, make_room

CONFIG = WorkerConfig(
    worker="w", endpoint="e", release="r", generation=1, model="m", version=1, digest="", artifacts="", folder="",
    host="127.0.0.1", port=1, listener_fd=0, connection_limit=9, head_limit=8, body_limit=7, read_seconds=6.0,
    keep_alive_seconds=5.0,
)  # fmt: skip


def test_limits_are_what_the_worker_was_told() -> None:
    told = Limits.of(CONFIG)
    assert (told.connections, told.head_bytes, told.body_bytes, told.reading_bytes) == (9, 8, 7, 56)
    assert (told.read_seconds, told.idle_seconds, told.write_seconds) == (6.0, 5.0, 6.0)


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ((1024, 1_000_000), 8704),
        ((1024, 4096), 4096),
        ((20_000, 1_000_000), 20_000),
        ((1024, resource.RLIM_INFINITY), 8704),
        ((resource.RLIM_INFINITY, resource.RLIM_INFINITY), resource.RLIM_INFINITY),
    ],
)
def test_a_worker_may_open_as_many_connections_as_its_limit_says(
    monkeypatch: pytest.MonkeyPatch, before: tuple[int, int], after: int
) -> None:
    now = [before]
    monkeypatch.setattr(resource, "getrlimit", lambda _: now[-1])
    monkeypatch.setattr(resource, "setrlimit", lambda _, told: now.append(told))
    make_room(Limits())
    assert now[-1] == (after, before[1])
