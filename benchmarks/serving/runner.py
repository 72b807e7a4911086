"""Runs the cells: everybody is started once, held still, and let go for their own measurements, round after round."""

from __future__ import annotations

import contextlib
import json
import subprocess
import sys
import tempfile
import warnings
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path

from benchmarks.serving import converting, environments, load, processes, sides
from benchmarks.serving.cells import Cell
from benchmarks.serving.content import MODELS, REQUESTS
from benchmarks.serving.environments import ROOT, NotInstalled
from benchmarks.serving.load import Load, Order, Result
from benchmarks.serving.sides import NATIVE, ONNX, PEERS, DidNotStart, Kept, Side

STATIC = "/ping"
FLOOR_LIMIT = 300.0
EVERYBODY = (NATIVE, ONNX, *(peer.title for peer in PEERS))

Watch = Callable[[str, int], None]  # what happens now, and how many measurements are done with it


@dataclass(frozen=True, slots=True)
class Plan:
    """How much is measured, and of whom."""

    rounds: int
    seconds: int
    cells: tuple[Cell, ...]
    titles: tuple[str, ...] = EVERYBODY
    both_cores: bool = False  # for servers that are several processes: the load has one of them too

    def total(self) -> int:
        """How many measurements that makes."""
        static = sum(1 for cell in self.cells if not cell.model)
        return self.rounds * (static + len(self.titles) * (len(self.cells) - static))


@dataclass(slots=True)
class Started:
    """Somebody who is measured: their release, their settings, seconds to the first answer, memory at rest in MiB."""

    title: str
    release: str
    settings: str
    ready: float
    mib: int
    processes: int


@dataclass(slots=True)
class Measured:
    """One cell of one side, a result for each round. `looked` is the look at every answer before the first."""

    title: str
    cell: Cell
    looked: Result | None = None
    results: list[Result] = field(default_factory=list)


@dataclass(slots=True)
class Outcome:
    """Everything that came out. `missing` says why somebody was not measured."""

    cells: list[Measured] = field(default_factory=list)
    started: list[Started] = field(default_factory=list)
    missing: dict[str, str] = field(default_factory=dict)
    floors: dict[str, dict[str, dict[str, float]]] = field(default_factory=dict)
    load: str = ""

    def of(self, title: str, cell: Cell) -> Measured:
        """The row of that cell, made when it is first asked for."""
        for row in self.cells:
            if (row.title, row.cell) == (title, cell):
                return row
        self.cells.append(Measured(title, cell))
        return self.cells[-1]

    def as_json(self) -> dict[str, object]:
        return asdict(self)


def run(plan: Plan, watch: Watch, outcome: Outcome) -> None:
    """Measure everything in the plan and put it into `outcome` as it comes. Raises DidNotStart when ours does not."""
    watch("wrk", 0)
    wrk = environments.wrk()
    with (
        load.generator(wrk, processes.cores()[1]) as generator,
        tempfile.TemporaryDirectory(prefix="lg-bench-") as named,
        contextlib.ExitStack() as stack,
    ):
        outcome.load = generator.name
        running = _start(plan, Path(named), stack, watch, outcome)
        runner = _Runner(plan, generator, running, outcome, watch)
        for number in range(plan.rounds):
            runner.round(number)


def _start(plan: Plan, folder: Path, stack: Kept, watch: Watch, outcome: Outcome) -> list[Side]:
    running: list[Side] = []

    def started(side: Side) -> None:
        weighed = [processes.memory(root) for root in dict.fromkeys(side.roots.values())]
        mib, count = (sum(column) for column in zip(*weighed, strict=True))
        outcome.started.append(Started(side.title, side.release, side.settings, side.ready, mib, count))
        side.hold()
        running.append(side)

    watch("the models are made", 0)
    models = sides.make_ours(folder / "models")
    converted = {}
    if ONNX in plan.titles:
        try:
            converted = {model: converting.converted(models / model, folder / f"{model}.onnx") for model in MODELS}
        except converting.NotConverted as error:
            outcome.missing[ONNX] = str(error)
    watch("the floor: predictions without a server", 0)
    outcome.floors = _floors(models, {model: Path(path) for model, (path, _) in converted.items()})
    for title, engine in ((NATIVE, "native"), (ONNX, "onnx")):
        if title in plan.titles and title not in outcome.missing:
            watch(f"{title} starts", 0)
            started(sides.start_ours(engine, models, converted if engine == "onnx" else {}, folder, stack))
    for peer in PEERS:
        if peer.title in plan.titles:
            watch(f"{peer.title} starts", 0)
            try:
                started(sides.start_peer(peer, folder / peer.name, stack, both_cores=plan.both_cores))
            except (NotInstalled, DidNotStart, subprocess.TimeoutExpired) as error:
                outcome.missing[peer.title] = " ".join(str(error).split())[:600]
                warnings.warn(f"{peer.title} is not measured: {error}", stacklevel=1)
    return running


def _floors(models: Path, converted: dict[str, Path]) -> dict[str, dict[str, dict[str, float]]]:
    told = [f"{model}={path}" for model, path in converted.items()]
    with processes.on(processes.cores()[0]):
        done = subprocess.run(
            [sys.executable, "-W", "ignore", "-m", "benchmarks.serving.floor", str(models), *told],
            cwd=ROOT, capture_output=True, text=True, timeout=FLOOR_LIMIT, check=False,
        )  # fmt: skip
    if done.returncode:
        raise DidNotStart(f"the floor could not be measured: {done.stderr[-1000:]}")
    floors: dict[str, dict[str, dict[str, float]]] = json.loads(done.stdout.strip().splitlines()[-1])
    return floors


class _Runner:
    """The rounds. It keeps each side's raw right answers from the look at them, for `wrk` to compare with."""

    def __init__(self, plan: Plan, generator: Load, running: Sequence[Side], outcome: Outcome, watch: Watch) -> None:
        self._plan = plan
        self._load = generator
        self._running = running
        self._outcome = outcome
        self._watch = watch
        self._answers: dict[tuple[str, str, int], list[str]] = {}

    def round(self, number: int) -> None:
        for cell in self._plan.cells:
            if not cell.model:
                ours = next((side for side in self._running if side.title == NATIVE), self._running[0])
                self._measure(cell, ours)
                continue
            # who comes first changes, so that nobody always finds the same one's heat
            shift = number % len(self._running)
            for side in [*self._running[shift:], *self._running[:shift]]:
                self._measure(cell, side)

    def _measure(self, cell: Cell, side: Side) -> None:
        self._watch(f"{cell.name}: {side.title}", 0)
        model = cell.model or next(iter(MODELS))
        order = Order(
            protocol=side.protocol if cell.model else STATIC,
            model=cell.model,
            rows=cell.rows,
            port=side.ports[model],
            connections=cell.connections,
            seconds=self._plan.seconds,
            expected=tuple(side.expected[cell.model][str(cell.rows)]) if cell.model else (),
        )
        side.let_go(model)
        try:
            row = self._outcome.of(side.title if cell.model else STATIC, cell)
            if cell.model and row.looked is None:
                row.looked = self._look(order, side.title)
            before = processes.processor_seconds(side.roots[model])
            result = self._load.time(order, self._answers.get((side.title, cell.model, cell.rows), []))
            used = processes.processor_seconds(side.roots[model]) - before
            result.spent = 1e6 * used / result.answered if result.answered else 0.0
            row.results.append(result)
        finally:
            side.hold()
        self._watch("", 1)

    def _look(self, order: Order, title: str) -> Result:
        """Every request from every connection at once, each answer compared with the one to just that request."""
        # connection n begins with request n, so that a few answers of each are all requests together
        each = max(2, REQUESTS + 1 - order.connections)
        looked = self._load.look(Order(**{**asdict(order), "seconds": 60.0, "each": each}))
        if looked.answers and not looked.wrong + looked.errors:
            self._answers.setdefault((title, order.model, order.rows), looked.answers)
        looked.answers = []
        return looked
