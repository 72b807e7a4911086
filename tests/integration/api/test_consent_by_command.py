"""Plans as files, the approver's page, taking back, and breaking the glass, as people type them, over real HTTP."""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from lockgate.cli import outcome
from lockgate.cli.main import cli
from lockgate.cli.options import Caller
from lockgate.domain.versions import VersionRef
from lockgate.sdk.client import Lockgate
from lockgate.sdk.errors import Conflict, Forbidden, NotFound
from tests.databases.backends import SQLITE
from tests.integration.api.conftest import Machine

Run = Callable[..., tuple[int, str]]
# what differs between databases is tested below the API
pytestmark = pytest.mark.parametrize("backend", [SQLITE], indirect=True)


@pytest.fixture
def run(machine: Machine, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Run:
    """`run("ada", "status")`: the command as ada, its exit code and what it printed."""
    monkeypatch.setenv("COLUMNS", "200")
    for name in ("LOCKGATE_TOKEN", "LOCKGATE_USER", "MLFLOW_TRACKING_USERNAME", "MLFLOW_TRACKING_TOKEN"):
        monkeypatch.delenv(name, raising=False)

    made: list[Lockgate] = []
    real = Caller.client

    def client(caller: Caller) -> Lockgate:
        made.append(real(caller))
        return made[-1]

    # a command ends with its process; here its connections would stay open
    monkeypatch.setattr(Caller, "client", client)

    def typed(who: str, *words: str) -> tuple[int, str]:
        code = outcome.run(cli, [*words, "--url", machine.url, "--as", who])
        while made:
            made.pop().close()
        shown = capsys.readouterr()
        return code, shown.out + shown.err

    return typed


def told(answer: tuple[int, str]) -> Any:
    assert answer[0] in (0, 8), answer
    return json.loads(answer[1])


def test_a_plan_is_written_looked_at_approved_and_carried_out_as_it_is(
    machine: Machine, run: Run, tmp_path: Path
) -> None:
    machine.register("fraud", 1, team="risk")
    machine.register("fraud", 2, team="risk")
    machine.mlflow.run("run1", {"accuracy": 0.91})
    file = tmp_path / "plan.json"
    assert run("ada", "promote", "fraud@1", "--to", "staging")[0] == 0
    code, shown = run("ada", "plan", "fraud@1", "--output", str(file))
    assert code == 8
    assert "what an approval signs" in shown
    asked = told(run("ada", "request", "fraud@1", "--reason", "better", "--json"))
    code, page = run("ben", "approvals", "show", asked["id"])
    assert code == 0
    for word in (
        "asked by   ada",
        "missing    1 more approval",
        "there is nothing to compare with",
        "lockgate approve fraud@1",
    ):
        assert word in page
    assert run("ben", "approvals", "show", "fraud@1")[1] == run("ben", "approvals", "show", asked["id"])[1]
    assert run("ben", "approvals")[1] == run("ben", "approvals", "list")[1]
    with machine.ports.store.writing("fraud") as work:
        work.catalog.set_tag(VersionRef("fraud", 1), "team", "another")
    code, shown = run("ben", "approve", "--plan", str(file), "--comment", "fine")
    assert code == 1
    assert "is stale: tag team changed from risk to another." in shown
    assert "lockgate plan fraud@1" in shown
    assert run("ada", "promote", "--plan", str(file))[0] == 1
    run("ada", "plan", "fraud@1", "--output", str(file))
    digest = json.loads(file.read_text())["digest"]
    assert told(run("ben", "approve", "--plan", digest, "--json"))["state"] == "approved"
    code, shown = run("ada", "promote", "--plan", str(file))
    assert (code, "Done: fraud@1 is in Production" in shown) == (0, True)
    page = run("ada", "approvals", "show", asked["id"])[1]
    assert "yes        ben (unverified)" in page
    assert "nobody checked these names" in page


def test_what_is_no_plan_is_told(machine: Machine, run: Run, tmp_path: Path) -> None:
    machine.register("fraud", 1, team="risk")
    file = tmp_path / "plan.json"
    run("ada", "plan", "fraud@1", "--output", str(file))
    good = json.loads(file.read_text())
    wrong: dict[str, str] = {
        "is no plan": "[]",
        "is no plan of": json.dumps({**good, "parts": None}),
        "was changed": json.dumps({**good, "parts": {**good["parts"], "policy": "sha256:other"}}),
        "was changed after": json.dumps({**good, "version": 2}),
        "that this release": json.dumps({**good, "format": "other"}),
    }
    for because, text in wrong.items():
        file.write_text(text)
        code, shown = run("ben", "approve", "--plan", str(file))
        assert (code, because in shown) == (2, True), shown
    assert run("ben", "approve", "--plan", "no such thing")[0] == 2
    assert run("ben", "approve")[0] == 2
    file.write_text(json.dumps(good))
    assert "about fraud@1, not about fraud@2" in run("ben", "approve", "fraud@2", "--plan", str(file))[1]
    assert run("ben", "plan", "fraud@1", "--output", str(tmp_path / "no" / "such"))[0] == 2


def test_a_request_and_a_yes_are_taken_back_and_a_version_is_archived_with_the_no(machine: Machine, run: Run) -> None:
    machine.register("fraud", 1, team="risk")
    run("ada", "request", "fraud@1", "--reason", "better")
    run("ben", "approve", "fraud@1")
    assert "your approval" in run("ben", "withdraw", "fraud@1", "--reason", "a mistake")[1]
    assert "the request" in run("ada", "withdraw", "fraud@1", "--reason", "not now")[1]
    assert run("ben", "withdraw", "fraud@1", "--reason", "again")[0] == 1
    run("ada", "request", "fraud@1", "--reason", "better")
    assert "It is archived." in run("ben", "reject", "fraud@1", "--reason", "no", "--archive")[1]
    with machine.as_("ada") as ada:
        assert ada.status("fraud").versions[0].stage == "Archived"
        assert ada.delegations.all() == ()
        with pytest.raises(Conflict, match="no users yet"):
            ada.delegations.give("ben", datetime.now(UTC) + timedelta(days=1), "holiday")
        assert ada.proposals.all() == ()
        for lost in (
            lambda: ada.proposals.show("pol-1"),
            lambda: ada.approval("apr-1"),
            lambda: ada.break_glass.show("x"),
        ):
            with pytest.raises(NotFound):
                lost()


def test_the_glass_is_broken_by_two_people_and_stays_in_sight_until_a_third_looked(machine: Machine, run: Run) -> None:
    machine.register("fraud", 1)
    machine.register("fraud", 2, team="risk")
    asked = told(
        run("ada", "break-glass", "fraud@1", "--to", "production", "--reason", "the till", "--expires", "2h", "--json")
    )
    assert "BREAK-GLASS asked for by ada" in run("ben", "status")[1]
    assert run("ada", "break-glass", "--confirm", asked["id"])[0] == 1
    assert run("ben", "break-glass", "fraud@2", "--confirm", asked["id"])[0] == 2
    code, shown = run("ben", "break-glass", "--confirm", asked["id"])
    assert code == 0
    for word in ("Done: fraud@1 is in Production", "the broken glass set them aside", "A third person reviews it by"):
        assert word in shown
    for where in (("status",), ("status", "fraud"), ("approvals",)):
        assert "review due by" in run("ada", *where)[1]
    assert told(run("ada", "status", "fraud", "--json"))["break_glass"][0]["state"] == "to review"
    with machine.as_("ben") as ben, pytest.raises(Forbidden, match="third person"):
        ben.break_glass.review(asked["id"], "I was right")
    assert run("cara", "break-glass", "review", asked["id"], "--comment", "it was right")[0] == 0
    assert "BREAK-GLASS" not in run("ada", "status")[1]
    assert "reviewed" in run("ada", "break-glass", "list")[1]
    assert run("ada", "break-glass", "fraud@2", "--to", "production")[0] == 2
