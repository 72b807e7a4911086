"""A database of stock MLflow's under `lockgate up`, under a stock server again, and back: nothing is lost."""

from __future__ import annotations

import contextlib
import subprocess
import sys
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.databases.backends import POSTGRESQL, SQLITE
from tests.databases.postgres import Postgres
from tests.databases.templates import Template
from tests.e2e.conftest import Node, clean_environment, free_ports, until
from tests.integration.adopt.seeding import content, our_tables, rows, run, seed


@contextlib.contextmanager
def stock_server(uri: str, folder: Path) -> Iterator[str]:
    """`mlflow server` as it comes, on that database."""
    (port,) = free_ports(1)
    url, log = f"http://127.0.0.1:{port}", folder / "mlflow.log"
    command = [
        sys.executable, "-m", "mlflow", "server", "--backend-store-uri", uri, "--default-artifact-root",
        str(folder / "stock-artifacts"), "--port", str(port), "--workers", "1",
    ]  # fmt: skip
    with log.open("wb") as out:
        process = subprocess.Popen(
            command, cwd=folder, env=clean_environment(), stdin=subprocess.DEVNULL, stdout=out, stderr=out,
        )  # fmt: skip

    def answers() -> bool:
        assert process.poll() is None, log.read_text()
        with contextlib.suppress(OSError), urllib.request.urlopen(f"{url}/health", timeout=5) as response:
            return bool(response.status == 200)
        return False

    try:
        until(answers, "the stock server's answer", 90)
        yield url
    finally:
        process.terminate()
        try:
            process.wait(30)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait(10)


@pytest.fixture(params=[SQLITE, pytest.param(POSTGRESQL, marks=pytest.mark.long)])
def uri(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """An empty database of either kind."""
    if request.param == SQLITE:
        return f"sqlite:///{tmp_path / 'mlflow.db'}"
    postgres: Postgres = request.getfixturevalue("postgres")
    return postgres.fresh(Template.EMPTY)


def test_adopted_left_for_a_stock_server_and_taken_up_again(tmp_path: Path, uri: str) -> None:
    from mlflow import MlflowClient

    seed(tmp_path / "artifacts", uri)
    before = content(uri)
    settings = {"LOCKGATE_DATABASE": uri, "LOCKGATE_TRANSITION_WAIT": "100"}
    node = Node(tmp_path, settings=settings)
    try:
        node.start()
        shown = node.cli("status", "fraud")
        through = MlflowClient(node.url, node.url)
        assert "Versions 3, 2, 1: from before Lockgate." in shown.stdout, shown
        assert through.get_model_version_by_alias("fraud", "production").version == "2"
        models = {m.name: through.search_model_versions(f"name='{m.name}'") for m in through.search_registered_models()}
        assert {name: len(versions) for name, versions in models.items()} == {
            "fraud": 3, "twins": 2, "wrong": 2, "plain": 1,
        }  # fmt: skip
        assert node.stop() == 0
        assert content(uri, without_our_indexes=True) == before
        if uri.startswith("sqlite"):
            assert rows(uri, "PRAGMA journal_mode") == [("delete",)]

        with stock_server(uri, tmp_path) as url:
            stock = MlflowClient(url, url)
            assert [v.version for v in stock.search_model_versions("name='fraud'")] == ["3", "2", "1"]
            stock.transition_model_version_stage("fraud", "2", "Archived")
            made = stock.create_model_version("fraud", "s3://nowhere/fraud")
            stock.transition_model_version_stage("fraud", made.version, "Production")
            stock.set_registered_model_alias("fraud", "production", made.version)

        node.start()
        told = _by_subject(node.json("drift", "fraud")["drift"])
        assert (told["fraud@2"]["held"], told["fraud@2"]["found"]) == ("Production", "Archived")
        assert (told["fraud@4"]["held"], told["fraud@4"]["found"]) == ("None", "Production")
        assert told["alias production"]["found"] == "4"
        until(lambda: len(node.json("audit", "list", "--action", "drift:found")["entries"]) >= 3, "drift on the record")
        status = node.cli("status", "fraud").stdout
        assert "! Lockgate holds fraud@2 in stage Production, MLflow's column says Archived." in status
        assert "Version 4: made past Lockgate, and unrecorded." in status
        assert "changed past Lockgate" in (node.home / "logs" / "server.log").read_text()

        # back to what we hold, by a plain client, and the other by its gates
        through.transition_model_version_stage("fraud", "2", "Production", archive_existing_versions=False)
        assert node.cli("promote", "fraud@4", "--to", "none").returncode == 0
        assert node.json("drift", "fraud")["drift"] == []
        assert through.get_model_version_by_alias("fraud", "production").version == "2"
        assert node.json("audit", "verify")["holds"] is True

        refused = node.cli("uninstall", "--home", str(node.home), "--database", uri, "--yes")
        assert (refused.returncode, "still runs on" in refused.stderr) == (1, True)
        assert node.stop() == 0
        done = node.cli("uninstall", "--home", str(node.home), "--database", uri, "--yes")
        assert done.returncode == 0, done
        assert our_tables(uri) == []
    finally:
        node.end()


def test_up_says_what_is_wrong_with_a_schema_and_changes_nothing(tmp_path: Path) -> None:
    uri = f"sqlite:///{tmp_path / 'mlflow.db'}"
    seed(tmp_path / "artifacts", uri)
    run(uri, "UPDATE alembic_version SET version_num = '75868b020152'")
    before = content(uri)
    node = Node(tmp_path, settings={"LOCKGATE_DATABASE": uri})
    try:
        assert node.begin().wait(60) == 1
        assert "older than this release knows" in node.log
        assert f"mlflow db upgrade {uri}" in node.log
        assert content(uri) == before
        assert our_tables(uri) == []
    finally:
        node.end()


def _by_subject(found: list[dict[str, Any]]) -> dict[str, dict[str, Any]]:
    return {f"alias {each['alias']}" if each["alias"] else f"{each['model']}@{each['version']}": each for each in found}
