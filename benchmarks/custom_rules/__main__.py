"""Prints what evaluating a rule costs, and a transition with and without rules: `python -m benchmarks.custom_rules`."""

from __future__ import annotations

import argparse
import random
import statistics
import tempfile
import time
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path

from benchmarks.governance import transitions
from lockgate.adapters.cel.evaluator import CelRules
from lockgate.domain.custom import Seen

RULE = "metrics.accuracy >= 0.9 && (!champion.present || metrics.f1_score >= champion.metrics.f1_score - 0.01)"
TEN = "[1,2,3,4,5,6,7,8,9,10]"
BOMB = f"{TEN}.map(a,{TEN}.map(b,{TEN}.map(c,{TEN}.map(d,{TEN}.map(e,{TEN}.map(f,a*b)))))).size() > 1"
SMALL = Seen({"metrics": {"accuracy": 0.93, "f1_score": 0.9}, "champion": {"present": False, "metrics": {}}}, {})
LARGE = Seen(
    {
        "metrics": {"accuracy": 0.93, "f1_score": 0.9, **{f"metric_{number}": 0.5 for number in range(1000)}},
        "champion": {"present": True, "metrics": {"f1_score": 0.9}},
    },
    {},
)
RULED = transitions.GOVERNED.replace(
    "  Staging: {min_accuracy: 0.8, min_f1_score: 0.7, required_tags: [team, validation_status]}\n",
    "  Staging:\n    min_accuracy: 0.8\n    min_f1_score: 0.7\n    required_tags: [team, validation_status]\n"
    "    rules: [{name: mine, cel: \"metrics.accuracy >= 0.9 && tags.team == 'risk'\"}]\n",
)
WITHOUT, WITH = "gates", "gates and one rule"


def milliseconds(work: Callable[[], object], times: int) -> str:
    """The middle and the worst one in a hundred."""
    taken = []
    for _ in range(times):
        began = time.perf_counter()
        work()
        taken.append(1000 * (time.perf_counter() - began))
    taken.sort()
    return f"p50 {statistics.median(taken):8.2f} ms   p99 {taken[int(len(taken) * 0.99)]:8.2f} ms"


def rules(times: int) -> None:
    """Evaluating by itself."""
    found = CelRules()

    def start() -> None:
        fresh = CelRules()
        fresh.evaluate({"mine": RULE}, SMALL)
        fresh.close()

    ten = {f"rule_{number}": RULE for number in range(10)}
    print(f"one rule                         {milliseconds(lambda: found.evaluate({'mine': RULE}, SMALL), times)}")
    print(f"ten rules                        {milliseconds(lambda: found.evaluate(ten, SMALL), times)}")
    print(f"one rule, a thousand metrics     {milliseconds(lambda: found.evaluate({'mine': RULE}, LARGE), times)}")
    print(f"checking one                     {milliseconds(lambda: found.check(RULE), times)}")
    print(f"the first rule of a process      {milliseconds(start, max(3, times // 100))}")
    print(f"a bomb, with its replacement     {milliseconds(lambda: found.evaluate({'b': BOMB, 'a': RULE}, SMALL), 5)}")
    found.close()


def moves(rounds: int) -> None:
    """Transitions, both sides in random order."""
    taken: dict[str, list[float]] = {WITHOUT: [], WITH: []}
    with tempfile.TemporaryDirectory() as folder, ExitStack() as stack:
        sides = {
            name: stack.enter_context(transitions._side(None, Path(folder), key, policy, recorded=True))
            for name, key, policy in ((WITHOUT, "plain", transitions.GOVERNED), (WITH, "ruled", RULED))
        }
        for turn in range(rounds + 1):
            for name in random.sample(sorted(sides), 2):
                each = transitions._transitions(sides[name])
                taken[name] += each if turn else []
    for name, values in taken.items():
        print(f"transition, {name:20} p50 {statistics.median(values):8.2f} ms   of {len(values)}")
    print(f"a rule adds {statistics.median(taken[WITH]) - statistics.median(taken[WITHOUT]):.2f} ms to a transition")


def main() -> None:
    asked = argparse.ArgumentParser(prog="python -m benchmarks.custom_rules", description=__doc__)
    asked.add_argument("--quick", action="store_true", help="fewer rounds")
    quick = asked.parse_args().quick
    rules(200 if quick else 2000)
    moves(2 if quick else 8)


if __name__ == "__main__":
    main()
