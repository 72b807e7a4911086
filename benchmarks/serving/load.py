"""The load: `wrk` where there is one, else a client of ours, which also looks at every answer before anything is timed.

`python -m benchmarks.serving.load` is that client, a process of its own: one order a line on standard input, one result
a line on standard output. It speaks HTTP/1.1 over kept connections straight from the event loop.
"""

from __future__ import annotations

import asyncio
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
from typing import Any, cast

import httptools
import uvloop

from benchmarks.serving.asking import PROTOCOLS, Question, questions, static

ANSWER_LIMIT = 60.0  # seconds one answer may take
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


@dataclass(slots=True)
class Result:
    """What came of it, times in milliseconds. An error is a status other than 200 or an answer that never came."""

    answered: int = 0
    errors: int = 0
    wrong: int = 0
    a_second: float = 0.0
    p50: float = 0.0
    p99: float = 0.0
    busy: float = 0.0  # how much of a core the load itself took: near 1.0 it is what was measured
    spent: float = 0.0  # microseconds of processor time that one answer took of the server, all its processes together
    said: str = ""  # the first error or wrong answer
    answers: list[str] = field(default_factory=list)  # the raw right answer to each request, when all were right

    def note(self, what: str) -> None:
        self.said = self.said or what[:400]


class Run:
    """One order while it is carried out."""

    def __init__(self, order: Order) -> None:
        self.result = Result()
        self.times: list[float] = []
        self.raw: dict[int, bytes] = {}
        self.until = math.inf
        self.each = order.each or math.inf
        self.questions = order.questions()
        self._read = PROTOCOLS[order.protocol].predictions if order.model else None

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


class Client(asyncio.Protocol):
    """One connection: asks, waits for the whole answer, asks again. Each connection begins with another request."""

    def __init__(self, run: Run, number: int) -> None:
        self._run = run
        self._number = number
        self._had = 0
        self._asked = 0.0
        self._body: list[bytes] = []
        self._parser = httptools.HttpResponseParser(self)
        self.done: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)

    def begin(self) -> None:
        self._asked = time.perf_counter()
        if self._had >= self._run.each or self._asked >= self._run.until:
            self._end()
            return
        self._number = (self._number + 1) % len(self._run.questions)
        self._transport.write(self._run.questions[self._number].request)

    def data_received(self, data: bytes) -> None:
        self._parser.feed_data(data)

    def on_body(self, part: bytes) -> None:
        self._body.append(part)

    def on_message_complete(self) -> None:
        self._run.times.append(time.perf_counter() - self._asked)
        self._had += 1
        self._run.judge(self._number, self._parser.get_status_code(), b"".join(self._body))
        self._body.clear()
        keep = self._parser.should_keep_alive()
        self._parser = httptools.HttpResponseParser(self)
        if keep:
            self.begin()
        else:
            self._lost("the connection was not kept")
            self._transport.close()

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002 - asyncio's
        self._lost("the connection was closed in the middle of an answer")

    def _lost(self, why: str) -> None:
        if not self.done.done():
            self._run.result.errors += 1
            self._run.result.note(why)
            self.done.set_result(None)

    def _end(self) -> None:
        if not self.done.done():
            self.done.set_result(None)
        self._transport.close()


async def measure(order: Order) -> Result:
    """Carry out one order: every connection is open before the clock starts."""
    loop = asyncio.get_running_loop()
    run = Run(order)
    clients: list[Client] = []
    for number in range(order.connections):
        try:
            _, client = await loop.create_connection(lambda n=number: Client(run, n), "127.0.0.1", order.port)  # type: ignore[misc]
        except OSError as error:
            run.result.errors += 1
            run.result.note(f"it takes no connection: {error}")
            return run.result
        clients.append(client)
    began, spent = time.perf_counter(), time.process_time()
    run.until = began + order.seconds
    for client in clients:
        client.begin()
    _, late = await asyncio.wait([client.done for client in clients], timeout=order.seconds + ANSWER_LIMIT)
    took = time.perf_counter() - began
    result = run.result
    result.errors += len(late)
    if late:
        result.note(f"no answer within {ANSWER_LIMIT:.0f} s")
    result.a_second = len(run.times) / took
    result.busy = (time.process_time() - spent) / took
    if run.times:
        run.times.sort()
        result.p50 = 1000 * run.times[len(run.times) // 2]
        result.p99 = 1000 * run.times[min(len(run.times) - 1, len(run.times) * 99 // 100)]
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
        result = uvloop.run(measure(Order(**{**told, "expected": tuple(told["expected"])})))
        print(json.dumps(asdict(result)), flush=True)


if __name__ == "__main__":
    main()
