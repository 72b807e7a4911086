"""`make bench-registry`: measure, show, and write it down."""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import signal
import sys
import time
from pathlib import Path

from rich.console import Console

from benchmarks.console import as_make, progress_of
from benchmarks.registry import postgres, report, runner
from benchmarks.registry.cells import CELLS, POSTGRESQL, SQLITE
from benchmarks.registry.runner import ADOPTED, MANY, ONE, ROOT, Outcome, Plan
from benchmarks.registry.sides import DidNotStart

JSON_FILE = ROOT / "build" / "bench-registry.json"
PAGE = ROOT / "docs" / "benchmarks" / "registry.md"


def main() -> int:
    """0 when it was measured, whatever came out; 1 when it could not be."""
    told = _arguments()
    console = Console()
    if not console.is_terminal:
        console = Console(width=150)
    plan = Plan(
        rounds=told.rounds,
        seconds=told.seconds,
        databases=runner.databases(told.databases.split(",")),
        cells=tuple(cell for cell in CELLS if not told.only or told.only in cell.name),
        setups=(ONE,) if told.one_worker else (ONE, MANY, ADOPTED),
    )
    began = time.monotonic()
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    outcome, release, broken_off = Outcome(), "", False
    try:
        with contextlib.ExitStack() as stack:
            server = stack.enter_context(postgres.server()) if POSTGRESQL in plan.databases else None
            release = postgres.release(server) if server else ""
            progress = stack.enter_context(progress_of(console))
            task = progress.add_task("", total=plan.total())

            def watch(what: str, done: int) -> None:
                progress.update(task, advance=done, description=what or None)

            runner.run(plan, server, watch, outcome)
    except (DidNotStart, postgres.NoPostgres) as error:
        print(error, file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        broken_off = True
    took = time.monotonic() - began
    report.show(console, plan, outcome)
    console.print(f"{took / 60:.1f} minutes. {report.machine()}. {report.libraries()}")
    JSON_FILE.parent.mkdir(exist_ok=True)
    command = as_make("bench-registry", sys.argv[1:])
    facts = {"machine": report.machine(), "libraries": report.libraries(), "command": command, "took": took}
    JSON_FILE.write_text(json.dumps({**facts, **outcome.as_json()}, indent=1))
    console.print(f"Every round of it: {JSON_FILE.relative_to(ROOT)}")
    if broken_off:
        console.print("Broken off: the medians are of the rounds that there were, and no page is written.")
        return 1
    if told.page is not None:
        told.page.parent.mkdir(parents=True, exist_ok=True)
        told.page.write_text(report.page(plan, outcome, command=command, took=took, postgres=release))
        console.print(f"The page of the docs: {told.page}")
    return 0


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="make bench-registry", description=__doc__)
    parser.add_argument("--quick", action="store_true", help="one short round: to see that it runs, not to be quoted")
    parser.add_argument("--rounds", type=int, default=int(os.environ.get("ROUNDS") or 5))
    parser.add_argument("--seconds", type=float, default=1.5, help="for a cell at 8 connections; half of it at one")
    parser.add_argument("--databases", default=f"{SQLITE},{POSTGRESQL}".lower())
    parser.add_argument("--only", default="", help="cells whose name contains this")
    parser.add_argument("--one-worker", action="store_true", help="leave out the comparison with more workers")
    parser.add_argument("--page", type=Path, help="the page to write (a whole run writes docs/benchmarks/registry.md)")
    told = parser.parse_args()
    whole = not (told.quick or told.only or told.one_worker) and "," in told.databases
    if told.quick:
        told.rounds, told.seconds = 1, 1.0
    if told.page is None and whole:
        told.page = PAGE
    return told


if __name__ == "__main__":
    sys.exit(main())
