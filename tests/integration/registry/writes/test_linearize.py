"""The judge of the races can be believed: it finds an order where there is one, and says no where there is none."""

from __future__ import annotations

import random
from collections.abc import Callable

from tests.integration.registry.writes.linearize import Call, order_of
from tests.integration.registry.writes.races import BEGIN, random_acts
from tests.integration.registry.writes.sequential import State, apply

_ONE: State = {"stage": "None", "text": None, "tags": {}}
FRAUD: State = {
    "fraud": {
        "text": None,
        "tags": {},
        "highest": 2,
        "versions": {"1": dict(_ONE), "2": dict(_ONE)},
        "aliases": {},
        "inside": {"Staging": [], "Production": []},
    }
}
OK = ["ok", None]
MISSING = ["error", "RESOURCE_DOES_NOT_EXIST"]


def test_an_order_is_found_when_each_act_took_effect_somewhere_between_call_and_answer(
    rounds: Callable[[int, int], int],
) -> None:
    for seed in range(rounds(30, 300)):
        chance = random.Random(seed)
        state: State = {}
        for act in BEGIN:
            apply(state, act)
        begin, history, now = _copy(state), [], 0.0
        for act in random_acts(chance, 25):
            now += chance.random()
            answer = apply(state, act)
            history.append(Call(act, answer, now - 3 * chance.random(), now + 3 * chance.random()))
        chance.shuffle(history)
        found = order_of(history, begin, state)
        assert found is not None
        assert len(found) == len(history)


def test_a_lost_update_is_found_out() -> None:
    first = Call(["tag model", "fraud", "a", "1"], OK, 0, 1)
    second = Call(["tag model", "fraud", "b", "2"], OK, 0, 1)
    lost = _copy(FRAUD)
    apply(lost, second.act)
    assert order_of([first, second], FRAUD, lost) is None


def test_a_number_given_twice_is_found_out() -> None:
    same = ["ok", [3, "None", None, [], []]]
    twice = [Call(["create version", "fraud"], same, 0, 1), Call(["create version", "fraud"], same, 0, 1)]
    assert order_of(twice, FRAUD) is None


def test_a_second_version_in_production_is_found_out() -> None:
    alone = [Call(["transition", "fraud", n, "Production", True], ["ok", _in_production(n)], 0, 1) for n in (1, 2)]
    both = _copy(FRAUD)
    both["fraud"]["versions"]["1"]["stage"] = both["fraud"]["versions"]["2"]["stage"] = "Production"
    both["fraud"]["inside"]["Production"], both["fraud"]["aliases"] = [1, 2], {"production": 2}
    assert order_of(alone, FRAUD, both) is None
    one = _copy(FRAUD)
    for call in alone:
        apply(one, call.act)
    assert order_of(alone, FRAUD, one) is not None


def test_a_dangling_alias_is_found_out() -> None:
    history = [Call(["delete version", "fraud", 1], OK, 0, 1), Call(["set alias", "fraud", "mine", 1], OK, 0, 1)]
    dangling = _copy(FRAUD)
    del dangling["fraud"]["versions"]["1"]
    dangling["fraud"]["aliases"] = {"mine": 1}
    assert order_of(history, FRAUD, dangling) is None
    gone = _copy(FRAUD)
    del gone["fraud"]["versions"]["1"]
    assert order_of(history, FRAUD, gone) is not None


def test_an_answer_that_came_too_late_for_its_time_is_found_out() -> None:
    deleted = Call(["delete model", "fraud"], OK, 0, 1)
    seen = ["ok", [None, [], [], [["None", 2]]]]
    assert order_of([deleted, Call(["get model", "fraud"], seen, 0.5, 2)], FRAUD, {}) is not None
    assert order_of([deleted, Call(["get model", "fraud"], seen, 1.5, 2)], FRAUD, {}) is None
    assert order_of([deleted, Call(["get model", "fraud"], MISSING, 1.5, 2)], FRAUD, {}) is not None


def _in_production(number: int) -> list[object]:
    return [number, "Production", None, [], ["production"]]


def _copy(state: State) -> State:
    import copy

    return copy.deepcopy(state)
