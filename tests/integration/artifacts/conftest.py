"""Servers whose artifacts are on the disk and in S3, and what a client without any key for S3 sends them."""

from __future__ import annotations

import http.client
import itertools
import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import httpx2
import pytest

from tests.artifacts import s3
from tests.artifacts.s3 import Bucket
from tests.integration.registry.servers import Running, server

POLICY = """
level: enforce
endpoints: {"*": {serve: off}}
"""
FILES = "/api/2.0/mlflow-artifacts/artifacts"
_numbers = itertools.count(1)


@dataclass(frozen=True)
class Site:
    """A server and the store behind it: `bucket` of an S3 store, `folder` of one on the disk."""

    running: Running
    bucket: Bucket | None
    folder: Path

    @property
    def url(self) -> str:
        return self.running.url

    def http(self) -> httpx2.Client:
        return httpx2.Client(base_url=self.url, timeout=60)

    def stored(self) -> dict[str, int]:
        """Every file in the store, with its size."""
        if self.bucket is not None:
            return dict(self.bucket.paths())
        files = (path for path in self.folder.rglob("*") if path.is_file())
        return {path.relative_to(self.folder).as_posix(): path.stat().st_size for path in files}

    def call(self, route: str, method: str = "POST", **told: Any) -> Any:
        """One of MLflow's routes; its answer, which must be a good one."""
        with self.http() as client:
            answer = client.request(method, f"/api/2.0/mlflow/{route}", json=told)
        assert answer.status_code == 200, answer.text
        return answer.json()

    def put(self, path: str, body: bytes = b"flavors: {}\n") -> httpx2.Response:
        with self.http() as client:
            return client.put(f"{FILES}/{path}", content=body)

    def delete(self, path: str) -> httpx2.Response:
        with self.http() as client:
            return client.delete(f"{FILES}/{path}")

    def run(self) -> tuple[str, str]:
        """A new run's id, and the path of its folder in the store."""
        run = self.call("runs/create", experiment_id="0")["run"]["info"]
        return run["run_id"], run["artifact_uri"].removeprefix("mlflow-artifacts:").lstrip("/")

    def version(self, path: str, run: str = "", name: str = "") -> str:
        """A new version registered from that path in the store; the name of its model."""
        if not name:
            name = f"fraud-{next(_numbers)}"
            self.call("registered-models/create", name=name)
        self.call("model-versions/create", name=name, source=f"mlflow-artifacts:/{path}", run_id=run)
        return name


def raw(
    site: Site, method: str, path: str, body: bytes = b"evil: model\n", length: int | None = None
) -> tuple[int, str]:
    """Send a request as it is written: clients of more manners tidy the path, and count what they send."""
    connection = http.client.HTTPConnection(urlsplit(site.url).hostname or "", urlsplit(site.url).port, timeout=60)
    try:
        connection.request(method, path, body, {"Content-Length": str(len(body) if length is None else length)})
        answer = connection.getresponse()
        return answer.status, answer.read().decode()
    finally:
        connection.close()


@pytest.fixture(scope="session")
def bucket(tmp_path_factory: pytest.TempPathFactory) -> Bucket:
    return s3.bucket(tmp_path_factory)


@pytest.fixture(scope="session")
def limit(rounds: Callable[[int, int], int]) -> int:
    """The most bytes that a file may have at these servers."""
    return rounds(80, 1100) * 2**20


@pytest.fixture(scope="session")
def on_disk(tmp_path_factory: pytest.TempPathFactory, limit: int) -> Iterator[Site]:
    told = {"LOCKGATE_ARTIFACT_LIMIT": str(limit)}
    with server(tmp_path_factory.mktemp("disk"), policy=POLICY, more=told) as running:
        yield Site(running, None, running.home / "artifacts")


@pytest.fixture(scope="session")
def in_s3(tmp_path_factory: pytest.TempPathFactory, bucket: Bucket, limit: int) -> Iterator[Site]:
    with s3_server(tmp_path_factory.mktemp("s3"), bucket, LOCKGATE_ARTIFACT_LIMIT=str(limit)) as site:
        yield site


@pytest.fixture(params=["disk", "s3"])
def site(request: pytest.FixtureRequest) -> Site:
    found: Site = request.getfixturevalue("on_disk" if request.param == "disk" else "in_s3")
    return found


@pytest.fixture
def client(site: Site, monkeypatch: pytest.MonkeyPatch) -> Any:
    """MLflow's own client, in a process that knows no key for S3."""
    return client_of(site, monkeypatch)


def client_of(site: Site, monkeypatch: pytest.MonkeyPatch) -> Any:
    """As the fixture, for any site."""
    for name in [name for name in os.environ if name.startswith(("AWS_", "MLFLOW_S3", "MLFLOW_BOTO"))]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "0")
    monkeypatch.setenv("MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR", "false")
    import mlflow

    mlflow.set_tracking_uri(site.url)
    mlflow.set_registry_uri(site.url)
    return mlflow.MlflowClient()


class s3_server:  # noqa: N801 - used as a function is
    """A server on a place of its own in the bucket, as a context."""

    def __init__(self, folder: Path, bucket: Bucket, **more: str) -> None:
        self._bucket = bucket
        told = {"LOCKGATE_ARTIFACTS": bucket.uri, **bucket.environment, **more}
        self._server = server(folder, policy=POLICY, more=told)

    def __enter__(self) -> Site:
        running = self._server.__enter__()
        return Site(running, self._bucket, running.home)

    def __exit__(self, *told: Any) -> None:
        self._server.__exit__(*told)


@pytest.fixture
def model() -> Callable[[], Any]:
    """Makes a small model of a kind that needs no library to be imported."""

    def make() -> Any:
        import mlflow

        class Twice(mlflow.pyfunc.PythonModel):  # type: ignore[misc, name-defined, unused-ignore]
            def predict(self, context, model_input, params=None):
                return [2 * value for value in model_input]

        return Twice()

    return make
