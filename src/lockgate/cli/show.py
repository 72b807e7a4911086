"""Tables and sentences on a terminal or in a pipe: nothing that matters is cut, and nothing is read as markup."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, TextIO

import click
from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Table
from rich.text import Text

if TYPE_CHECKING:
    from lockgate.wire.shapes import Who

PIPE_WIDTH = 110
_STYLES = {"holds": "green", "waits": "yellow", "fails": "red", "passed": "green", "failed": "red", "error": "red"}

# columns of short words, times and what is copied into a command, which read badly when they are folded: the long
# sentences beside them give way
_WHOLE = frozenset(
    {
        *("entry", "at (UTC)", "since (UTC)", "asked at (UTC)", "action", "gate", "test", "answer", "version"),
        *("id", "delivery", "status", "state", "tries", "waiting", "level", "line", "semantic"),
    }
)
# the least that each other column keeps, and what rich puts between two
_LEAST, _GAP = 10, 3


def console(*, err: bool = False) -> Console:
    """A console for standard output or error, plain and of a fixed width where it is no terminal."""
    stream: TextIO = sys.stderr if err else sys.stdout
    width = None if stream.isatty() or os.environ.get("COLUMNS") else PIPE_WIDTH
    return Console(file=stream, width=width, highlight=False, markup=False, emoji=False, soft_wrap=False)


def line(text: str, *, err: bool = False) -> None:
    """One sentence, never wrapped or cut: a command in it can be copied."""
    console(err=err).print(Text(text), soft_wrap=True)


def another(who: Who) -> str:
    """What somebody else adds to a command to say who they are; nothing where everybody logs in, as `who` did."""
    return "" if who.verified else " --as NAME"


def table(columns: Sequence[str], rows: Iterable[Sequence[Any]], *, err: bool = False) -> None:
    """A table; a cell that does not fit goes on in the next line, and None is a dash."""
    cells = [[_cell(value) for value in row] for row in rows]
    target = console(err=err)
    widths = _widths(columns, cells, target.width) if cells else None
    shown = Table(box=SIMPLE_HEAD, pad_edge=False, show_edge=False, padding=(0, 1))
    for number, column in enumerate(columns):
        shown.add_column(column, overflow="fold", width=widths[number] if widths else None)
    for row in cells:
        shown.add_row(*row)
    with target.capture() as drawn:
        target.print(shown)
    # rich fills every line up with spaces, which a file or a mail would keep
    click.echo("\n".join(line.rstrip() for line in drawn.get().splitlines()), err=err)


def gates(shown: Iterable[Any], *, err: bool = False) -> None:
    """Gates with what was seen, what is required, the reason and, below the table, the next commands."""
    listed = list(shown)
    rows = [(gate.name, gate.standing, gate.seen, gate.required, gate.because) for gate in listed]
    table(("gate", "answer", "seen", "required", "because"), rows, err=err)
    nexts: dict[str, list[str]] = {}
    for gate in listed:
        if gate.next:
            nexts.setdefault(gate.next, []).append(gate.name)
    for number, (command, names) in enumerate(nexts.items()):
        if number == 0:
            line("\nNext:", err=err)
        line(f"  {', '.join(names)}: {command}", err=err)


def endpoints(found: Iterable[Any]) -> None:
    """Endpoints, and below the table why one is not as it should be."""
    listed = list(found)
    rows = [(e.model, e.environment, _serves(e), _engine(e), e.state, e.url, e.generation) for e in listed]
    table(("model", "environment", "version", "engine", "state", "url", "generation"), rows)
    for endpoint in listed:
        if endpoint.because:
            line(f"{endpoint.model} in {endpoint.environment} is {endpoint.state}: {endpoint.because}")
        if endpoint.state == "vacant":
            line(f"  Stop it with: lockgate endpoints retire {endpoint.model} --environment {endpoint.environment}")
        for group in endpoint.groups:
            if group.state == "parked":
                told = f"{endpoint.model} {group.version} is parked in {endpoint.environment}, warm for a rollback"
                line(f"{told} ({group.memory / 2**20:.0f} MiB)" if group.memory else told)


def error(problem: Exception) -> None:
    """An error that explains itself: what happened, the gates it names that do not hold, what to do next."""
    message = str(getattr(problem, "message", problem))
    verdict = getattr(problem, "verdict", None)
    judged = getattr(problem, "gates", ()) or getattr(verdict, "gates", ())
    stopping = [gate for gate in judged if gate.binds]
    # for clients that show nothing else the message lists the gates too; the table says it better
    line(message.partition("\n")[0] if stopping else message, err=True)
    if stopping:
        line("", err=True)
        gates(stopping, err=True)
    hint = str(getattr(problem, "hint", ""))
    if hint and all(hint != gate.next for gate in stopping):
        line(hint, err=True)


def when(moment: datetime | None) -> str:
    """A time to the second, in UTC."""
    return "-" if moment is None else moment.astimezone(UTC).strftime("%Y-%m-%d %H:%M:%S")


def short(digest: str | None) -> str:
    """The beginning of a digest, enough to tell two apart."""
    return "-" if not digest else digest.removeprefix("sha256:")[:12]


def numbered(version: object, semantic: str | None) -> str:
    """A version with its semantic version, where it has one: `fraud@7 (2.0.1)`."""
    return f"{version} ({semantic})" if semantic else f"{version}"


def counted(number: int, one: str, many: str = "") -> str:
    """`1 version`, `2 versions`."""
    return f"{number} {one if number == 1 else many or one + 's'}"


def _engine(endpoint: Any) -> str:
    """What computes, without the digest of a converted model."""
    return str(endpoint.release.engine).partition(" ")[0] if endpoint.release is not None else ""


def _serves(endpoint: Any) -> str | None:
    if endpoint.version is None:
        return None
    return numbered(endpoint.version, endpoint.release.semantic_version if endpoint.release is not None else None)


def _widths(columns: Sequence[str], cells: Sequence[Sequence[Text]], width: int) -> list[int] | None:
    """The width of each column when some are kept whole; None when too little would be left for the others."""
    wanted = [max(len(name), *(_wide(row[number]) for row in cells)) for number, name in enumerate(columns)]
    room = width - _GAP * (len(columns) - 1)
    room -= sum(wide for name, wide in zip(columns, wanted, strict=True) if name in _WHOLE)
    others = sorted((n for n, name in enumerate(columns) if name not in _WHOLE), key=lambda n: wanted[n])
    if room < _LEAST * len(others):
        return None
    # the narrowest takes what it wants, and what it leaves is shared by the rest
    for place, number in enumerate(others):
        wanted[number] = min(wanted[number], room // (len(others) - place))
        room -= wanted[number]
    return wanted


def _wide(cell: Text) -> int:
    return max(line.cell_len for line in cell.split("\n", allow_blank=True))


def _cell(value: Any) -> Text:
    told = "-" if value is None or value == "" else str(value)
    return Text(told, style=_STYLES.get(told, ""))
