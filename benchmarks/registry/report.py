"""What a run came to: a table for the screen, JSON for machines, and the page of the docs."""

from __future__ import annotations

import os
import platform
import sqlite3
import statistics
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path

from rich.console import Console
from rich.table import Table

from benchmarks.http_client import Result
from benchmarks.registry.cells import HEALTHY_SECONDS, IDLE_MIB, Cell
from benchmarks.registry.runner import ADOPTED, MANY, ONE, Outcome, Plan
from benchmarks.registry.sides import LOCKGATE, SINGLE, STOCK


@dataclass(frozen=True, slots=True)
class Line:
    """One cell, both sides: medians of the rounds."""

    cell: Cell
    database: str
    setup: str
    stock: Result
    ours: Result
    stock_alone: Result | None
    ours_alone: Result | None
    single: Result | None = None  # ours with one worker, where `ours` has more

    @property
    def ratio(self) -> float:
        return self.ours.a_second / self.stock.a_second if self.stock.a_second else 0.0

    @property
    def goal(self) -> float | None:
        """None where the design names none: with other numbers of workers."""
        return None if self.setup == MANY else self.cell.goal(self.database)

    @property
    def reached(self) -> bool:
        return self.goal is None or self.ratio >= self.goal

    @property
    def gain(self) -> float:
        """How many times what one worker answers several do; 0 where that was not measured."""
        return self.ours.a_second / self.single.a_second if self.single and self.single.a_second else 0.0

    @property
    def slower_together(self) -> bool:
        """Whether several workers answer no more than one does."""
        return self.single is not None and self.gain <= 1.0

    @property
    def slower_alone(self) -> bool:
        """Whether our slowest answers to one client are slower than stock's."""
        both = self.stock_alone is not None and self.ours_alone is not None
        return both and self.ours_alone.p99 > self.stock_alone.p99  # type: ignore[union-attr]


def lines(plan: Plan, outcome: Outcome) -> Iterator[Line]:
    """Every cell that was measured, in the order of the plan."""
    for database in plan.databases:
        for setup in plan.setups:
            for cell, connections in plan.steps(database, setup):
                if connections == 1:
                    continue
                found = [
                    middle(outcome.of(database, setup, cell.name, c, side).results)
                    for c in (8, 1)
                    for side in (STOCK, LOCKGATE)
                ]
                stock, ours, stock_alone, ours_alone = found
                single = middle(outcome.of(database, setup, cell.name, 8, SINGLE).results) if setup == MANY else None
                if stock and ours:
                    yield Line(cell, database, setup, stock, ours, stock_alone, ours_alone, single)


def middle(results: Sequence[Result]) -> Result | None:
    """The median of each figure, the sum of what went wrong."""
    if not results:
        return None
    return Result(
        answered=sum(one.answered for one in results),
        errors=sum(one.errors for one in results),
        wrong=sum(one.wrong for one in results),
        a_second=statistics.median(one.a_second for one in results),
        p50=statistics.median(one.p50 for one in results),
        p99=statistics.median(one.p99 for one in results),
        busy=statistics.median(one.busy for one in results),
        said=next((one.said for one in results if one.said), ""),
    )


def show(console: Console, plan: Plan, outcome: Outcome) -> None:
    """Print the tables."""
    for database in plan.databases:
        for setup in plan.setups:
            told = [line for line in lines(plan, outcome) if (line.database, line.setup) == (database, setup)]
            if not told:
                continue
            head, cells = _table(setup)
            table = Table(*head, title=f"{database}, 8 connections, {setup}", title_justify="left")
            for line in told:
                style = "" if line.reached and not _bad(line) else "yellow"
                table.add_row(*cells(line), style=style)
            console.print(table)
    table = Table(*_START_HEAD, title="Start and idle memory", title_justify="left")
    for row in _starts(outcome):
        table.add_row(*row)
    console.print(table)
    for said in _sayings(plan, outcome):
        console.print(said, markup=False)


_HEAD = (
    "what", "stock/s", "Lockgate/s", "ratio", "goal", "p50 ms", "p99 ms", "p99 ms at c=1", "failed, wrong",
)  # fmt: skip
_MANY_HEAD = (
    "what", "stock/s", "Lockgate/s, one worker", "Lockgate/s, two workers", "two by one", "p50 ms, one → two",
    "p99 ms, one → two", "the load took", "failed, wrong",
)  # fmt: skip
_START_HEAD = ("who", "database", "/health after s", "registry answers after s", "idle MiB (PSS)", "processes")


def _row(line: Line) -> tuple[str, ...]:
    stock, ours = line.stock, line.ours
    alone = ""
    if line.stock_alone and line.ours_alone:
        alone = f"{line.stock_alone.p99:.1f} → {line.ours_alone.p99:.1f}{' ✗' if line.slower_alone else ''}"
    return (
        line.cell.name,
        f"{stock.a_second:,.0f}",
        f"{ours.a_second:,.0f}",
        f"{line.ratio:.1f}x{'' if line.reached else ' ✗'}",
        "" if line.goal is None else f"{line.goal:.0f}x",
        f"{stock.p50:.1f} → {ours.p50:.1f}",
        f"{stock.p99:.1f} → {ours.p99:.1f}",
        alone,
        _trouble(line),
    )


def _many_row(line: Line) -> tuple[str, ...]:
    stock, one, two = line.stock, line.single or Result(), line.ours
    return (
        line.cell.name,
        f"{stock.a_second:,.0f}",
        f"{one.a_second:,.0f}",
        f"{two.a_second:,.0f}",
        f"{line.gain:.2f}x{' ✗' if line.slower_together else ''}",
        f"{one.p50:.1f} → {two.p50:.1f}",
        f"{one.p99:.1f} → {two.p99:.1f}",
        f"{two.busy:.0%} of a core",
        _trouble(line),
    )


def _table(setup: str) -> tuple[tuple[str, ...], Callable[[Line], tuple[str, ...]]]:
    """The head of a setup's table, and what makes its rows."""
    return (_MANY_HEAD, _many_row) if setup == MANY else (_HEAD, _row)


def _bad(line: Line) -> bool:
    return line.slower_alone or line.slower_together or bool(line.ours.errors or line.ours.wrong)


def _trouble(line: Line) -> str:
    told = []
    ours = line.ours, line.ours_alone, line.single
    for name, runs in ((STOCK, (line.stock, line.stock_alone)), (LOCKGATE, ours)):
        errors = sum(run.errors for run in runs if run)
        wrong = sum(run.wrong for run in runs if run)
        if errors or wrong:
            told.append(f"{name}: {errors} failed, {wrong} wrong")
    return "; ".join(told)


def _sayings(plan: Plan, outcome: Outcome) -> Iterator[str]:
    for line in lines(plan, outcome):
        for name, run in (
            (STOCK, line.stock),
            (STOCK, line.stock_alone),
            (LOCKGATE, line.ours),
            (LOCKGATE, line.ours_alone),
            (SINGLE, line.single),
        ):
            if run and run.said:
                yield f"{line.database}, {line.cell.name}, {name}: {run.said}"


def _starts(outcome: Outcome) -> Iterator[tuple[str, ...]]:
    keys = dict.fromkeys((one.side, one.setup, one.database) for one in outcome.starts)
    for side, setup, database in keys:
        found = [one for one in outcome.starts if (one.side, one.setup, one.database) == (side, setup, database)]
        weighed = [one for one in found if one.mib]
        yield (
            f"{side} ({_whose(side, setup)})",
            database,
            f"{statistics.median(one.healthy for one in found):.2f}",
            f"{statistics.median(one.ready for one in found):.1f}",
            f"{statistics.median(one.mib for one in weighed):,.0f}" if weighed else "",
            str(weighed[0].processes) if weighed else "",
        )


def _whose(side: str, setup: str) -> str:
    if setup == MANY:
        return "default: 4 workers" if side == STOCK else "2 workers"
    return {ONE: "1 worker", ADOPTED: "1 worker, a file of stock's"}.get(setup, setup)


# --- the page of the docs ---------------------------------------------------------------------------------------------


def machine() -> str:
    """What it ran on, without a name of anything."""
    model = next(
        (line.partition(":")[2].strip() for line in _read("/proc/cpuinfo") if line.startswith("model name")),
        platform.processor() or "unknown processor",
    )
    memory = next((int(line.split()[1]) for line in _read("/proc/meminfo") if line.startswith("MemTotal")), 0)
    return f"{os.cpu_count()} cores of {model}, {memory / 1024**2:.0f} GiB, {platform.system()} {platform.machine()}"


def today() -> str:
    """The date, for the record."""
    return f"{datetime.now(UTC):%Y-%m-%d}"


def libraries() -> str:
    """The releases that matter."""
    names = ("mlflow", "sqlalchemy", "psycopg", "uvicorn", "uvloop")
    told = [f"{name} {version(name)}" for name in names]
    return ", ".join([f"Python {platform.python_version()}", f"SQLite {sqlite3.sqlite_version}", *told])


def _read(path: str) -> list[str]:
    try:
        return Path(path).read_text().splitlines()
    except OSError:
        return []


def page(plan: Plan, outcome: Outcome, *, command: str, took: float, postgres: str) -> str:
    """The page in Markdown, losses included."""
    all_lines = list(lines(plan, outcome))
    missed = [line for line in all_lines if not line.reached]
    slow = [line for line in all_lines if line.slower_alone]
    together = [line for line in all_lines if line.slower_together]
    parts = [
        "# The registry beside stock MLflow's",
        "",
        f"Written by `{command}` on {today()}, in {took / 60:.0f} minutes. [How to measure it "
        "yourself, and what the figures mean](../howto/measure-it-yourself.md).",
        "",
        f"Machine: {machine()}. {libraries()}, {postgres or 'no PostgreSQL'}.",
        "",
        f"Stock is `mlflow server`; Lockgate is `lockgate up` with its built-in policy at *observe*, the registry "
        f"governed and the audit written. Each has its own copy of the same content: 1,000 models of 10 versions with "
        f"tags and aliases, and one of 10,000 versions. Medians of {plan.rounds} rounds, both sides in turn. Load from "
        "a process of its own on the same machine; each answer is checked. `stock → Lockgate` where two figures stand "
        "in one column. ✗ marks a goal that was missed, slowest answers slower than stock's, "
        "or two workers that do no more than one.",
        "",
    ]
    for database in plan.databases:
        for setup in plan.setups:
            told = [line for line in all_lines if (line.database, line.setup) == (database, setup)]
            if told:
                head, cells = _table(setup)
                parts += [f"## {database}, 8 connections, {setup}", "", *markdown(head, map(cells, told)), ""]
    parts += ["## Start and idle memory", "", *markdown(_START_HEAD, _starts(outcome)), ""]
    parts += [
        f"The goals: `/health` answers within {HEALTHY_SECONDS} s; an idle node of one worker weighs less than "
        f"{IDLE_MIB} MiB.",
        "",
        "## What was missed",
        "",
    ]
    parts += [f"- {_where(line)}: {line.ratio:.1f}x of {line.goal:.0f}x." for line in missed]
    parts += [f"- {_where(line)}: the slowest answers to one client (p99) take longer than stock's." for line in slow]
    parts += [f"- {_where(line)}: two workers answer {line.gain:.2f}x of what one does." for line in together]
    if not missed and not slow and not together:
        parts.append("Nothing.")
    return "\n".join(parts) + "\n"


def _where(line: Line) -> str:
    return f"{line.cell.name}, {line.database}{', a file of stock’s' if line.setup == ADOPTED else ''}"


def markdown(head: Sequence[str], rows: Iterator[tuple[str, ...]]) -> Iterator[str]:
    """A table in Markdown."""
    yield f"| {' | '.join(head)} |"
    yield f"| {' | '.join('---' for _ in head)} |"
    for row in rows:
        yield f"| {' | '.join(row)} |"
