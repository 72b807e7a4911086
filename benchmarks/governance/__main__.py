"""`make bench-governance`: measure what governing costs, show it, and write it down."""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import sys
import tempfile
import time
from collections.abc import Sequence
from datetime import UTC, datetime
from functools import partial
from pathlib import Path

from rich.console import Console
from rich.table import Table

from benchmarks.console import progress_of
from benchmarks.governance import promotions, transitions
from benchmarks.governance.promotions import AT_ONCE, Crowd
from benchmarks.governance.transitions import OFF, ON, Cost
from benchmarks.registry import postgres, report, runner
from benchmarks.registry.cells import POSTGRESQL, SQLITE
from benchmarks.registry.runner import ROOT
from benchmarks.registry.sides import DidNotStart

JSON_FILE = ROOT / "build" / "bench-governance.json"
PAGE = ROOT / "docs" / "benchmarks" / "governance.md"
MOST_ADDED = 0.25  # of a transition, by gates and record together

Rows = list[tuple[str, str, str, str]]


def main() -> int:
    """0 when it was measured, whatever came out; 1 when it could not be."""
    told = _arguments()
    console = Console() if sys.stdout.isatty() else Console(width=150)
    began = time.monotonic()
    costs: list[Cost] = []
    crowds: list[Crowd] = []
    release = ""
    try:
        for database in runner.databases(told.databases.split(",")):
            with contextlib.ExitStack() as stack:
                server = stack.enter_context(postgres.server()) if database == POSTGRESQL else None
                release = postgres.release(server) if server else release
                folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="lockgate-bench-")))
                progress = stack.enter_context(progress_of(console))
                task = progress.add_task(f"{database}: transitions", total=told.rounds + 2)
                tick = partial(progress.advance, task)
                costs.append(transitions.measure(database, server, folder, told.rounds, tick))
                progress.update(task, description=f"{database}: {AT_ONCE} promotions at once")
                crowds.append(promotions.measure(database, server, folder))
                tick()
    except (DidNotStart, postgres.NoPostgres) as error:
        print(error, file=sys.stderr)
        return 1
    rows = _rows(costs, crowds)
    _show(console, rows)
    JSON_FILE.parent.mkdir(exist_ok=True)
    JSON_FILE.write_text(json.dumps({"transitions": [c.times for c in costs], "crowds": [c.times for c in crowds]}))
    console.print(f"{(time.monotonic() - began) / 60:.1f} minutes; every time: {JSON_FILE.relative_to(ROOT)}")
    if told.page is not None:
        told.page.parent.mkdir(parents=True, exist_ok=True)
        told.page.write_text(_page(rows, told.rounds, release))
        console.print(f"The page of the docs: {told.page}")
    return 0


def _rows(costs: Sequence[Cost], crowds: Sequence[Crowd]) -> Rows:
    rows: Rows = []
    for cost in costs:
        seen = f"{cost.middle(OFF):.2f} ms without, {cost.middle(ON):.2f} ms with: {cost.added:+.0%}"
        goal = f"at most {MOST_ADDED:+.0%}"
        rows.append(
            (f"{cost.database}: gates and record, on a transition", seen, goal, _mark(cost.added <= MOST_ADDED))
        )
    for crowd in crowds:
        answers = ", ".join(f"{count} x {said}" for said, count in crowd.answers.most_common())
        seen = (
            f"{answers}; {crowd.in_production} in Production; {crowd.together:.1f} s in all, "
            f"median {crowd.middle:.0f} ms, longest {max(crowd.times):.0f} ms"
        )
        what = f"{crowd.database}: {AT_ONCE} promotions of different models at once"
        rows.append((what, seen, "no error", _mark(crowd.is_right)))
    return rows


def _mark(reached: bool) -> str:
    return "✓" if reached else "✗"


def _show(console: Console, rows: Rows) -> None:
    table = Table("what", "seen", "goal", "", title="What governing costs")
    for row in rows:
        table.add_row(*row)
    console.print(table)


def _page(rows: Rows, rounds: int, release: str) -> str:
    lines = [
        "# What governing costs",
        "",
        f"Written by `make bench-governance`, {datetime.now(UTC):%Y-%m-%d}. "
        "[How to measure it yourself](../howto/measure-it-yourself.md).",
        "",
        f"Machine: {report.machine()}. {report.libraries()}{f', {release}' if release else ''}.",
        "",
        f"Transitions: {rounds} rounds of {transitions.MODELS - transitions.SETTLING} moves into Staging in one "
        "process, both sides interleaved, medians. Both sides have the files' digests compared, and the lifecycle rows "
        "and MLflow's own rows written. *With*: the gates at *enforce*, the evidence of the verdict, and the record "
        "with its hash links. *Without*: a policy that asks for nothing, and entries dropped before they are written.",
        "",
        "| what | seen | goal |  |",
        "| --- | --- | --- | --- |",
        *(f"| {' | '.join(row)} |" for row in rows),
        "",
    ]
    return "\n".join(lines)


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="make bench-governance", description=__doc__)
    parser.add_argument("--quick", action="store_true", help="one round: to see that it runs, not to be quoted")
    parser.add_argument("--rounds", type=int, default=int(os.environ.get("ROUNDS") or 9))
    parser.add_argument("--databases", default=f"{SQLITE},{POSTGRESQL}".lower())
    parser.add_argument("--page", type=Path, help=f"the page to write (a whole run writes {PAGE.relative_to(ROOT)})")
    told = parser.parse_args()
    if told.quick:
        told.rounds = 1
    elif told.page is None and "," in told.databases:
        told.page = PAGE
    return told


if __name__ == "__main__":
    sys.exit(main())
