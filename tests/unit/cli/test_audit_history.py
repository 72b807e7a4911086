"""What the commands for an auditor print, from shapes as the server would send them."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import pytest

from lockgate.cli import outcome
from lockgate.cli.main import cli
from lockgate.sdk.client import Lockgate
from lockgate.wire import history as wire
from lockgate.wire import keeping, shapes

NOW = datetime(2026, 3, 1, 12, 0, tzinfo=UTC)
ANA, BEN = shapes.Who("ana", verified=True), shapes.Who("ben", verified=True)
GATES = (
    shapes.Gate("min_accuracy", "holds", "enforce", "0.95 is enough"),
    shapes.Gate("drift_check", "fails", "observe", "nobody ran it"),
)
MOVE = shapes.Promotion(
    id="prm_1", model="fraud", version=7, stage="Production", kind="promote", state="done", lasting=True,
    archive_existing=True, asked_by=ANA, reason="it is better", asked_at=NOW, because="",
    verdict=shapes.Verdict("holds", "fails", GATES), plan_digest="sha256:plan", policy_digest="sha256:policy",
)  # fmt: skip
REQUEST = shapes.ApprovalRequest(
    id="apr_1", model="fraud", version=7, stage="Production", asked_by=ANA, reason="please", asked_at=NOW,
    plan_digest="sha256:plan", state="approved",
    decisions=(
        shapes.Decision(True, BEN, "agreed", NOW, "sha256:plan"),
        shapes.Decision(True, shapes.Who("cleo"), "an older one", NOW, "sha256:another"),
    ),
)  # fmt: skip
BEHIND = wire.Behind(MOVE, REQUEST, wire.KeptPolicy("sha256:policy", "root", NOW))
STAGES = (
    wire.InStage(7, "Production", NOW, "sha256:files", True, BEHIND),
    wire.InStage(3, "Staging", NOW, None, None, None, "it was there before Lockgate"),
)
SERVED = (wire.Served("production", 7, "rel_1", "sha256:files", NOW, "prm_1", vacant=False),)
FOUND = wire.AsOf(NOW, NOW, True, (wire.ModelThen("fraud", STAGES, SERVED, now="scams"),))
PLACE = wire.Anchored("file:///x", 40, NOW, NOW, 0, "", NOW)
KEPT = keeping.Kept("7y", ANA, NOW, "our rule", (keeping.Hold("hld_1", "fraud", "a lawsuit", BEN, NOW),), 12, 0)


class Server:
    """Answers what a test put there."""

    def __init__(self, **answers: Any) -> None:
        self._answers = answers
        self.asked: list[tuple[Any, ...]] = []

    def __getattr__(self, name: str) -> Any:
        def answer(*told: Any, **_: Any) -> Any:
            self.asked.append((name, *told))
            return self._answers[name]

        return answer


def run(monkeypatch: pytest.MonkeyPatch, part: str, server: Server, *arguments: str) -> int:
    monkeypatch.setattr(Lockgate, part, property(lambda _self: server))
    return outcome.run(cli, ["audit", *arguments, "--url", "http://127.0.0.1:9"])


def test_a_day_is_told_with_who_asked_who_agreed_and_what_is_unknown(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(monkeypatch, "history", Server(as_of=FOUND), "as-of", "2026-03-01") == 0
    shown = capsys.readouterr().out
    for told in (
        "As of 2026-03-01 12:00:00 UTC.", "fraud is called scams now.", "fraud@7 in Production: promote prm_1",
        "because: it is better", "1 of 2 gates held", "drift_check fails (observe): nobody ran it", "applied by root",
        "ben approved", "an older one", "(another plan than the one carried out)",
        "fraud@3 in Staging: it was there before Lockgate.", "what was so before is unknown",
    ):  # fmt: skip
        assert told in shown, told
    row = next(line for line in shown.splitlines() if line.startswith("fraud ") and " 7 " in line)
    assert "ben" in row
    assert "cleo" not in row


def test_a_day_on_which_nothing_served_says_so(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    nothing = replace(FOUND, models=(), adopted=False, removed=True)
    assert run(monkeypatch, "history", Server(as_of=nothing), "as-of", "2026-03-01") == 0
    shown = capsys.readouterr().out
    assert "nothing served" in shown
    assert "by the rule of retention" in shown


def test_json_has_all_of_it(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    server = Server(as_of=FOUND)
    assert run(monkeypatch, "history", server, "as-of", "2026-03-01", "--model", "fraud", "--json") == 0
    told = json.loads(capsys.readouterr().out)
    assert told["models"][0]["stages"][0]["behind"]["request"]["decisions"][0]["comment"] == "agreed"
    assert server.asked == [("as_of", "2026-03-01", "fraud")]


@pytest.mark.parametrize(
    ("anchors", "code", "told"),
    [
        ((), 0, "--anchors"),
        ((PLACE,), 0, "file:///x"),
        ((PLACE, replace(PLACE, place="s3://b", failures=3, error="no such bucket")), 1, "s3://b: no such bucket"),
    ],
)
def test_a_place_that_cannot_be_written_is_an_exit_code(
    anchors: tuple[wire.Anchored, ...], code: int, told: str,
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str],
) -> None:  # fmt: skip
    assert run(monkeypatch, "history", Server(anchors=wire.AnchorList(anchors, 42)), "anchors") == code
    assert told in capsys.readouterr().out


def test_how_the_record_is_kept_is_told_with_who_said_so_and_what_is_held(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    server = Server(show=KEPT, set=KEPT, hold=KEPT, release=replace(KEPT, length="for ever", holds=(), set_by=None))
    assert run(monkeypatch, "keeping", server, "retention", "set", "7y", "--reason", "our rule") == 0
    shown = capsys.readouterr().out
    for told in ("kept for 7y, as ana set at", "our rule", "Nothing is removed yet", "12 entries", "a lawsuit"):
        assert told in shown, told
    assert run(monkeypatch, "keeping", server, "hold", "add", "fraud", "--reason", "a lawsuit") == 0
    assert run(monkeypatch, "keeping", server, "hold", "list") == 0
    capsys.readouterr()
    assert run(monkeypatch, "keeping", server, "hold", "release", "fraud", "--reason", "done") == 0
    shown = capsys.readouterr().out
    assert "The texts of entries are kept for ever." in shown
    assert "No model is held." in shown
    assert server.asked == [
        ("set", "7y", "our rule"),
        ("hold", "fraud", "a lawsuit"),
        ("show",),
        ("release", "fraud", "done"),
    ]
    assert run(monkeypatch, "keeping", server, "hold", "add", "fraud") == 2
