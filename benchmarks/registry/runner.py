"""Runs the cells: both sides up on their own copy of the content, measured in turn, round after round."""

from __future__ import annotations

import contextlib
import json
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path

from benchmarks.http_client import ANSWER_LIMIT, Result
from benchmarks.registry import seed, sides
from benchmarks.registry.cells import CELLS, POSTGRESQL, SQLITE, Cell
from benchmarks.registry.content import SIDE_BY_SIDE
from benchmarks.registry.load import Order
from benchmarks.registry.sides import LOCKGATE, SINGLE, STOCK, Side

ROOT = Path(__file__).resolve().parents[2]
ONE, MANY = "one worker each", "several workers: stock's default of four, one and two of Lockgate's"
ADOPTED = "one worker each, Lockgate on a file that stock made"
SETTLE = 3.0  # seconds between the first answer and the weighing
MOST_READS, MOST_WRITES = 5_000, 1_000  # a cell that is through with so many requests is over before its time


@dataclass(frozen=True, slots=True)
class Plan:
    """How much is measured."""

    rounds: int
    seconds: float
    databases: tuple[str, ...]
    cells: tuple[Cell, ...] = CELLS
    setups: tuple[str, ...] = (ONE, MANY, ADOPTED)

    def steps(self, database: str, setup: str) -> list[tuple[Cell, int]]:
        """The cells of one round with their number of connections; alone at c=1 it is about the slowest answers."""
        if setup == MANY:
            return [(cell, 8) for cell in self.cells if cell.scales]
        if setup == ADOPTED:  # PostgreSQL has one way to write, whoever made the database
            return [(cell, 8) for cell in self.cells if cell.adopted and database == SQLITE]
        return [(cell, connections) for cell in self.cells for connections in (8, 1)]

    def total(self) -> int:
        """How many measurements that makes."""
        rounds = [
            len(self.steps(database, setup)) * len(compared(setup))
            for database in self.databases
            for setup in self.setups
        ]
        return sum(rounds) * self.rounds


@dataclass(slots=True)
class Start:
    """What one start cost: seconds until `/health` and until a registry read, MiB and processes when idle."""

    side: str
    setup: str
    database: str
    healthy: float
    ready: float
    mib: int = 0
    processes: int = 0


@dataclass(slots=True)
class Measured:
    """One cell of one side, a result for each round."""

    database: str
    setup: str
    cell: str
    connections: int
    side: str
    results: list[Result] = field(default_factory=list)


@dataclass(slots=True)
class Outcome:
    """Everything that came out."""

    cells: list[Measured] = field(default_factory=list)
    starts: list[Start] = field(default_factory=list)

    def of(self, database: str, setup: str, cell: str, connections: int, side: str) -> Measured:
        """The row of that cell, made when it is first asked for."""
        key = (database, setup, cell, connections, side)
        for row in self.cells:
            if (row.database, row.setup, row.cell, row.connections, row.side) == key:
                return row
        self.cells.append(Measured(*key))
        return self.cells[-1]

    def as_json(self) -> dict[str, object]:
        return asdict(self)


def compared(setup: str) -> tuple[str, ...]:
    """The servers that run side by side: Lockgate's two workers are compared with its one as well."""
    return (STOCK, SINGLE, LOCKGATE) if setup == MANY else (STOCK, LOCKGATE)


Watch = Callable[[str, int], None]  # what happens now, and how many measurements are done with it


def run(plan: Plan, postgres: str | None, watch: Watch, outcome: Outcome) -> None:
    """Measure everything in the plan and put it into `outcome` as it comes.

    `postgres` is the URI of a server. Raises DidNotStart with the log's end.
    """
    with _generator() as load:
        for database in plan.databases:
            for setup in plan.setups:
                if plan.steps(database, setup):
                    _setup(plan, database, setup, postgres, load, outcome, watch)
    with tempfile.TemporaryDirectory(prefix="lockgate-bench-") as folder:
        for number in range(plan.rounds):
            watch(f"start {number + 1}", 0)
            with sides.lockgate("", Path(folder) / str(number), 1) as side:
                outcome.starts.append(Start(LOCKGATE, "an empty home", SQLITE, side.healthy, side.ready))


def _setup(
    plan: Plan, database: str, setup: str, postgres: str | None, load: Load, outcome: Outcome, watch: Watch
) -> None:
    with tempfile.TemporaryDirectory(prefix="lockgate-bench-") as named, contextlib.ExitStack() as stack:
        folder = Path(named)
        running = []
        for name in compared(setup):
            database_uri = _copy(database, postgres, folder, name)
            if database == SQLITE and setup != ADOPTED and name != STOCK:
                seed.write_ahead(database_uri)
            watch(f"{database}: {name} starts, {setup}", 0)
            running.append(stack.enter_context(_side(name, setup, database_uri, folder / name)))
        for side in running:
            side.settle(SETTLE)
            if side.name != SINGLE:
                outcome.starts.append(Start(side.name, setup, database, side.healthy, side.ready, *side.memory()))
        starts: dict[tuple[str, str], int] = {}
        for number in range(plan.rounds):
            for cell, connections in plan.steps(database, setup):
                # who comes first changes, so that neither always finds the other's heat
                for side in running if number % 2 == 0 else reversed(running):
                    watch(f"{database}: {cell.name}, c={connections}, {side.name}", 0)
                    key = (cell.name, side.name)
                    order = _order(plan, cell, connections, side, starts.get(key, 0))
                    result = load(order)
                    starts[key] = starts.get(key, 0) + (result.answered if cell.writes else 0)
                    outcome.of(database, setup, cell.name, connections, side.name).results.append(result)
                    watch("", 1)


def _side(name: str, setup: str, database: str, folder: Path) -> contextlib.AbstractContextManager[Side]:
    if name == STOCK:
        return sides.stock(seed.driver(database), folder, None if setup == MANY else 1)
    return sides.lockgate(database, folder, 2 if setup == MANY and name == LOCKGATE else 1, name)


def _order(plan: Plan, cell: Cell, connections: int, side: Side, start: int) -> Order:
    seconds = plan.seconds if connections > 1 else plan.seconds / 2
    return Order(cell.name, side.port, connections, seconds, MOST_WRITES if cell.writes else MOST_READS, start)


def _copy(database: str, postgres: str | None, folder: Path, side: str) -> str:
    if database == SQLITE:
        return seed.sqlite_file(SIDE_BY_SIDE, folder / f"{side}.db")
    assert postgres is not None
    return seed.postgres_database(SIDE_BY_SIDE, postgres, f"bench_{side}")


Load = Callable[[Order], Result]


@contextlib.contextmanager
def _generator() -> Iterator[Load]:
    process = subprocess.Popen(
        [sys.executable, "-m", "benchmarks.registry.load"], cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE
    )
    assert process.stdin is not None
    assert process.stdout is not None
    orders, results = process.stdin, process.stdout

    def load(order: Order) -> Result:
        orders.write(json.dumps(asdict(order)).encode() + b"\n")
        orders.flush()
        line = results.readline()
        if not line:
            raise RuntimeError("the load generator ended; its last words stand above")
        return Result(**json.loads(line))

    try:
        yield load
    finally:
        process.terminate()
        process.wait(ANSWER_LIMIT)
        orders.close()
        results.close()


def databases(named: Sequence[str]) -> tuple[str, ...]:
    """The databases by their names in any case. Raises ValueError for another one."""
    known = {one.lower(): one for one in (SQLITE, POSTGRESQL)}
    return tuple(known[name.strip().lower()] for name in named)
