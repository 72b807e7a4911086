"""The load: `wrk` where there is one, else a client of ours, which also looks at every answer before anything is timed.

`python -m benchmarks.serving.load` is that client, a process of its own: one order a line on standard input, one result
a line on standard output.
"""

from __future__ import annotations

import contextlib
import json
import math
import os
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import uvloop

from benchmarks import http_client
from benchmarks.http_client import ANSWER_LIMIT, measure
from benchmarks.serving.asking import PROTOCOLS, Question, questions, static

SCRIPT = Path(__file__).with_name("wrk.lua")


@dataclass(frozen=True, slots=True)
class Order:
    """What to ask of whom. `model` empty: the static reply at `protocol`, which is then a path.

    It ends after `seconds`, or when each connection has had `each` answers.
    """

    protocol: str
    model: str
    rows: int
    port: int
    connections: int
    seconds: float
    expected: tuple[Any, ...] = ()
    each: int = 0

    def questions(self) -> list[Question]:
        """Its requests with their right answers."""
        if not self.model:
            return static(self.protocol, self.port)
        return questions(PROTOCOLS[self.protocol], self.model, self.rows, self.port, list(self.expected))


@dataclass(slots=True, kw_only=True)
class Result(http_client.Result):
    """What came of it, with what only predictions are asked for."""

    spent: float = 0.0  # microseconds of processor time that one answer took of the server, all its processes together
    answers: list[str] = field(default_factory=list)  # the raw right answer to each request, when all were right


class Run:
    """One order while it is carried out. Each connection begins with another request."""

    def __init__(self, order: Order) -> None:
        self.result = Result()
        self.raw: dict[int, bytes] = {}
        self.questions = order.questions()
        self.until = math.inf
        self._each = order.each or math.inf
        self._had = [0] * order.connections
        self._read = PROTOCOLS[order.protocol].predictions if order.model else None

    def next(self, connection: int) -> tuple[int, bytes] | None:
        """A connection's next request with its number, until it is time to stop or it has had as many as each is to."""
        had = self._had[connection]
        if had >= self._each or time.perf_counter() >= self.until:
            return None
        self._had[connection] += 1
        number = (connection + 1 + had) % len(self.questions)
        return number, self.questions[number].request

    def judge(self, number: int, status: int, body: bytes) -> None:
        """Count the answer to a request; one that was found right before need not be read again."""
        self.result.answered += 1
        if status != 200:
            self.result.errors += 1
            self.result.note(f"{status}: {body.decode(errors='replace')}")
        elif self._read is not None and self.raw.get(number) != body:
            right = self.questions[number].expected
            try:
                seen = self._read(body)
            except (ValueError, KeyError, TypeError, IndexError) as error:
                seen = f"{type(error).__name__}: {error} in {body[:200]!r}"
            if seen == right:
                self.raw[number] = body
            else:
                self.result.wrong += 1
                self.result.note(f"{seen!r:.150} instead of {right!r:.150}")


async def carried_out(order: Order) -> Result:
    """What came of one order."""
    run = Run(order)
    await measure(run, order.port, order.connections, order.seconds)
    result = run.result
    if len(run.raw) == len(run.questions):
        result.answers = [run.raw[number].decode() for number in range(len(run.raw))]
    return result


# --- whoever gives the orders -----------------------------------------------------------------------------------------


class Load:
    """Our client in a process of its own, and `wrk` for what is timed where there is one."""

    def __init__(self, client: subprocess.Popen[bytes], wrk: str | None, cores: set[int]) -> None:
        self._client = client
        self._wrk = wrk
        self._cores = ",".join(map(str, sorted(cores)))
        self.name = "wrk" if wrk else "a client of ours"

    def look(self, order: Order) -> Result:
        """Have our client ask, and compare each answer with the one to just that request."""
        assert self._client.stdin is not None
        assert self._client.stdout is not None
        self._client.stdin.write(json.dumps(asdict(order)).encode() + b"\n")
        self._client.stdin.flush()
        line = self._client.stdout.readline()
        if not line:
            raise RuntimeError("the load generator ended; its last words stand above")
        return Result(**json.loads(line))

    def time(self, order: Order, answers: Sequence[str]) -> Result:
        """Have it asked for its seconds. `answers` are the raw right ones, in the order of the requests."""
        if self._wrk is None or (order.model and not answers):
            return self.look(order)
        with tempfile.TemporaryDirectory(prefix="lockgate-bench-") as folder:
            _write(Path(folder), order, answers)
            command = [
                *(
                    "taskset",
                    "-c",
                    self._cores,
                    self._wrk,
                    "-t1",
                    f"-c{order.connections}",
                    f"-d{max(1, round(order.seconds))}s",
                ),
                *("--timeout", f"{ANSWER_LIMIT:.0f}s", "-s", str(SCRIPT), f"http://127.0.0.1:{order.port}", folder),
            ]
            before = resource.getrusage(resource.RUSAGE_CHILDREN)
            done = subprocess.run(command, capture_output=True, text=True, check=False)
            after = resource.getrusage(resource.RUSAGE_CHILDREN)
        if done.returncode or not done.stdout.strip():
            return Result(errors=1, said=f"wrk failed: {done.stderr or done.stdout}"[:400])
        told = json.loads(done.stdout.strip().splitlines()[-1])
        busy = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
        return compared(told, order, len(answers), busy)


def compared(told: dict[str, Any], order: Order, requests: int, busy: float) -> Result:
    """What `wrk` told of an order with so many different requests. `busy` is the processor time that it took itself."""
    result = Result(
        answered=told["answered"],
        errors=told["errors"],
        wrong=told["wrong"],
        a_second=told["answered"] / told["seconds"],
        p50=told["p50"],
        p99=told["p99"],
        busy=busy / told["seconds"],
        said=told["said"],
    )
    # requests go round in order, so each right answer has its share: more of one is an answer to another request
    for seen, share in told["seen"]:
        astray = abs(seen - told["answered"] * share / requests) - order.connections - requests
        if astray > 0 and not result.errors + result.wrong:
            result.wrong += int(astray) + 1
            result.note(f"an answer that is right for {share} of {requests} requests came {seen} times")
    return result


def _write(folder: Path, order: Order, answers: Sequence[str]) -> None:
    kinds: dict[str, int] = {}
    for answer in answers:
        kinds[answer] = kinds.get(answer, 0) + 1
    before = PROTOCOLS[order.protocol].before if order.model else ""
    _pieces(folder / "requests", [question.request for question in order.questions()])
    _pieces(folder / "answers", [text.encode() for pair in kinds.items() for text in map(str, pair)])
    _pieces(folder / "before", [before.encode()])


def _pieces(path: Path, parts: list[bytes]) -> None:
    path.write_bytes(b"".join(b"%d\n%b" % (len(part), part) for part in parts))


@contextlib.contextmanager
def generator(wrk: str | None, cores: set[int]) -> Iterator[Load]:
    """The load, on those cores. Leaving the block ends its process."""
    root = Path(__file__).resolve().parents[2]
    process = subprocess.Popen(
        [sys.executable, "-m", "benchmarks.serving.load"], cwd=root, stdin=subprocess.PIPE, stdout=subprocess.PIPE
    )
    os.sched_setaffinity(process.pid, cores)
    try:
        yield Load(process, wrk, cores)
    finally:
        process.terminate()
        process.wait(ANSWER_LIMIT)
        for pipe in (process.stdin, process.stdout):
            if pipe is not None:
                pipe.close()


def main() -> None:
    """Answer orders until standard input ends."""
    for line in sys.stdin:
        told = json.loads(line)
        result = uvloop.run(carried_out(Order(**{**told, "expected": tuple(told["expected"])})))
        print(json.dumps(asdict(result)), flush=True)


if __name__ == "__main__":
    main()
