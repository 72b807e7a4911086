"""`make bench-serving`: measure, show, and write it down."""

from __future__ import annotations

import argparse
import json
import os
import signal
import sys
import time
import warnings
from pathlib import Path

from rich.console import Console

from benchmarks.console import as_make, progress_of
from benchmarks.registry.report import machine
from benchmarks.serving import report, runner
from benchmarks.serving.cells import cells
from benchmarks.serving.environments import ROOT
from benchmarks.serving.runner import EVERYBODY, Outcome, Plan
from benchmarks.serving.sides import DidNotStart

JSON_FILE = ROOT / "build" / "bench-serving.json"
PAGE = ROOT / "docs" / "benchmarks" / "serving.md"


def main() -> int:
    """0 when it was measured, whatever came out; 1 when it could not be."""
    told = _arguments()
    console = Console() if sys.stdout.isatty() else Console(width=220)
    wanted = [word.strip().lower() for word in told.who.split(",") if word.strip()]
    titles = [title for title in EVERYBODY if not wanted or any(word in title.lower() for word in wanted)]
    plan = Plan(told.rounds, told.seconds, cells(told.only), tuple(titles), told.both_cores)
    began = time.monotonic()
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    warnings.simplefilter("ignore")
    outcome, broken_off = Outcome(), False
    try:
        with progress_of(console) as progress:
            task = progress.add_task("", total=plan.total())

            def watch(what: str, done: int) -> None:
                progress.update(task, advance=done, description=what or None)

            runner.run(plan, watch, outcome)
    except DidNotStart as error:
        print(error, file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        broken_off = True
    took = time.monotonic() - began
    report.show(console, plan, outcome)
    console.print(f"{took / 60:.1f} minutes. {machine()}. {report.libraries()}")
    command = as_make("bench-serving", sys.argv[1:])
    facts = {"machine": machine(), "libraries": report.libraries(), "command": command, "took": took}
    JSON_FILE.parent.mkdir(exist_ok=True)
    JSON_FILE.write_text(json.dumps({**facts, **outcome.as_json()}, indent=1))
    console.print(f"Every round of it: {JSON_FILE.relative_to(ROOT)}")
    if broken_off:
        console.print("Broken off: the medians are of the rounds that there were, and no page is written.")
        return 1
    if told.page is not None:
        told.page.parent.mkdir(parents=True, exist_ok=True)
        told.page.write_text(report.page(plan, outcome, command=command, took=took))
        console.print(f"The page of the docs: {told.page}")
    return 0


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="make bench-serving", description=__doc__)
    parser.add_argument("--quick", action="store_true", help="one short round: to see that it runs, not to be quoted")
    parser.add_argument("--rounds", type=int, default=int(os.environ.get("ROUNDS") or 5))
    parser.add_argument("--seconds", type=int, default=5, help="for one cell; whole ones, as wrk wants them")
    parser.add_argument("--only", default="", help="cells whose name contains this, such as 'forest, 1 row'")
    parser.add_argument("--who", default="", help="parts of names, with commas between: 'native,mlflow,fastapi'")
    parser.add_argument("--both-cores", action="store_true", help="for LitServe and Ray Serve, instead of one")
    parser.add_argument("--page", type=Path, help="the page to write (a whole run writes docs/benchmarks/serving.md)")
    told = parser.parse_args()
    if told.quick:
        told.rounds, told.seconds = 1, 1
    elif told.page is None and not told.only and not told.who:
        told.page = PAGE
    return told


if __name__ == "__main__":
    sys.exit(main())
