"""One release on one endpoint: what it answers, and what it turns away."""

from __future__ import annotations

import os
import signal
import socket
import threading
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from lockgate.domain.serving import EndpointState, GroupState
from lockgate.usecases.login import secret_digest
from lockgate.usecases.program_ports import Programs
from tests.integration.serving.machine import LIMIT, SPLIT, Machine, until
from tests.integration.serving.models import COLUMNS, ROWS, Models, OnDisk, release

# every test starts programs that import MLflow, which takes its time on a busy machine
pytestmark = pytest.mark.timeout(400)


@pytest.fixture
def served(machine: Machine, models: Models) -> Machine:
    """A machine that serves version 1, to do harm to."""
    machine.want()
    machine.begin()
    machine.serve(release(1, models.first))
    return machine


@pytest.fixture(scope="module")
def standing(tmp_path_factory: pytest.TempPathFactory, models: Models, programs: Programs) -> Iterator[Machine]:
    """The same for tests that only ask."""
    machine = Machine(tmp_path_factory.mktemp("machine") / "run" / "workers", models, programs)
    try:
        machine.want()
        machine.begin()
        machine.serve(release(1, models.first))
        yield machine
    finally:
        machine.end()


def test_an_endpoint_predicts_what_the_model_predicts(standing: Machine, models: Models) -> None:
    heard = standing.client().predict()
    itself = models.first_itself.predict(pd.DataFrame(ROWS, columns=COLUMNS))
    assert heard.status == 200
    assert heard.told == {"predictions": np.asarray(itself).tolist()}


def test_every_answer_names_model_version_and_release(standing: Machine) -> None:
    client = standing.client()
    answers = [client.predict(), client.ask("/ping"), client.ask("/nothing"), client.ask("/invocations", "no json")]
    with socket.create_connection(("127.0.0.1", standing.port()), LIMIT) as raw:
        raw.sendall(b"this is not HTTP\r\n\r\n")
        refused = raw.makefile("rb").read().decode()
    assert [heard.status for heard in answers] == [200, 200, 404, 400]
    for heard in answers:
        told = (heard.headers["x-lockgate-model"], heard.version, heard.headers["x-lockgate-release"])
        assert told == ("fraud%20model", "1", "r1")
    assert refused.startswith("HTTP/1.1 400")
    assert "x-lockgate-release: r1" in refused


def test_a_model_is_found_by_its_name_and_no_other_is(standing: Machine) -> None:
    client = standing.client()
    assert client.ask("/models/fraud%20model/invocations", SPLIT).status == 200
    other = client.ask("/models/other/invocations", SPLIT)
    assert other.status == 404
    assert other.told["error_code"] == "RESOURCE_DOES_NOT_EXIST"
    assert "/models/fraud%20model/invocations" in other.told["message"]


def test_health_version_and_metrics_are_told(standing: Machine) -> None:
    from mlflow.version import VERSION

    client = standing.client()
    client.predict()
    assert client.ask("/health").body == b"\n"
    assert client.ask("/ping").status == 200
    assert client.ask("/version").body.decode() == VERSION
    metrics = client.ask("/metrics").body.decode()
    counted = next(line for line in metrics.splitlines() if line.startswith("lockgate_requests_total{"))
    assert 'model="fraud model"' in counted
    assert 'version="1"' in counted
    assert "lockgate_invocation_seconds_count" in metrics


@pytest.mark.parametrize("header", [{"host": "evil.example"}, {"origin": "https://evil.example"}])
def test_a_page_of_another_site_is_turned_away(standing: Machine, header: dict[str, str]) -> None:
    heard = standing.client().ask("/invocations", SPLIT, **header)
    assert heard.status == 403
    assert "evil.example" in heard.told["message"]


def test_a_body_over_the_limit_is_refused_before_it_is_read(standing: Machine) -> None:
    with socket.create_connection(("127.0.0.1", standing.port()), LIMIT) as raw:
        raw.sendall(b"POST /invocations HTTP/1.1\r\nhost: localhost\r\ncontent-length: 99999999999\r\n\r\n")
        answer = raw.makefile("rb").read().decode()
    assert answer.startswith("HTTP/1.1 413")
    assert "64 MiB" in answer


def test_a_prediction_over_its_time_limit_gets_504_and_the_next_one_is_answered(
    machine: Machine, models: Models
) -> None:
    machine.want(timeout=1.0)
    machine.begin()
    machine.serve(release(1, models.patient))
    client = machine.client()
    row = '"dataframe_split": {"columns": ["height", "width", "weight"], "data": [[1, 2, 3]]}'
    late = client.ask("/invocations", f'{{{row}, "params": {{"seconds": 5.0}}}}')
    assert (late.status, late.body) == (504, b"Request processing time exceeded limit")
    assert client.ask("/invocations", f"{{{row}}}").told == {"predictions": ["none"]}


def test_a_worker_sees_no_secret_of_the_agent(
    machine: Machine, monkeypatch: pytest.MonkeyPatch, models: Models
) -> None:
    monkeypatch.setenv("LOCKGATE_DATABASE", "postgresql://user:secret@host/db")
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://tracking")
    machine.want()
    machine.begin()
    machine.ledger.warm("e1", release(1, models.first))
    (pid,) = machine.seen("r1", GroupState.READY).pids
    names = {
        line.partition(b"=")[0].decode() for line in Path(f"/proc/{pid}/environ").read_bytes().split(b"\0") if line
    }
    usual = {"PATH", "LANG", "HOME", "TMPDIR", "PYTHONPATH", "PYTHONUNBUFFERED", "PYTHONDONTWRITEBYTECODE"}
    usual |= {"DO_NOT_TRACK", "MLFLOW_DISABLE_TELEMETRY", "JE_ARROW_MALLOC_CONF"}
    assert {name for name in names if not name.startswith("LC_") and not name.endswith("_NUM_THREADS")} <= usual


def test_a_killed_worker_is_replaced_and_no_waiting_request_is_lost(served: Machine) -> None:
    (pid,) = served.seen("r1", GroupState.SERVING).pids
    os.kill(pid, signal.SIGKILL)
    # the listening socket outlives the worker, so this one waits for the next
    assert served.client().predict().status == 200
    until(lambda: served.seen("r1", GroupState.SERVING).pids not in ((), (pid,)), "another worker")


def test_changed_artifacts_are_not_served(machine: Machine, models: Models) -> None:
    machine.want()
    changed = OnDisk(models.first.folder, "sha256:" + "0" * 64)
    machine.models = replace(models, first=changed)
    machine.begin()
    machine.ledger.warm("e1", release(1, changed))
    assert "artifacts have changed" in machine.seen("r1", GroupState.FAILED).because


def test_a_model_that_cannot_load_fails_with_its_reason_and_the_remedy(machine: Machine, models: Models) -> None:
    machine.want()
    machine.begin()
    machine.ledger.warm("e1", release(1, models.broken))
    because = machine.seen("r1", GroupState.FAILED).because
    assert "No module named 'nobody_has_this'" in because
    assert "pip install 'nobody-has-this==1.2.3'" in because
    assert "\n" not in because


def test_the_worker_of_a_retired_endpoint_ends_and_its_port_is_free(served: Machine) -> None:
    port = served.port()
    served.ledger.retire("e1")
    until(lambda: not served.ledger.observed("e1"), "the end of the workers")

    def free() -> bool:
        with socket.socket() as trial:
            return trial.connect_ex(("127.0.0.1", port)) != 0

    until(free, "the end of the port")


def test_a_taken_port_degrades_the_endpoint_naming_its_owner_until_it_is_free(machine: Machine) -> None:
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = other.getsockname()[1]
        machine.want(port=port, may_take_next=False)
        machine.begin()
        until(lambda: machine.ledger.endpoint("e1").state is EndpointState.DEGRADED, "the degradation")
        because = machine.ledger.endpoint("e1").because
        assert f"Port {port} is taken by process {os.getpid()}" in because
    assert machine.port() == port
    until(lambda: machine.ledger.endpoint("e1").because == "", "the recovery")


def test_a_second_endpoint_gets_the_next_free_port(machine: Machine) -> None:
    with socket.socket() as trial:
        trial.bind(("127.0.0.1", 0))
        port = trial.getsockname()[1]
    machine.want(port=port)
    machine.begin()
    assert machine.port() == port
    machine.want(endpoint="e2", port=port)
    assert machine.port("e2") > port


def test_two_workers_share_one_port(machine: Machine, models: Models) -> None:
    machine.want(workers=2)
    machine.begin()
    machine.serve(release(1, models.first))
    until(lambda: len(machine.seen("r1", GroupState.SERVING).pids) == 2, "two workers")
    answers: list[int] = []
    threads = [threading.Thread(target=lambda: answers.append(machine.client().predict().status)) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(LIMIT)
    assert answers == [200] * 8


def test_its_tokens_come_and_go_while_it_serves(standing: Machine) -> None:
    secret = "lge_of-the-shop"
    client = standing.client()
    standing.ledger.admit("e1", [secret_digest(secret)])
    try:
        locked = until(lambda: (heard := client.predict()).status == 401 and heard, "asking for a token")
        assert locked.told["error_code"] == "UNAUTHENTICATED"
        assert client.ask("/ping").status == 200
        assert client.ask("/invocations", SPLIT, authorization=f"Bearer {secret}").status == 200
    finally:
        standing.ledger.admit("e1", [])
    until(lambda: client.predict().status == 200, "asking for none any more")
