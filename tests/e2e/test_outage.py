"""PostgreSQL goes away and comes back while the node runs: all are told, endpoints answer, and it goes on by itself."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import urllib.error
import urllib.request
from collections.abc import Iterator

import pytest

from lockgate import Lockgate
from tests.databases.server import PASSWORD, Server, server
from tests.e2e import models
from tests.e2e.conftest import Node, node_in, until
from tests.e2e.load import Load

pytestmark = pytest.mark.timeout(300)
POLICY = """\
level: enforce
stages:
  Staging: {}
  Production: {}
"""
REST, OURS = "/api/2.0/mlflow", "/api/lockgate/v1"
# method, path, body
ASKED = (
    ("GET", f"{REST}/registered-models/get?name=kept", None),
    ("GET", f"{REST}/registered-models/alias?name=kept&alias=production", None),
    ("GET", f"{REST}/model-versions/get?name=kept&version=1", None),
    ("GET", f"{REST}/model-versions/get-download-uri?name=kept&version=1", None),
    ("GET", f"{REST}/registered-models/search", None),
    ("GET", f"{REST}/model-versions/search", None),
    ("POST", f"{REST}/registered-models/get-latest-versions", {"name": "kept"}),
    ("POST", f"{REST}/registered-models/create", {"name": "new"}),
    ("POST", f"{REST}/model-versions/set-tag", {"name": "kept", "version": "1", "key": "a", "value": "b"}),
    ("POST", f"{REST}/registered-models/alias", {"name": "kept", "alias": "mine", "version": "1"}),
    ("POST", f"{REST}/model-versions/transition-stage", {"name": "kept", "version": "1", "stage": "Archived"}),
    ("GET", f"{OURS}/status?model=kept", None),
    ("GET", f"{OURS}/endpoints", None),
    ("GET", f"{OURS}/audit", None),
)
TAGS_IN_VAIN_AT_FIRST = """\
import logging
logging.basicConfig()
logging.getLogger("urllib3").setLevel(logging.DEBUG)
from mlflow import MlflowClient
MlflowClient().set_model_version_tag("kept", "1", "asked", "meanwhile")
"""


@pytest.fixture(scope="module")
def postgresql() -> Iterator[Server]:
    """A server that nobody else uses."""
    with server() as made:
        yield made


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory, postgresql: Server) -> Iterator[Node]:
    with node_in(tmp_path_factory.mktemp("outage"), POLICY, postgresql.uri()) as made:
        yield made.start()


def answer(home: Node, method: str, path: str, body: object) -> tuple[int, str]:
    """Status and text of one request that is sent once."""
    request = urllib.request.Request(
        home.url + path, None if body is None else json.dumps(body).encode(), {"Content-Type": "application/json"},
        method=method,
    )  # fmt: skip
    try:
        with urllib.request.urlopen(request, timeout=30) as heard:
            return heard.status, heard.read().decode()
    except urllib.error.HTTPError as refused:
        with refused:
            return refused.code, refused.read().decode()


def test_an_outage_is_told_to_all_and_survived_by_all(home: Node, postgresql: Server) -> None:
    kept = models.log_sleeper(home.url, "kept", 0, answer=1)
    with Lockgate(home.url, "ana") as sdk:
        assert sdk.promote(kept.ref, "production", wait=120).state == "done"
        port = int(next(each.port for each in sdk.endpoints() if each.environment == "production") or 0)
        slow = models.log_sleeper(home.url, "kept", 3, answer=2)
        promotion = sdk.promote(slow.ref, "production").id
        until(lambda: sdk.promotion(promotion).state == "warming", "the rollout")
    pids = {role: home.pid(role) for role in ("up", "server", "controller", "agent")}

    with Load(port, models.body(models.flowers()[:2])) as load:
        postgresql.stop(signal.SIGQUIT)
        try:
            told = {path: answer(home, method, path, body) for method, path, body in ASKED}
            said = home.cli("status", "kept")
            assert home.answers("/health")
            load.more(40)
            with (home.folder / "client.log").open("wb") as log:
                client = subprocess.Popen(
                    [sys.executable, "-W", "ignore", "-c", TAGS_IN_VAIN_AT_FIRST],
                    env=home.environment(MLFLOW_HTTP_REQUEST_BACKOFF_FACTOR="1"), stdout=log, stderr=log,
                )  # fmt: skip
            try:
                until(lambda: "Incremented Retry" in (home.folder / "client.log").read_text(), "its first repetition")
                postgresql.start()
                assert client.wait(120) == 0, (home.folder / "client.log").read_text()
            finally:
                client.kill()
                client.wait()
        finally:
            if not postgresql.runs:
                postgresql.start()
        with Lockgate(home.url, "ana") as sdk:
            until(lambda: sdk.promotion(promotion).is_over, "the end of the promotion", 120)
            assert sdk.promotion(promotion).state == "done"
            assert sdk.verify_audit().holds
        load.more(20)

    assert not load.failed()
    assert {path: status for path, (status, _) in told.items() if status != 503} == {}
    for path, (_, text) in told.items():
        problem = json.loads(text)
        assert problem["error_code"] == "TEMPORARILY_UNAVAILABLE", path
        assert "database" in problem["message"], path
        assert "psycopg" not in text, path
        assert "SELECT" not in text, path
    assert (said.returncode, "Traceback" in said.stderr) == (1, False)
    assert "database" in said.stderr
    assert pids == {role: home.pid(role) for role in pids}, "nobody had to be started again"
    with models.tracking(home.url) as mlflow:
        assert mlflow.get_model_version("kept", "1").tags["asked"] == "meanwhile"
        assert mlflow.get_model_version_by_alias("kept", "production").version == str(slow.version)


def test_no_log_holds_the_password(home: Node) -> None:
    files = [file for file in home.folder.rglob("*") if file.is_file() and file.stat().st_size < 10_000_000]
    secrets = [PASSWORD.encode(), home.database.split("@")[0].rpartition(":")[2].encode()] if home.database else []

    assert secrets
    assert [file.name for file in files if any(secret in file.read_bytes() for secret in secrets)] == []
    commands = [command for pid, command in home.pids().items() if pid != home.pid("up")]
    assert len(commands) >= 3
    assert [command for command in commands if "s3cret" in command] == []


def test_a_start_without_its_database_ends_with_the_reason(node: Node, postgresql: Server) -> None:
    node.database = postgresql.uri(password="wr:ng")
    process = node.begin()

    assert process.wait(90) == 1
    assert "does not accept the user or the password" in node.log
    assert "Traceback" not in node.log
    assert "wr%3Ang" not in node.log
    assert not node.pids()
