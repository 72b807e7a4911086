"""Whether a history could have happened one act after the other, each somewhere between its call and its answer.

The search of Wing and Gong: of the acts that no other one has to come before, try each that the sequential registry
answers as the real one did, and go on from there. What was tried with the same rest and the same state is not tried
again.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass

from tests.integration.registry.writes.acts import Act, Answer
from tests.integration.registry.writes.sequential import State, apply

_LIMIT = 500_000


@dataclass(frozen=True)
class Call:
    """One act with its answer, and when it was called and answered on a clock that all threads share."""

    act: Act
    answer: Answer
    called: float
    answered: float


def order_of(history: Sequence[Call], begin: State, end: State | None = None) -> list[Call] | None:
    """An order that explains every answer, and the state at the end if that is given; None when there is none."""
    calls = sorted(history, key=lambda call: call.answered)  # what was answered first was mostly done first
    wanted = None if end is None else _frozen(end)
    tried: set[tuple[int, str]] = set()
    # a path in the search: the acts left as bits, the state after those done, and which was done last on the way
    everything = (1 << len(calls)) - 1
    path: list[tuple[int, str, list[int]]] = [(everything, _frozen(begin), _next(calls, everything))]
    done: list[int] = []
    while path:
        left, state, choices = path[-1]
        if not left and (wanted is None or state == wanted):
            return [calls[index] for index in done]
        if not choices:
            path.pop()
            if done:
                done.pop()
            continue
        index = choices.pop(0)
        after: State = json.loads(state)
        if apply(after, calls[index].act) != calls[index].answer:
            continue
        rest, frozen = left & ~(1 << index), _frozen(after)
        if (rest, frozen) in tried:
            continue
        tried.add((rest, frozen))
        if len(tried) > _LIMIT:
            raise AssertionError("the search takes too long: give it shorter histories")
        done.append(index)
        path.append((rest, frozen, _next(calls, rest)))
    return None


def _next(calls: Sequence[Call], left: int) -> list[int]:
    """Those of the rest that were called before any other of the rest was answered."""
    rest = [index for index in range(len(calls)) if left >> index & 1]
    first_answer = min((calls[index].answered for index in rest), default=0.0)
    return [index for index in rest if calls[index].called <= first_answer]


def _frozen(state: State) -> str:
    return json.dumps(state, sort_keys=True)
