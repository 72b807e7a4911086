"""The load, a process of its own: one order a line on standard input, one result a line on standard output."""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass, field

import uvloop

from benchmarks.http_client import Result, measure
from benchmarks.registry.shots import SHOTS, Shot


@dataclass(frozen=True, slots=True)
class Order:
    """Which cell, at which port, by how many connections, and when to stop: after `seconds`, or `most` requests.

    `start` is the number of the first request of a cell whose requests are all different.
    """

    cell: str
    port: int
    connections: int
    seconds: float
    most: int
    start: int


@dataclass(slots=True)
class Run:
    """One cell while it is measured."""

    shots: Iterator[Shot]
    until: float
    most: int
    result: Result = field(default_factory=Result)
    right: dict[bytes, bytes] = field(default_factory=dict)

    def next(self, _connection: int) -> tuple[Shot, bytes] | None:
        """What to ask next, until it is time to stop."""
        if self.most <= 0 or time.perf_counter() >= self.until:
            return None
        self.most -= 1
        shot = next(self.shots)
        return shot, shot.request

    def judge(self, shot: Shot, status: int, body: bytes) -> None:
        """Count an answer; one that was found right before need not be read again."""
        self.result.answered += 1
        if status != 200:
            self.result.errors += 1
            self.result.note(f"{status}: {body.decode(errors='replace')}")
            return
        if self.right.get(shot.request) == body:
            return
        try:
            wrong = shot.check(json.loads(body))
        except (ValueError, KeyError, TypeError) as error:
            wrong = f"{type(error).__name__}: {error} in {body[:300]!r}"
        if wrong:
            self.result.wrong += 1
            self.result.note(str(wrong))
        elif shot.repeats:
            self.right[shot.request] = body


async def carried_out(order: Order) -> Result:
    """What came of one order."""
    run = Run(SHOTS[order.cell](order.start), 0.0, order.most)
    await measure(run, order.port, order.connections, order.seconds)
    return run.result


def main() -> None:
    """Answer orders until standard input ends."""
    for line in sys.stdin:
        result = uvloop.run(carried_out(Order(**json.loads(line))))
        print(json.dumps(asdict(result)), flush=True)


if __name__ == "__main__":
    main()
