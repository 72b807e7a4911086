"""What commands print, from shapes as the server would send them: whole, plain and with the next command."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import pytest

from lockgate.cli import follow, outcome, show
from lockgate.cli.main import cli
from lockgate.sdk import errors
from lockgate.sdk.approvals import BreakGlass
from lockgate.sdk.client import Lockgate
from lockgate.wire import shapes
from lockgate.wire.webhooks import Delivery, Webhook

HOOK, SENT = "d307940c-835c-4673-969c-7e7ab9f8c3e4", "0fd4a2d7-9ae9-4b46-bc32-787b352319b6"
EVENTS = ("model_version_alias.created", "registered_model.created")
NOW = datetime(2026, 1, 31, 12, 0, tzinfo=UTC)
ANA = shapes.Who("ana")
APPROVAL = shapes.Gate(
    "approval_required", "waits", "enforce", "nobody has been asked", "no request", "1 approval",
    "lockgate request fraud@7 --reason …",
)  # fmt: skip
OPEN = shapes.Promotion(
    id="prm_1", model="fraud", version=7, stage="Production", kind="promote", state="waiting", lasting=True,
    archive_existing=True, asked_by=ANA, reason="", asked_at=NOW, because="an approval is missing",
    verdict=shapes.Verdict("waits", "waits", (APPROVAL,)),
)  # fmt: skip
HOLDS = shapes.Verdict("holds", "holds", ())
ENDPOINT = shapes.Endpoint(
    environment="production", model="fraud", version=7, port=5002, url="http://127.0.0.1:5002",
    state="serving", because="", release=None, generation=3, acknowledged=3,
)  # fmt: skip


class Server:
    """Answers in place of a server: each promotion it is asked about is the next of `states`."""

    def __init__(self) -> None:
        self.states: list[shapes.Promotion] = [OPEN]
        self.asked: dict[str, Any] = {}

    def next(self) -> shapes.Promotion:
        return self.states.pop(0) if len(self.states) > 1 else self.states[0]


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Server:
    answering = Server()

    def promote(_self: Lockgate, version: object, to: str, **more: Any) -> shapes.Promotion:
        answering.asked = {"version": version, "to": to, **more}
        return answering.next()

    monkeypatch.setattr(Lockgate, "promote", promote)
    monkeypatch.setattr(Lockgate, "promotion", lambda _self, _id: answering.next())
    monkeypatch.setattr(Lockgate, "endpoints", lambda _self: (ENDPOINT,))
    monkeypatch.setattr(follow, "FIRST_PAUSE", 0.0)
    monkeypatch.setattr(follow, "LONGEST_PAUSE", 0.0)
    return answering


def _run(*arguments: str) -> int:
    return outcome.run(cli, [*arguments, "--url", "http://127.0.0.1:9"])


def test_a_promotion_that_waits_for_people_exits_8_and_says_how_to_follow_it(
    server: Server, capsys: pytest.CaptureFixture[str]
) -> None:
    assert _run("promote", "fraud@7", "--to", "production") == 8
    shown = capsys.readouterr().out
    for told in ("prm_1", "approval_required", "lockgate request fraud@7 --reason …"):
        assert told in shown
    assert "lockgate promote fraud@7 --to production --wait" in shown


def test_a_promotion_that_gets_done_exits_0_and_says_where_it_is_served(
    server: Server, capsys: pytest.CaptureFixture[str]
) -> None:
    server.states = [
        replace(OPEN, state="judging", verdict=None), replace(OPEN, state="warming"), replace(OPEN, state="switching"),
        replace(OPEN, state="done", verdict=HOLDS),
    ]  # fmt: skip
    assert _run("promote", "fraud@7", "--to", "production", "--reason", "why not", "--keep-existing") == 0
    shown = capsys.readouterr()
    assert shown.out == "Done: fraud@7 is in Production, served at http://127.0.0.1:5002/invocations.\n"
    assert "switching traffic" in shown.err
    assert server.asked == {
        "version": ("fraud", 7), "to": "Production", "reason": "why not", "archive_existing": False, "plan": "",
        "replace": None,
    }  # fmt: skip


def test_a_rollback_says_that_it_starts_only_workers_that_have_left(
    server: Server, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(Lockgate, "rollback", lambda _self, *_what, **_more: server.next())
    back = replace(OPEN, kind="rollback")
    server.states = [replace(back, state="warming"), replace(back, state="done", verdict=HOLDS)]
    assert _run("rollback", "fraud", "--reason", "worse") == 0
    assert "going back to its workers; those that have left are started" in capsys.readouterr().err


def test_wait_may_stand_before_other_words_and_outlasts_a_wait_for_people(server: Server) -> None:
    server.states = [OPEN, OPEN, OPEN, replace(OPEN, state="done", verdict=HOLDS)]
    assert _run("promote", "--wait", "fraud@7", "--to", "production") == 0
    server.states = [OPEN]
    assert _run("promote", "--wait", "10ms", "fraud@7", "--to", "production") == 8


def test_a_promotion_that_ends_refused_exits_1_with_its_gates(
    server: Server, capsys: pytest.CaptureFixture[str]
) -> None:
    gate = replace(APPROVAL, name="min_accuracy", standing="fails")
    server.states = [OPEN, replace(OPEN, state="refused", verdict=shapes.Verdict("fails", "fails", (gate,)))]
    assert _run("promote", "fraud@7", "--to", "production", "--wait") == 1
    shown = capsys.readouterr()
    assert shown.out == ""
    assert "min_accuracy" in shown.err


def test_at_observe_what_did_not_hold_is_shown_though_nothing_was_refused(
    server: Server, capsys: pytest.CaptureFixture[str]
) -> None:
    gate = replace(APPROVAL, level="observe")
    server.states = [replace(OPEN, state="done", verdict=shapes.Verdict("holds", "waits", (gate,)))]
    assert _run("promote", "fraud@7", "--to", "production") == 0
    shown = capsys.readouterr().out
    assert "1 gate did not hold" in shown
    assert "approval_required" in shown


def test_ctrl_c_leaves_the_promotion_going_and_says_how_to_follow_it(
    server: Server, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupted(_self: Lockgate, _id: str) -> shapes.Promotion:
        raise KeyboardInterrupt

    monkeypatch.setattr(Lockgate, "promotion", interrupted)
    assert _run("promote", "fraud@7", "--to", "production", "--wait") == 8
    assert "goes on without you" in capsys.readouterr().err


def test_a_server_that_is_away_for_a_moment_does_not_end_the_wait(
    server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    answers: list[Any] = [errors.Unreachable("away"), replace(OPEN, state="done", verdict=HOLDS)]

    def promotion(_self: Lockgate, _id: str) -> shapes.Promotion:
        found = answers.pop(0)
        if isinstance(found, Exception):
            raise found
        return found

    monkeypatch.setattr(Lockgate, "promotion", promotion)
    assert _run("promote", "fraud@7", "--to", "production", "--wait") == 0


def test_no_command_or_reason_is_cut_in_a_pipe(server: Server, capsys: pytest.CaptureFixture[str]) -> None:
    command = "lockgate request a-model-with-a-very-long-name-that-goes-on-and-on@123 --reason …  --to production"
    because = "word " * 40 + "end-of-the-reason"
    gate = replace(APPROVAL, next=command, because=because)
    server.states = [replace(OPEN, verdict=shapes.Verdict("waits", "waits", (gate,)))]
    assert _run("promote", "fraud@7", "--to", "production") == 8
    shown = capsys.readouterr().out
    assert command in shown
    assert "end-of-the-reason" in shown
    assert "\x1b" not in shown


def test_text_from_the_server_is_never_read_as_markup(server: Server, capsys: pytest.CaptureFixture[str]) -> None:
    gate = replace(APPROVAL, because="[red]not a colour[/red] :smile:")
    server.states = [replace(OPEN, verdict=shapes.Verdict("waits", "waits", (gate,)))]
    assert _run("promote", "fraud@7", "--to", "production") == 8
    shown = capsys.readouterr().out
    assert "[red]not a colour[/red]" in " ".join(shown.split())


@pytest.mark.parametrize("width", ["60", "80", "100", "120"])
def test_no_width_of_the_terminal_loses_a_word_of_a_table(
    width: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", width)
    columns = ("entry", "at (UTC)", "who", "action", "about", "why")
    words = (
        "model:1#48",
        "2026-01-31 12:00:00",
        "ana (unverified)",
        "version:transitioned",
        "iris@1: None",
        "so it is",
    )
    show.table(columns, [words])
    drawn = capsys.readouterr().out
    assert max(len(line) for line in drawn.splitlines()) <= int(width)
    assert sorted("".join(drawn.split()).replace("─", "")) == sorted("".join("".join((*columns, *words)).split()))


@pytest.mark.parametrize("width", [108, 110, 140])
def test_what_is_copied_into_a_command_is_not_broken_in_two(
    width: int, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    hook = Webhook(
        HOOK, "a-collector-of-a-company", "http://collector.example.org/hook?of=audit", True, EVENTS, waiting=2
    )
    hurt = Delivery(SENT, HOOK, EVENTS[0], "delivered", NOW, NOW, 3, last_error="it answered 500", answer="no disk")
    monkeypatch.setenv("COLUMNS", str(width))
    monkeypatch.setattr(Lockgate, "webhooks", lambda _self: (hook,))
    monkeypatch.setattr(Lockgate, "deliveries", lambda *_: (hurt, replace(hurt, id="another")))

    assert _run("webhooks", "list") == 0
    shown = capsys.readouterr().out
    assert f" {HOOK} " in shown
    assert "a-collector-of-a-company hears: model_version_alias.created, registered_model.created\n" in shown
    assert _run("webhooks", "deliveries", HOOK) == 0
    shown = capsys.readouterr().out
    assert all(word in shown for word in (f" {SENT}", EVENTS[0], "2026-01-31 12:00:00"))
    assert f"  of {SENT}, and of 1 before it: it answered 500. Its answer began: no disk\n" in shown


def test_a_cell_of_several_lines_is_as_wide_as_the_longest(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("COLUMNS", "120")
    name = "a-model-with-a-rather-long-name-for-a-table-in-a-terminal"
    show.table(("model", "serves", "pending approvals"), [(name, "production: 1 (serving)\nstaging: 1 (vacant)", None)])
    assert name in capsys.readouterr().out


@pytest.mark.parametrize(
    ("level", "told"),
    [
        ("enforce", "Missing for fraud@7 to reach Production:"),
        ("observe", "It can go there now: lockgate promote fraud@7 --to production"),
    ],
)
def test_what_is_missing_is_told_as_what_it_is_at_the_policys_level(
    level: str, told: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    lacking = (replace(APPROVAL, level=level),)
    version = shapes.VersionStatus("fraud", 7, "Staging", NOW, True, None, next_stage="Production", missing=lacking)
    monkeypatch.setattr(Lockgate, "status", lambda *_: shapes.ModelStatus("fraud", (version,)))
    monkeypatch.setattr(BreakGlass, "all", lambda *_: ())

    assert _run("status", "fraud") == 0
    shown = capsys.readouterr().out
    assert told in shown
    assert ("Missing for" in shown) == (level == "enforce")
    assert "approval_required" in shown


def test_who_asks_for_the_status_of_a_version_is_told_to_ask_for_its_model(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def nobody(_self: Lockgate, _model: str) -> None:
        raise errors.NotFound("Registered Model with name=fraud@7 not found", hint="lockgate status lists the models.")

    monkeypatch.setattr(Lockgate, "status", nobody)
    assert _run("status", "fraud@7") == 1
    assert "A version stands with its model: lockgate status fraud\n" in capsys.readouterr().err


def test_abort_withdraws_the_only_open_promotion_and_asks_which_of_several(
    server: Server, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    over = replace(OPEN, id="prm_0", state="done")
    listed = [over]
    monkeypatch.setattr(Lockgate, "promotions", lambda _self, _model: tuple(listed))
    monkeypatch.setattr(Lockgate, "cancel", lambda _self, id: replace(OPEN, id=id, state="cancelled"))

    assert _run("rollout", "abort", "fraud") == 1
    assert "No promotion of fraud is open" in capsys.readouterr().err

    listed.append(OPEN)
    assert _run("rollout", "abort", "fraud") == 0
    assert "Aborted: the promotion of fraud@7 to Production (prm_1)" in capsys.readouterr().out

    listed.append(replace(OPEN, id="prm_2", version=8))
    assert _run("rollout", "abort", "fraud") == 1
    assert "prm_2 (fraud@8 to Production, waiting)" in capsys.readouterr().err
    assert _run("rollout", "abort", "fraud", "--promotion", "prm_2") == 0
