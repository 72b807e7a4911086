"""The whole way of a version whose files are in S3: clients, agent and workers know no key, and what serves stays."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from lockgate import Lockgate
from tests.artifacts import s3
from tests.artifacts.s3 import Bucket
from tests.e2e import models
from tests.e2e.conftest import Node, node_in
from tests.e2e.load import ask

pytestmark = pytest.mark.timeout(300)


@pytest.fixture
def bucket(tmp_path_factory: pytest.TempPathFactory) -> Bucket:
    return s3.bucket(tmp_path_factory)


@pytest.fixture
def node(tmp_path: Path, bucket: Bucket, monkeypatch: pytest.MonkeyPatch) -> Iterator[Node]:
    for name in [name for name in os.environ if name.startswith("AWS_")]:
        monkeypatch.delenv(name)
    with node_in(tmp_path) as made:
        made.settings |= {"LOCKGATE_ARTIFACTS": bucket.uri, **bucket.environment}
        yield made.start()


def keys_in(pid: int) -> set[str]:
    """The names of everything in a process's environment that opens an artifact store."""
    told = Path(f"/proc/{pid}/environ").read_bytes().decode().split("\0")
    return {name for entry in told if (name := entry.partition("=")[0]).startswith(("AWS_", "MLFLOW_S3"))}


def test_a_model_logged_without_a_key_is_served_from_its_pinned_copy_also_when_s3_has_lost_it(
    node: Node, bucket: Bucket
) -> None:
    logged = models.log_iris(node.url, "iris")
    stored = [path for path in bucket.paths() if path.endswith("/MLmodel")]
    assert len(stored) == 1

    with Lockgate(node.url, "ana") as ana:
        ana.promote(logged.ref, "staging", wait=120)
        (endpoint,) = ana.endpoints()
        version = ana.status("iris").versions[0]
    assert version.digest
    assert endpoint.release is not None
    assert version.digest == endpoint.release.digest
    copy = node.home / "cache" / version.digest.replace(":", "-")
    assert (copy / "MLmodel").read_bytes() == bucket.get(stored[0])
    assert list(ask(node.ports[1], models.body()).predictions) == logged.predictions

    assert "AWS_SECRET_ACCESS_KEY" in keys_in(node.pid("server"))
    assert "AWS_SECRET_ACCESS_KEY" in keys_in(node.pid("controller"))
    assert keys_in(node.pid("agent")) == set()
    workers = node.workers()
    assert workers
    assert all(keys_in(worker) == set() for worker in workers)

    # somebody with a key changes the store: what serves is the copy, and nothing is promoted from there any more
    folder = stored[0].rpartition("/")[0]
    bucket.put(f"{folder}/MLmodel", b"flavors: {}\n")
    assert list(ask(node.ports[1], models.body()).predictions) == logged.predictions
    refused = node.cli("promote", logged.ref, "--to", "production")
    assert refused.returncode == 1
    assert "changed MLmodel" in refused.stdout + refused.stderr
