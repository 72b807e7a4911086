"""Logged predictions are read through the Python client and the command, by whoever may."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from lockgate.adapters.predictions.parquet import ParquetPredictions
from lockgate.cli import outcome
from lockgate.cli.main import cli
from lockgate.cli.options import Caller
from lockgate.sdk.errors import BadRequest, NotFound
from lockgate.wire.predictions import FEEDBACK, PREDICTIONS, SPOOL, folder_of
from tests.databases.backends import Database, on_sqlite
from tests.integration.api.conftest import Machine, running

pytestmark = on_sqlite

NOON = datetime(2024, 11, 23, 12, tzinfo=UTC)
ROW: dict[str, Any] = {
    "time": int(NOON.timestamp()) * 1_000_000, "request_id": "id-1", "model": "fraud", "version": 1, "release": "r1",
    "engine": "native", "worker": "w1", "status": 200, "rows": 1, "seconds": 0.001, "path": "/invocations",
    "content_type": "application/json", "input": '{"inputs": [[1]]}' + " " * 80, "output": '{"predictions": [1]}',
}  # fmt: skip


@pytest.fixture
def machine(database: Database, tmp_path: Path) -> Iterator[Machine]:
    spool = folder_of(tmp_path, "production", "fraud") / SPOOL
    spool.mkdir(parents=True)
    lines = [json.dumps(ROW | {"time": ROW["time"] + n, "request_id": f"id-{n}"}) + "\n" for n in range(3)]
    (spool / f"{PREDICTIONS}.2024-11-23.00.jsonl").write_text("".join(lines))
    label = {"time": ROW["time"] + 9, "request_id": "id-2", "row": 0, "label": '"fraud"'}
    (spool / f"{FEEDBACK}.2024-11-24.01.jsonl").write_text(json.dumps(label) + "\n")
    with running(database, ParquetPredictions(tmp_path)) as machine:
        machine.register("fraud", 1, team="risk")
        yield machine


def test_predictions_of_a_day_are_read_with_their_labels(machine: Machine) -> None:
    with machine.as_("carl") as carl:
        newest, *rest = carl.predictions.of_day("fraud", day="2024-11-23")
        assert (newest.request_id, newest.input) == ("id-2", ROW["input"])
        assert [(label.label, label.row) for label in newest.labels] == [('"fraud"', 0)]
        assert [each.request_id for each in rest] == ["id-1", "id-0"]
        page = carl.predictions.page("fraud", day="2024-11-23", limit=1)
        older = carl.predictions.page("fraud", day="2024-11-23", limit=1, after=page.after)
        assert older.predictions[0].request_id == "id-1"
        assert carl.predictions.page("fraud").predictions == ()  # today
        with pytest.raises(NotFound, match="nothing"):
            carl.predictions.page("nothing")
        with pytest.raises(BadRequest, match="no environment 'moon'"):
            carl.predictions.page("fraud", "moon")
        for day in ("yesterday", "2026-13-01", "2024-11-23T00:00"):
            with pytest.raises(BadRequest, match="is no day"):
                carl.predictions.page("fraud", day=day)


def test_the_command_shows_them_in_short_or_whole(
    machine: Machine, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "200")
    client = machine.as_("carl")
    # a command ends with its process; here its connections would stay open
    monkeypatch.setattr(Caller, "client", lambda _: client)

    def run(*words: str) -> str:
        assert outcome.run(cli, ["predictions", "fraud", *words]) == 0
        return capsys.readouterr().out

    told = run("--day", "2024-11-23", "--limit", "2")
    assert "id-2" in told
    assert '"fraud" (row 0)' in told
    assert "id-0" not in told
    after = told.rpartition("--after '")[2].partition("'")[0]
    assert "id-0" in run("--day", "2024-11-23", "--after", after)
    whole = json.loads(run("--day", "2024-11-23", "--request", "id-1", "--json"))
    assert [each["input"] for each in whole["predictions"]] == [ROW["input"]]
    assert "No prediction of fraud in production was logged on 2024-11-22" in run("--day", "2024-11-22")
    client.close()
