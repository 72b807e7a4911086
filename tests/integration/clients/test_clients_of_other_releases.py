"""MLflow's clients of other releases work unchanged, and show why something was refused."""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.integration.clients.environments import Client
from tests.integration.registry.servers import Running, server

POLICY = """
level: enforce
stages:
  Staging:
    alias: staging
    requires: {required_tags: [team]}
endpoints: {"*": {serve: off}}
"""
PROGRAM = Path(__file__).with_name("program.py")
LIMIT = 100
# what a model of Python code needs to be loaded; the small client brings neither
LOADING = ("numpy<3", "pandas<3")
SMALL = [Client(release, (f"mlflow-skinny=={release}.*", *LOADING)) for release in ("2.22", "3.1", "3.17")]
WHOLE = [Client(f"{release}-whole", (f"mlflow=={release}.*",)) for release in ("2.22", "3.1")]


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    with server(tmp_path_factory.mktemp("clients"), policy=POLICY) as ready:
        yield ready


@pytest.mark.timeout(400)  # the first run installs what it needs
@pytest.mark.parametrize("client", SMALL, ids=lambda client: client.release)
def test_a_client_registers_moves_and_loads_a_model_and_shows_why_it_was_refused(client, running, tmp_path):
    _judge(_run(client, running, tmp_path, "pyfunc"), client)


@pytest.mark.long
@pytest.mark.timeout(900)
@pytest.mark.parametrize("client", WHOLE, ids=lambda client: client.release)
def test_a_whole_installation_does_so_with_a_model_of_scikit_learn(client, running, tmp_path):
    _judge(_run(client, running, tmp_path, "sklearn"), client)


def _run(client: Client, running: Running, folder: Path, flavor: str) -> dict[str, Any]:
    kept = {
        name: value for name, value in os.environ.items() if not name.startswith(("MLFLOW_", "PYTHON", "LOCKGATE_"))
    }
    told = {
        **kept,
        "MLFLOW_TRACKING_URI": running.url,
        "MLFLOW_TRACKING_USERNAME": "ann",
        "MLFLOW_TRACKING_PASSWORD": "unused",
        "MLFLOW_DISABLE_TELEMETRY": "true",
        "GIT_PYTHON_REFRESH": "quiet",
        "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "0",  # a server that is at fault says so at once
    }
    model = f"fraud-{client.release.replace('.', '-')}"
    done = subprocess.run(
        [client.python, PROGRAM, model, flavor],
        env=told,
        cwd=folder,
        capture_output=True,
        text=True,
        timeout=LIMIT,
        check=False,
    )
    assert done.returncode == 0, f"{done.stdout}\n{done.stderr}\n{running.log.read_text()[-3000:]}"
    return dict(json.loads(done.stdout.splitlines()[-1]), model=model)


def _judge(seen: dict[str, Any], client: Client) -> None:
    model = seen["model"]
    assert seen["release"].startswith(client.release.removesuffix("-whole"))
    assert seen["registered"] == ["1", model]
    assert seen["described"] == ["cards", "the first", "grün", ["mine"]]
    assert seen["models found"] == [model]
    assert seen["versions found"] == ["grün"]
    for refused in ("refused", "refused alias"):
        assert seen[refused]["code"] == "PERMISSION_DENIED"
        assert "required_tags" in seen[refused]["message"]
        assert "team" in seen[refused]["message"]
    assert (seen["refused tag"]["code"], "staging_timestamp" in seen["refused tag"]["message"]) == (
        "PERMISSION_DENIED",
        True,
    )
    assert (seen["unknown stage"]["code"], "Nowhere" in seen["unknown stage"]["message"]) == (
        "INVALID_PARAMETER_VALUE",
        True,
    )
    assert (seen["moved"], seen["latest"], seen["alias follows"]) == ("Staging", ["1"], "1")
    assert (seen["download uri"], seen["downloaded"], seen["predicted"]) == (True, ["MLmodel"], [2.0, 4.0])
    assert seen["prompt"] == "Say {{word}}."
    assert seen["deleted"]["code"] == "RESOURCE_DOES_NOT_EXIST"
