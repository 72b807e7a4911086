"""`make bench-growth`: what each operation costs at 10, 1,000 and 100,000 versions, and among as many models."""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import socket
import statistics
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import httptools
from rich.console import Console
from rich.progress import Progress
from rich.table import Table

from benchmarks.console import progress_of
from benchmarks.growth.operations import ALL_MODELS, BY_NATURE, ONE_MODEL, Operation, Target
from benchmarks.registry import content, postgres, report, runner, seed, sides
from benchmarks.registry.cells import POSTGRESQL, SQLITE
from benchmarks.registry.content import Content
from benchmarks.registry.runner import ROOT
from benchmarks.registry.shots import Shot, Told

JSON_FILE = ROOT / "build" / "bench-growth.json"
PAGE = ROOT / "docs" / "benchmarks" / "growth.md"
VERSIONS, MODELS = (10, 1_000, 100_000), (10, 1_000, 10_000)
REPEATS, BUDGET = 20, 4.0  # repetitions in a round, and the seconds after which a slow one is not repeated again
FLAT = 1.5  # what costs no more than so many times as much is flat: the rest is noise
LEAST = 0.3  # milliseconds: smaller differences are noise whatever their ratio


class Failure(Exception):
    """An operation was answered with an error, or wrongly."""


class Client:
    """One kept connection that waits for each answer."""

    def __init__(self, port: int) -> None:
        self._socket = socket.create_connection(("127.0.0.1", port), timeout=180)
        self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._body: list[bytes] = []
        self._whole = False

    def on_body(self, part: bytes) -> None:
        self._body.append(part)

    def on_message_complete(self) -> None:
        self._whole = True

    def ask(self, shot: Shot) -> tuple[Told, float]:
        """The answer and how many milliseconds it took. Raises Failure when it is not right."""
        self._body, self._whole = [], False
        parser = httptools.HttpResponseParser(self)
        began = time.perf_counter()
        self._socket.sendall(shot.request)
        while not self._whole:
            received = self._socket.recv(1 << 20)
            if not received:
                raise Failure("the server closed the connection")
            parser.feed_data(received)
        took = 1000 * (time.perf_counter() - began)
        body = b"".join(self._body)
        if parser.get_status_code() != 200:
            raise Failure(
                f"{parser.get_status_code()}: {body[:300].decode(errors='replace')} to {shot.request[:200]!r}"
            )
        told = json.loads(body)
        if wrong := shot.check(told):
            raise Failure(f"{wrong} in the answer to {shot.request[:200]!r}")
        return told, took

    def close(self) -> None:
        self._socket.close()


@dataclass(slots=True)
class Row:
    """One operation: its times in milliseconds at each size, or why there are none."""

    database: str
    axis: str
    operation: str
    sizes: tuple[int, ...]
    times: dict[int, list[float]] = field(default_factory=dict)
    said: str = ""

    def middle(self, size: int) -> float:
        return statistics.median(self.times[size]) if self.times.get(size) else float("nan")

    @property
    def ratios(self) -> tuple[float, ...]:
        """What it costs at each larger size, in times of the smallest."""
        return tuple(self.middle(size) / self.middle(self.sizes[0]) for size in self.sizes[1:])

    @property
    def is_flat(self) -> bool:
        first = self.middle(self.sizes[0])
        return all(self.middle(s) <= max(FLAT * first, first + LEAST) for s in self.sizes[1:])


def main() -> int:
    """0 when it was measured, whatever came out; 1 when it could not be."""
    told = _arguments()
    console = Console() if sys.stdout.isatty() else Console(width=150)
    began = time.monotonic()
    rows: list[Row] = []
    release = ""
    try:
        for database in runner.databases(told.databases.split(",")):
            with contextlib.ExitStack() as stack:
                server = stack.enter_context(postgres.server()) if database == POSTGRESQL else None
                release = postgres.release(server) if server else release
                folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="lockgate-bench-")))
                progress = stack.enter_context(progress_of(console))
                rows += _database(database, server, folder, told.rounds, progress)
    except (sides.DidNotStart, postgres.NoPostgres) as error:
        print(error, file=sys.stderr)
        return 1
    for title, table in _tables(rows):
        _print(console, title, table)
    for row in rows:
        if row.said:
            console.print(f"{row.database}, {row.operation}: {row.said}", markup=False)
    JSON_FILE.parent.mkdir(exist_ok=True)
    JSON_FILE.write_text(json.dumps([_plain(row) for row in rows], indent=1))
    console.print(f"{(time.monotonic() - began) / 60:.1f} minutes; every time: {JSON_FILE.relative_to(ROOT)}")
    if told.page is not None:
        told.page.parent.mkdir(parents=True, exist_ok=True)
        told.page.write_text(_page(rows, told.rounds, release))
        console.print(f"The page of the docs: {told.page}")
    return 0


def _database(database: str, server: str | None, folder: Path, rounds: int, progress: Progress) -> list[Row]:
    """Both axes on one database: a server for the versions, one for each number of models."""
    wide = Content(0, 0, VERSIONS)
    versions = {n: Target(content.wide_name(n), n, len(VERSIONS)) for n in VERSIONS}
    models = {n: Target(content.model_name(n // 2), 10, n) for n in MODELS}
    rows: list[Row] = []
    with contextlib.ExitStack() as stack:
        port = stack.enter_context(_lockgate(server, folder, wide))
        clients = {n: stack.enter_context(contextlib.closing(Client(port))) for n in VERSIONS}
        rows += _measure(
            database, "versions of the model", (*ONE_MODEL, *BY_NATURE), versions, clients, rounds, progress
        )
    with contextlib.ExitStack() as stack:
        ports = {n: stack.enter_context(_lockgate(server, folder, Content(n, 10))) for n in MODELS}
        clients = {n: stack.enter_context(contextlib.closing(Client(ports[n]))) for n in MODELS}
        operations = (*ALL_MODELS, *ONE_MODEL, *BY_NATURE)
        rows += _measure(database, "models in the registry", operations, models, clients, rounds, progress)
    return rows


@contextlib.contextmanager
def _lockgate(server: str | None, folder: Path, of: Content) -> Iterator[int]:
    if server is None:
        uri = seed.sqlite_file(of, folder / f"{of.key}.db")
        seed.write_ahead(uri)
    else:
        uri = seed.postgres_database(of, server, f"growth_{of.key.replace('-', '_')}")
    with sides.lockgate(uri, folder / of.key, 1) as side:
        yield side.port


def _measure(
    database: str,
    axis: str,
    operations: Sequence[Operation],
    targets: dict[int, Target],
    clients: dict[int, Client],
    rounds: int,
    progress: Progress,
) -> list[Row]:
    rows = {one.name: Row(database, axis, one.name, tuple(targets)) for one in operations}
    task = progress.add_task(f"{database}, {axis}", total=rounds * len(operations))
    numbers = iter(range(1_000_000, 10_000_000))
    for _ in range(rounds):
        for operation in operations:
            row = rows[operation.name]
            progress.update(task, advance=1, description=f"{database}, {axis}: {operation.name}")
            for size, target in targets.items():
                _repeat(row, size, operation, target, clients[size], numbers)
    return list(rows.values())


def _repeat(row: Row, size: int, operation: Operation, target: Target, client: Client, numbers: Iterator[int]) -> None:
    give_up = time.monotonic() + BUDGET
    repeats = 2 if operation in BY_NATURE else REPEATS
    for once in range(repeats):
        try:
            took = _once(operation, target, client, next(numbers))
        except Failure as failure:
            row.said = row.said or f"at {size:,}: {failure}"
            return
        if once or time.monotonic() > give_up:  # the first one warms up what the others find warm
            row.times.setdefault(size, []).append(took)
        if time.monotonic() > give_up:
            return


def _once(operation: Operation, target: Target, client: Client, number: int) -> float:
    steps = operation.steps(target, number)
    shot, took = next(steps), 0.0
    while True:
        told, took = client.ask(shot)
        try:
            shot = steps.send(told)
        except StopIteration:
            return took


# --- what it came to --------------------------------------------------------------------------------------------------


def _tables(rows: Sequence[Row]) -> Iterator[tuple[str, list[tuple[str, ...]]]]:
    for database, axis in dict.fromkeys((row.database, row.axis) for row in rows):
        told = [row for row in rows if (row.database, row.axis) == (database, axis)]
        sizes = told[0].sizes
        head = ("operation", *(f"ms at {n:,}" for n in sizes), *(f"{n:,} : {sizes[0]}" for n in sizes[1:]), "")
        yield f"{database}: cost by the number of {axis}", [head, *map(_cells, told)]


def _cells(row: Row) -> tuple[str, ...]:
    natural = row.operation in {one.name for one in BY_NATURE}
    verdict = "flat" if row.is_flat else "grows: the name is in every row" if natural else "grows ✗"
    return (
        row.operation,
        *(f"{row.middle(size):.2f}" for size in row.sizes),
        *(f"{ratio:.1f}" for ratio in row.ratios),
        "failed ✗" if row.said else verdict,
    )


def _print(console: Console, title: str, table: Sequence[tuple[str, ...]]) -> None:
    shown = Table(*table[0], title=title, title_justify="left")
    for cells in table[1:]:
        shown.add_row(*cells, style="yellow" if cells[-1].endswith("✗") else "")
    console.print(shown)


def _page(rows: Sequence[Row], rounds: int, release: str) -> str:
    parts = [
        "# What operations cost as the registry grows",
        "",
        f"Written by `make bench-growth`, {report.today()}. "
        "[How to measure it yourself](../howto/measure-it-yourself.md).",
        "",
        f"Machine: {report.machine()}. {report.libraries()}, {release or 'no PostgreSQL'}.",
        "",
        "One client, one request at a time, `lockgate up` with its built-in policy at *observe* and the audit "
        f"written. Medians of {rounds} rounds of {REPEATS - 1}. *Flat* is at most {FLAT} times the cost at the "
        f"smallest size, or {LEAST} ms more.",
        "",
    ]
    for title, table in _tables(rows):
        parts += [f"## {title}", "", *report.markdown(table[0], iter(table[1:])), ""]
    return "\n".join(parts)


def _plain(row: Row) -> dict[str, object]:
    return {
        "database": row.database, "axis": row.axis, "operation": row.operation, "said": row.said,
        "milliseconds": {str(size): times for size, times in row.times.items()},
    }  # fmt: skip


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="make bench-growth", description=__doc__)
    parser.add_argument("--quick", action="store_true", help="one round, and no page of the docs")
    parser.add_argument("--rounds", type=int, default=int(os.environ.get("ROUNDS") or 3))
    parser.add_argument("--databases", default=f"{SQLITE},{POSTGRESQL}".lower())
    parser.add_argument("--page", type=Path, help="the page to write (a whole run writes docs/benchmarks/growth.md)")
    told = parser.parse_args()
    if told.quick:
        told.rounds = 1
    elif told.page is None and "," in told.databases:
        told.page = PAGE
    return told


if __name__ == "__main__":
    sys.exit(main())
