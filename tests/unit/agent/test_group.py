"""When a group's missing workers are started again, and when it is given up for a while."""

from __future__ import annotations

from lockgate.adapters.processes.group import TRY_AGAIN_SECONDS, Group
from lockgate.domain.serving import GroupState


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
