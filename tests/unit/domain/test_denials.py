"""How many entries a caller who is refused again and again gets."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

from hypothesis import given
from hypothesis import strategies as st

from lockgate.domain.denials import MOST_OF_ALL, MOST_OF_ONE, SEVERAL, WINDOW, Denial, Tally
from lockgate.domain.identity import LOCKGATE, Who
from tests.unit.domain.cases import NOW

EVE = Who("eve", True, address="192.0.2.7", request="req-1")
A = Denial(EVE, "PUT /a", "fraud", "no", NOW)
SECOND = timedelta(seconds=1)


def at(seconds: float, **changes: object) -> Denial:
    return replace(A, at=NOW + timedelta(seconds=seconds), **changes)  # type: ignore[arg-type]


def test_the_first_is_told_at_once_and_the_rest_of_its_minute_as_one() -> None:
    tally = Tally()
    assert not tally.seen(at(0))
    assert [tally.seen(at(second, why=f"no {second}")) for second in range(1, 31)] == [True] * 30
    assert tally.over(NOW + WINDOW - SECOND) == []
    (counted,) = tally.over(NOW + WINDOW)
    assert (counted.times, counted.since, counted.at, counted.why) == (30, NOW + SECOND, NOW + 30 * SECOND, "no 30")
    assert tally.over(NOW + WINDOW) == []
    assert not tally.seen(at(61)), "another minute begins with an entry of its own"


def test_one_alone_leaves_nothing_to_count() -> None:
    tally = Tally()
    tally.seen(at(0))
    assert tally.over(NOW + WINDOW) == []


def test_another_name_address_act_model_or_workspace_is_told_at_once() -> None:
    tally = Tally()
    tally.seen(A)
    for other in (
        replace(A, who=replace(EVE, name="mallory")),
        replace(A, who=replace(EVE, address="192.0.2.8")),
        replace(A, who=replace(EVE, verified=False)),
        replace(A, asked="PUT /b"),
        replace(A, model="theft"),
        replace(A, workspace="team-b"),
    ):
        assert not tally.seen(other)
    assert tally.seen(replace(A, who=replace(EVE, request="req-2"))), "another request is no other denial"


def test_one_who_tries_ever_new_things_is_counted_too() -> None:
    tally = Tally()
    told = [not tally.seen(replace(A, asked=f"PUT /{number}")) for number in range(1000)]
    assert sum(told) == MOST_OF_ONE
    (counted,) = tally.over(NOW, all=True)
    assert (counted.asked, counted.model, counted.times, counted.who) == (SEVERAL, "", 1000 - MOST_OF_ONE, EVE)


def test_ever_new_callers_are_counted_together() -> None:
    tally = Tally()
    told = [not tally.seen(replace(A, who=replace(EVE, name=f"eve{number}"))) for number in range(2 * MOST_OF_ALL)]
    assert sum(told) == MOST_OF_ALL
    (counted,) = tally.over(NOW, all=True)
    assert (counted.who, counted.times) == (LOCKGATE, MOST_OF_ALL)


def test_a_clock_that_goes_back_ends_the_minute() -> None:
    tally = Tally()
    tally.seen(at(0))
    tally.seen(at(1))
    assert [each.times for each in tally.over(NOW - timedelta(hours=1))] == [1]


def test_one_that_could_not_be_told_is_told_by_the_next() -> None:
    tally = Tally()
    tally.seen(A)
    tally.forget(A)
    assert not tally.seen(A)


@given(st.lists(st.tuples(st.sampled_from("abc"), st.integers(0, 300)), max_size=60))
def test_each_denial_is_told_or_counted_exactly_once(tries: list[tuple[str, int]]) -> None:
    tally, told, counted = Tally(), 0, 0
    for asked, second in sorted(tries, key=lambda each: each[1]):
        denial = at(second, asked=asked)
        counted += sum(each.times for each in tally.over(denial.at))
        told += not tally.seen(denial)
    counted += sum(each.times for each in tally.over(NOW, all=True))
    assert told + counted == len(tries)
