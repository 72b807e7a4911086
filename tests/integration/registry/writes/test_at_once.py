"""Many clients at once: whatever they do, it is as if they had done it one after the other."""

from __future__ import annotations

import itertools
import random
from collections.abc import Callable, Iterator
from itertools import combinations_with_replacement
from pathlib import Path

import pytest

from lockgate.domain.identity import Who
from lockgate.usecases import promote
from tests.databases.backends import Database
from tests.integration.registry.writes.acts import Act, perform
from tests.integration.registry.writes.client import Client, clients
from tests.integration.registry.writes.races import (
    BEGIN,
    POLICY,
    began,
    carry_out,
    consistent,
    entries,
    every_mutator,
    judge,
    random_acts,
)
from tests.integration.registry.writes.registry import Registry, registry
from tests.integration.registry.writes.sequential import State

THREADS = 16


@pytest.fixture(scope="module")
def others() -> Iterator[list[Client]]:
    with clients(2) as started:
        yield started


@pytest.fixture
def opened(database: Database, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Registry]:
    # a busy machine must not turn a promotion of one step into one that others can meet
    monkeypatch.setattr(promote, "A_MOMENT", 60.0)
    with registry(database, tmp_path / "home", lambda: Who("ann"), policy=POLICY) as found:
        yield found


def renamed(acts: list[Act], names: dict[str, str]) -> list[Act]:
    return [[names.get(part, part) if isinstance(part, str) else part for part in act] for act in acts]


@pytest.mark.timeout(900)  # the full number of rounds takes minutes
def test_any_two_changes_at_once_are_one_after_the_other(opened: Registry, rounds: Callable[[int, int], int]) -> None:
    for number, (first, second) in enumerate(combinations_with_replacement(every_mutator().values(), 2)):
        for again in range(rounds(1, 10)):
            names = {name: f"{name}-{number}-{again}" for name in ("fraud", "theft")}
            begin = began(opened, renamed(BEGIN, names))
            plans = [renamed([act], names) for act in (first, second) for _ in range(rounds(1, 4))]
            before = entries(opened)
            judge(opened, begin, carry_out(opened.store, plans), before)
    consistent(opened)


@pytest.mark.timeout(600)
def test_what_many_do_at_random_has_an_order(opened: Registry, rounds: Callable[[int, int], int]) -> None:
    for seed in range(rounds(6, 200)):
        chance = random.Random(seed)
        begin = _clean(opened)
        before = entries(opened)
        plans = [random_acts(chance, 5) for _ in range(8)]
        judge(opened, begin, carry_out(opened.store, plans), before)
        consistent(opened)


@pytest.mark.timeout(600)
def test_sixteen_writers_of_one_model_lose_nothing(opened: Registry, rounds: Callable[[int, int], int]) -> None:
    count = rounds(3, 30)
    opened.store.create_registered_model("fraud")
    kinds = itertools.cycle(["create version", "tag model", "transition", "set alias"])
    plans: list[list[Act]] = [
        [_own_act(kind, thread, turn) for turn in range(count)]
        for thread, kind in zip(range(THREADS), kinds, strict=False)
    ]
    opened.store.create_model_version("fraud", "mem:/x")
    history = carry_out(opened.store, plans)
    assert [call for call in history if call.answer[0] != "ok"] == []
    model = opened.store.get_registered_model("fraud")
    assert len(model.tags) == count * THREADS // 4
    numbers = sorted(call.answer[1][0] for call in history if call.act[0] == "create version")
    assert numbers == list(range(2, 2 + count * THREADS // 4))
    consistent(opened)


@pytest.mark.timeout(600)
def test_two_processes_of_eight_threads_have_an_order_between_them(
    opened: Registry, others: list[Client], tmp_path: Path, rounds: Callable[[int, int], int]
) -> None:
    for seed in range(rounds(4, 60)):
        chance = random.Random(1_000 + seed)
        begin = _clean(opened)
        before = entries(opened)
        for number, other in enumerate(others):
            plans = [random_acts(chance, 3) for _ in range(THREADS // len(others))]
            other.prepare(opened.node.settings.database, tmp_path / f"other-{number}", plans)
        for other in others:
            other.go()
        judge(opened, begin, [call for other in others for call in other.calls()], before)
    consistent(opened)


def _own_act(kind: str, thread: int, turn: int) -> Act:
    match kind:
        case "create version":
            return [kind, "fraud"]
        case "tag model":
            return [kind, "fraud", f"{thread}-{turn}", "x"]
        case "transition":
            return [kind, "fraud", 1, ("Staging", "Production", "Archived", "None")[(thread + turn) % 4], False]
        case _:
            return [kind, "fraud", f"alias-{thread}", 1]


def _clean(opened: Registry) -> State:
    """The beginning anew, under the same names."""
    for name in ("fraud", "theft", "deceit"):
        perform(opened.store, ["delete model", name])
    return began(opened)
