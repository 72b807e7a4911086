"""What the benchmarks' commands have in common on a terminal."""

from __future__ import annotations

from collections.abc import Sequence

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn


def progress_of(console: Console) -> Progress:
    """A bar with how many of how many, the time it took and will take, and what happens now."""
    columns = (BarColumn(), MofNCompleteColumn(), TimeElapsedColumn(), TimeRemainingColumn())
    return Progress(*columns, TextColumn("{task.description}"), console=console, transient=True)


def as_make(target: str, arguments: Sequence[str]) -> str:
    """The command of `make` that runs this benchmark with these arguments."""
    return " ".join([f"make {target}", *([f"ARGS='{' '.join(arguments)}'"] if arguments else [])])
