"""When a group's missing workers are started again, and when it is given up for a while."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, cast

from lockgate.adapters.processes.control import ControlLine, Unreachable
from lockgate.adapters.processes.folder import WorkerRecord
from lockgate.adapters.processes.group import TRY_AGAIN_SECONDS, Group, Member, ask_all
from lockgate.adapters.processes.process import Process
from lockgate.domain.serving import GroupState
from lockgate.wire.workers import Command


def test_a_death_is_followed_by_another_try_after_a_moment() -> None:
    group = Group("e", "r", wanted=1)
    assert group.may_start(0.0)
    group.died(1.0, "Its worker ended", 10.0)
    assert not group.may_start(10.0)
    assert group.may_start(11.0)


def test_three_quick_deaths_fail_the_group_with_their_reason() -> None:
    group = Group("e", "r", wanted=1)
    for at in (1.0, 2.0, 3.0):
        group.died(0.5, "Its worker was killed by SIGSEGV", at)
    assert group.seen().state is GroupState.FAILED
    assert "SIGSEGV" in group.seen().failed
    assert not group.may_start(3.0 + TRY_AGAIN_SECONDS - 1)


def test_a_failed_group_gets_a_fresh_try_after_its_rest() -> None:
    group = Group("e", "r", wanted=1)
    group.failed_to_load("no such module", 5.0)
    assert group.may_start(5.0 + TRY_AGAIN_SECONDS)
    assert group.seen().state is GroupState.STARTING


def test_deaths_far_apart_do_not_add_up() -> None:
    group = Group("e", "r", wanted=1)
    for at in range(10):
        group.died(3600.0, "Its worker ended", at * 3600.0)
    assert group.seen().failed == ""


def test_a_group_that_may_leave_wants_nobody() -> None:
    assert Group("e", "r", wanted=2, leaving=True).seen().wanted == 0


@dataclass
class Line:
    """A worker's end of the conversation, which notes in `happened` what comes when. `there` False: nobody answers."""

    worker: str
    happened: list[str]
    there: bool = True
    said: dict[str, Any] = field(default_factory=lambda: {"ok": True, "state": "serving"})

    def send(self, command: Command, _seconds: float, **_more: Any) -> int:
        if not self.there:
            raise Unreachable("nobody is there")
        self.happened.append(f"{command} to {self.worker}")
        return 7

    def hear(self, number: int) -> dict[str, Any]:
        self.happened.append(f"{number} of {self.worker}")
        return self.said


def member(line: Line) -> Member:
    return Member(WorkerRecord(line.worker, 1, 1, "e", "r", 1, ""), Process(1, -1), cast(ControlLine, line), 0.0)


def test_all_are_told_before_the_first_answer_is_waited_for() -> None:
    happened: list[str] = []
    members = [member(Line("a", happened)), member(Line("b", happened))]
    assert ask_all(members, Command.GO) == [True, True]
    assert happened == ["go to a", "go to b", "7 of a", "7 of b"]
    assert [m.state for m in members] == [GroupState.SERVING] * 2


def test_one_that_cannot_be_told_keeps_no_other_from_being_told() -> None:
    happened: list[str] = []
    refusing = Line("b", happened, said={"ok": False, "state": "failed"})
    members = [member(Line("a", happened, there=False)), member(refusing), member(Line("c", happened))]
    assert ask_all(members, Command.GO) == [False, False, True]
    assert [m.state for m in members] == [GroupState.STARTING, GroupState.FAILED, GroupState.SERVING]
