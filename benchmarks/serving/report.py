"""What a run came to: tables for the screen, and the page of the docs."""

from __future__ import annotations

import platform
import statistics
from collections.abc import Iterator, Sequence
from importlib.metadata import PackageNotFoundError, version

from rich.console import Console
from rich.table import Table

from benchmarks.registry.report import machine, markdown, today
from benchmarks.serving.cells import CONNECTIONS, GOALS, MOST_PROCESSOR, Cell
from benchmarks.serving.content import MODELS, ROWS
from benchmarks.serving.load import Result
from benchmarks.serving.runner import STATIC, Outcome, Plan
from benchmarks.serving.sides import NATIVE, ONNX, PEERS, STOCK

OURS = (NATIVE, ONNX)
GOALS_AT = (1, 8)  # rows, connections
HEAD = (
    "who",
    *(f"{what}, c={c}" for c in CONNECTIONS for what in ("requests/s", "p50, p99 ms")),
    f"x {STOCK}, c=8",
    "µs of processor a request, c=8",
    "failed, wrong",
)
STARTED_HEAD = ("who", "release", "settings", "first answer after s", "idle MiB (PSS)", "processes")


def middle(outcome: Outcome, title: str, model: str, rows: int, connections: int) -> Result | None:
    """The medians of a cell's rounds and the sum of what went wrong, the first look at every answer included."""
    row = next((one for one in outcome.cells if (one.title, one.cell) == (title, Cell(model, rows, connections))), None)
    if row is None or not row.results:
        return None
    every = [*row.results, *([row.looked] if row.looked else [])]
    return Result(
        answered=sum(one.answered for one in every),
        errors=sum(one.errors for one in every),
        wrong=sum(one.wrong for one in every),
        a_second=statistics.median(one.a_second for one in row.results),
        p50=statistics.median(one.p50 for one in row.results),
        p99=statistics.median(one.p99 for one in row.results),
        busy=statistics.median(one.busy for one in row.results),
        spent=statistics.median(one.spent for one in row.results),
        said=next((one.said for one in every if one.said), ""),
    )


def table(plan: Plan, outcome: Outcome, model: str, rows: int) -> Iterator[tuple[str, ...]]:
    """One line for everybody, the static reply and the floor below."""
    stock = middle(outcome, STOCK, model, rows, 8)
    for title in plan.titles:
        if title not in outcome.missing:
            yield (title, *_columns([middle(outcome, title, model, rows, c) for c in CONNECTIONS], stock))
    static = [middle(outcome, STATIC, "", 0, c) for c in CONNECTIONS]
    yield (f"*static reply (`GET {STATIC}` of {NATIVE})*", *_columns(static, stock))
    blank = [""] * (len(HEAD) - 3)
    for name, rate in outcome.floors.get(model, {}).get(str(rows), {}).items():
        yield (f"*no server: {name}*", f"{rate:,.0f}", *blank, "")


def _columns(results: Sequence[Result | None], stock: Result | None) -> Iterator[str]:
    for one in results:
        yield f"{one.a_second:,.0f}" if one else ""
        yield f"{one.p50:.2f}, {one.p99:.2f}" if one else ""
    at_eight = results[CONNECTIONS.index(8)]
    yield f"{at_eight.a_second / stock.a_second:,.1f}x" if at_eight and stock and stock.a_second else ""
    yield f"{at_eight.spent:,.0f}" if at_eight else ""
    errors, wrong = sum(one.errors for one in results if one), sum(one.wrong for one in results if one)
    yield f"{errors} failed, {wrong} wrong" if errors or wrong else ""


def goals(plan: Plan, outcome: Outcome) -> Iterator[tuple[str, str, str, bool]]:
    """What was hoped for, what was seen, what the goal was, and whether it was reached."""
    rows, connections = GOALS_AT
    for (title, model), goal in GOALS.items():
        ours = middle(outcome, title, model, rows, connections)
        stock = middle(outcome, STOCK, model, rows, connections)
        if ours and stock and stock.a_second:
            ratio = ours.a_second / stock.a_second
            yield f"{title}, {model}, one row, c=8, by {STOCK}", f"{ratio:,.0f}x", f"{goal:.0f}x", ratio >= goal
    for model in MODELS:
        for count in CONNECTIONS[1:]:
            ours, static = (
                middle(outcome, ONNX, model, rows, count),
                middle(outcome, STATIC, "", 0, count),
            )
            if ours and static and static.spent:
                times = ours.spent / static.spent
                what = f"{ONNX}, {model}, one row, c={count}: processor time of a request by the static reply's"
                yield what, f"{times:.1f}x", f"at most {MOST_PROCESSOR:.0f}x", times <= MOST_PROCESSOR
    if not any(row.results for row in outcome.cells):
        return
    behind = list(lost(plan, outcome))
    yield f"{NATIVE} ahead of everybody else in every cell", _in_words(behind), "every cell", not behind
    bad = sum(
        result.errors + result.wrong
        for title in OURS
        for model in MODELS
        for rows in ROWS
        for c in CONNECTIONS
        if (result := middle(outcome, title, model, rows, c))
    )
    yield "failed or wrong answers of Lockgate", str(bad), "0", not bad


def _in_words(behind: Sequence[str]) -> str:
    return f"behind in {len(behind)}" if behind else "ahead in all"


def lost(plan: Plan, outcome: Outcome) -> Iterator[str]:
    """Every cell in which our default engine answered fewer requests than somebody else did."""
    for cell in plan.cells:
        ours = middle(outcome, NATIVE, cell.model, cell.rows, cell.connections)
        for title in plan.titles:
            peer = middle(outcome, title, cell.model, cell.rows, cell.connections)
            if ours and peer and title not in OURS and peer.a_second >= ours.a_second:
                yield f"{cell.name}: {ours.a_second:,.0f}/s, {title} {peer.a_second:,.0f}/s"


def sayings(plan: Plan, outcome: Outcome) -> Iterator[str]:
    """The first failed or wrong answer of each cell that had one."""
    for row in outcome.cells:
        said = next((one.said for one in [*row.results, *([row.looked] if row.looked else [])] if one.said), "")
        if said:
            yield f"{row.cell.name}, {row.title}: {said}"
    for title, why in outcome.missing.items():
        if title in plan.titles:
            yield f"{title} was not measured: {why}"


def show(console: Console, plan: Plan, outcome: Outcome) -> None:
    """Print the tables."""
    for model, rows in _measured(plan):
        printed = Table(*HEAD, title=_title(model, rows), title_justify="left")
        for line in table(plan, outcome, model, rows):
            printed.add_row(*(text.strip("*").replace("`", "") for text in line))
        console.print(printed)
    printed = Table("goal", "seen", "wanted", "", title="Goals", title_justify="left")
    for what, seen, wanted, reached in goals(plan, outcome):
        printed.add_row(what, seen, wanted, "✓" if reached else "✗", style="" if reached else "yellow")
    console.print(printed)
    for said in [*(f"behind: {cell}" for cell in lost(plan, outcome)), *sayings(plan, outcome)]:
        console.print(said, markup=False)


def libraries() -> str:
    """The releases that ours ran on."""
    names = ("mlflow", "scikit-learn", "lightgbm", "onnxruntime", "uvloop", "httptools")
    told = []
    for name in names:
        try:
            told.append(f"{name} {version(name)}")
        except PackageNotFoundError:
            told.append(f"no {name}")
    return ", ".join([f"Python {platform.python_version()}", *told])


def page(plan: Plan, outcome: Outcome, *, command: str, took: float) -> str:
    """The page in Markdown, losses included."""
    parts = [
        "# Predictions beside other servers'",
        "",
        f"Written by `{command}` on {today()}, in {took / 60:.0f} minutes. [How to measure it yourself, and what the "
        "figures mean](../howto/measure-it-yourself.md#predictions).",
        "",
        f"Machine: {machine()}. {libraries()}. Load: {outcome.load}.",
        "",
        f"One process of each on one core, the load on another{_both(plan)}. Medians of {plan.rounds} rounds "
        f"of {plan.seconds} s a cell, everybody in turn; whoever is not being measured is held still{_but()}. Every "
        "answer is compared with what the model predicts for just that request. Lockgate counts its metrics and gives "
        "every request its id.",
        "",
        *(f"- {title} was not measured: {why}" for title, why in outcome.missing.items()),
        "",
    ]
    for model, rows in _measured(plan):
        parts += [f"## {_title(model, rows)}", "", *markdown(HEAD, table(plan, outcome, model, rows)), ""]
    parts += ["## Who they are", "", *markdown(STARTED_HEAD, _started(outcome)), "", "## Goals", ""]
    told = list(goals(plan, outcome))
    marked = ((what, seen, wanted, "✓" if reached else "✗") for what, seen, wanted, reached in told)
    parts += [*markdown(("goal", "seen", "wanted", ""), marked), "", "## What was lost", ""]
    parts += [f"- {cell}" for cell in lost(plan, outcome)] or ["Nothing."]
    if said := list(sayings(plan, outcome)):
        parts += ["", "## What went wrong", "", *(f"- `{one.replace('`', chr(39))}`" for one in said)]
    return "\n".join(parts) + "\n"


def _measured(plan: Plan) -> Iterator[tuple[str, int]]:
    for model in MODELS:
        for rows in ROWS:
            if any((cell.model, cell.rows) == (model, rows) for cell in plan.cells):
                yield model, rows


def _title(model: str, rows: int) -> str:
    return f"{MODELS[model][0].upper()}{MODELS[model][1:]}, {'one row' if rows == 1 else f'{rows} rows'}"


def _but() -> str:
    learning = " and ".join(peer.title for peer in PEERS if peer.learns)
    return f" (but for {learning}, whose batching learns from the clock)" if learning else ""


def _both(plan: Plan) -> str:
    several = " and ".join(peer.title for peer in PEERS if peer.several)
    return f" ({several}, which are several processes, may use both)" if plan.both_cores else ""


def _started(outcome: Outcome) -> Iterator[tuple[str, ...]]:
    for one in outcome.started:
        yield one.title, one.release, one.settings, f"{one.ready:.1f}", f"{one.mib:,}", str(one.processes)
