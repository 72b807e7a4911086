"""Workers of an endpoint count together, keep, label and trace what they answer: real ones, of which one is killed."""

from __future__ import annotations

import os
import re
import signal
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest

from lockgate.adapters.predictions.parquet import ParquetPredictions
from lockgate.domain.serving import GroupState
from lockgate.usecases.prediction_ports import Asked, LoggedPrediction
from lockgate.usecases.program_ports import Programs
from lockgate.wire.workers import CommonToAll
from tests.integration.serving.machine import SPLIT, Machine, until
from tests.integration.serving.models import Models, release
from tests.unit.worker.observing.test_traces import SPAN, TRACE, collecting

pytestmark = pytest.mark.timeout(400)


@pytest.fixture
def watched(tmp_path: Path, models: Models, programs: Programs) -> Iterator[tuple[Machine, list]]:
    """Two workers that keep every prediction, and what a collector hears of them."""
    with collecting() as (url, heard):
        common = CommonToAll(traces=url, traces_share=0.0, predictions=str(tmp_path / "predictions"))
        machine = Machine(tmp_path / "run" / "workers", models, programs, common)
        try:
            machine.want(workers=2, log_predictions=1.0)
            machine.begin()
            machine.serve(release(1, models.first))
            machine.seen("r1", GroupState.SERVING, pids=2)
            yield machine, heard
        finally:
            machine.end()


def counted(machine: Machine, name: str) -> float:
    """The sum of the series of that name, as a new connection hears it."""
    client = machine.client()
    text = client.ask("/metrics").body.decode()
    client.close()
    return sum(float(value) for value in re.findall(rf"^{re.escape(name)}\{{.*\}} (\S+)$", text, re.MULTILINE))


def logged(tmp_path: Path) -> dict[str, LoggedPrediction]:
    log = ParquetPredictions(tmp_path / "predictions")
    page = log.read("production", "fraud model", Asked(datetime.now(UTC).date(), 500))
    return {each.request_id: each for each in page.predictions}


def test_what_two_workers_answered_is_counted_kept_labelled_and_traced_and_outlives_one_of_them(
    watched: tuple[Machine, list], tmp_path: Path
) -> None:
    machine, heard = watched
    for number in range(12):
        client = machine.client()
        traceparent = {"traceparent": f"00-{TRACE}-{SPAN}-01"} if number == 0 else {}
        assert client.ask("/invocations", SPLIT, x_request_id=f"id-{number}", **traceparent).status == 200
        client.close()
    assert machine.client().ask("/invocations", "{}", x_request_id="wrong").status == 400
    until(lambda: counted(machine, "lockgate_workers") == 2, "both workers counting")
    assert counted(machine, "lockgate_invocation_seconds_count") == 13

    until(lambda: len(logged(tmp_path)) == 13, "every prediction being kept")
    until(lambda: heard, "a span arriving")  # a worker that is killed takes those with it that it has not sent yet
    victim = machine.seen("r1", GroupState.SERVING, pids=2).pids[0]
    os.kill(victim, signal.SIGKILL)
    until(lambda: victim not in machine.seen("r1", GroupState.SERVING, pids=2).pids, "another worker in its place")

    assert machine.client().predict().status == 200
    assert counted(machine, "lockgate_invocation_seconds_count") == 14
    until(lambda: counted(machine, "lockgate_workers") == 2, "the other worker counting")
    told = machine.client().ask("/feedback", '{"feedback": [{"request_id": "id-3", "label": 1, "row": 0}]}')
    assert (told.status, told.told) == (200, {"kept": 1})
    assert machine.client().ask("/feedback", '{"label": 1}').status == 400
    assert counted(machine, "lockgate_log_records_total") >= 13

    kept = logged(tmp_path)
    assert set(kept) >= {f"id-{number}" for number in range(12)} | {"wrong"}
    assert (kept["id-3"].input, kept["id-3"].version, kept["id-3"].rows) == (SPLIT, 1, 3)
    assert [(label.label, label.row) for label in kept["id-3"].labels] == [("1", 0)]
    assert kept["wrong"].status == 400
    ((_, message),) = heard
    (span,) = message.resource_spans[0].scope_spans[0].spans
    assert span.trace_id.hex() == TRACE

    machine.halt()
    whole = list((tmp_path / "predictions").rglob("*.parquet"))
    assert whole
    assert len(logged(tmp_path)) == 14
