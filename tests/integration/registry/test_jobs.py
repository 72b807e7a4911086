"""MLflow's job runner beside the server, where the router `jobs` is open. Its eight processes take a while to start."""

from __future__ import annotations

import os
import re
import time
from collections.abc import Callable
from typing import Any

import pytest
import requests

from tests.integration.registry.servers import Running, server

pytestmark = [pytest.mark.long, pytest.mark.timeout(400)]
LIMIT = 180.0
OVER = {"SUCCEEDED", "FAILED", "TIMEOUT", "CANCELED"}
OPENED = {"LOCKGATE_MLFLOW_ROUTERS": "jobs"}
# its run does not exist, which the job finds out when it runs
JOB: Any = {
    "job_name": "optimize_prompts",
    "params": {
        **dict.fromkeys(("dataset_id", "optimizer_type"), ""),
        "run_id": "nobody",
        "experiment_id": "0",
        "prompt_uri": "prompts:/nobody/1",
        "optimizer_config": None,
        "scorer_names": [],
    },
}


def test_a_job_runs_and_is_on_the_record_and_the_runner_ends_with_the_server(tmp_path):
    with server(tmp_path, more=OPENED) as running:
        runner = _until(lambda: _runner(running), "the job runner is not started")
        made = requests.post(f"{running.url}/ajax-api/3.0/jobs/", json=JOB, auth=("ann", "x"), timeout=60)
        assert made.status_code == 200, made.text
        job = f"{running.url}/ajax-api/3.0/jobs/{made.json()['job_id']}"
        done = _until(lambda: _over(requests.get(job, timeout=60).json()), "the job does not end")
        assert (done["status"], bool(done["error_message"])) == ("FAILED", True)
        told = requests.get(f"{running.url}/api/lockgate/v1/audit", timeout=60).json()["entries"]
        [called] = [entry for entry in told if entry["action"] == "router:called"]
        assert (called["who"]["name"], called["detail"]["router"]) == ("ann", "jobs")
    _until(lambda: _is_gone(runner), "the job runner outlives the server")


def test_the_runner_ends_when_the_server_is_killed(tmp_path):
    with server(tmp_path, more=OPENED) as running:
        runner = _until(lambda: _runner(running), "the job runner is not started")
        running.process.kill()
        running.process.wait()  # whoever started it takes note of its end, as `up` does
        _until(lambda: _is_gone(runner), "the job runner outlives the server")


def _runner(running: Running) -> int:
    found = re.search(r"job runner is process (\d+)", running.log.read_text())
    return int(found[1]) if found else 0


def _over(job: dict[str, Any]) -> dict[str, Any] | None:
    return job if job["status"] in OVER else None


def _is_gone(group: int) -> bool:
    try:
        os.killpg(group, 0)
    except ProcessLookupError:
        return True
    return False


def _until(look: Callable[[], Any], otherwise: str) -> Any:
    give_up = time.monotonic() + LIMIT
    while time.monotonic() < give_up:
        if found := look():
            return found
        time.sleep(0.5)
    raise AssertionError(otherwise)
