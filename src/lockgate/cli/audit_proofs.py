"""`lockgate audit export`, `prove` and `checkpoint`: what is taken away from the server to be checked elsewhere."""

from __future__ import annotations

import contextlib
import os
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import BinaryIO

import click

from lockgate.cli import options, outcome, show
from lockgate.domain.errors import BadInput, Conflict, Failed

_END = b'{"end":'


def add_to(group: click.Group) -> None:
    """Put the commands into the group."""
    for command in (export, prove, checkpoint):
        group.add_command(command)


def _entry(written: str) -> tuple[str, int]:
    chain, mark, number = written.rpartition("#")
    if not mark or not chain or not number.isdecimal() or not 0 < int(number) < 1 << 63:
        raise BadInput(f"{written!r} names no entry.", hint="Write it as `audit list` shows it: system#1, model:3#12.")
    return chain, int(number)


ENTRY = options.Written("ENTRY", _entry)


@click.command(short_help="Write the whole record into a file that proves itself.")
@click.option("--output", metavar="FILE", required=True, help="Where to write it.")
@click.option("--report", metavar="FILE", help="Write a page for people too, as `audit report` does.")
@click.option("--force", is_flag=True, help="Replace a file that is there.")
@options.asks
def export(output: str, report: str | None, force: bool, url: str | None, user: str | None, as_json: bool) -> None:
    """Write the whole record into a file, one JSON object a line, with its checkpoints and public keys.

    `lockgate audit verify FILE` checks it anywhere, without server and database.
    """
    from lockgate.cli import audit_report

    path = Path(output).expanduser().absolute()
    record = options.caller(url, user).client().record
    with written(path, force=force) as file, record.export() as found:
        with _counter(found.entries, shown=not as_json) as advance:
            size, last = 0, b""
            for piece in found.pieces:
                file.write(piece)
                size += len(piece)
                last = (last + piece)[-512:]
                advance(piece.count(b'"position":'))
        if _END not in last.rstrip(b"\n").rpartition(b"\n")[2]:
            raise Failed("The server ended before the record did.", hint="Its log says why: try again.")
    if report is not None:
        audit_report.write(path, Path(report).expanduser().absolute(), force=force)
    if as_json:
        outcome.show_json({"output": str(path), "report": report, "entries": found.entries, "bytes": size})
    else:
        show.line(f"Wrote {show.counted(found.entries, 'entry', 'entries')} ({size:,} bytes) to {path}.")
        show.line(f"Check it anywhere: lockgate audit verify {output} --key KEY (lockgate audit key show)")


@click.command(short_help="Write the proof that one entry is on the record.")
@click.argument("entry", type=ENTRY)
@click.option("--output", metavar="FILE", help="Where to write it. [standard output]")
@click.option("--force", is_flag=True, help="Replace a file that is there.")
@options.asks
def prove(
    entry: tuple[str, int], output: str | None, force: bool, url: str | None, user: str | None, as_json: bool
) -> None:
    """Write the proof that ENTRY (model:3#12, as `audit list` names it) is on the record: a small file.

    `lockgate audit verify FILE` checks it with the public key alone. Exits 1 while no checkpoint covers the entry.
    """
    from lockgate.domain.canonical import canonical

    told = canonical(options.caller(url, user).client().record.prove(*entry)) + b"\n"
    if output is None:
        click.echo(told, nl=False)
        return
    path = Path(output).expanduser().absolute()
    with written(path, force=force) as file:
        file.write(told)
    if as_json:
        outcome.show_json({"output": str(path), "bytes": len(told)})
    else:
        show.line(f"Wrote the proof of {entry[0]}#{entry[1]} to {path}. Check it: lockgate audit verify {output}")


@click.command(short_help="Print the newest signed checkpoint.")
@options.asks
def checkpoint(url: str | None, user: str | None, as_json: bool) -> None:
    """Print the newest signed checkpoint, to be kept where Lockgate's account cannot write.

    With it `audit verify` finds any entry before it that is changed or missing later, whoever did it.
    """
    from lockgate.wire.plain import to_json

    found = options.caller(url, user).client().record.checkpoint()
    if as_json:
        outcome.show_json(to_json(found))
    else:
        click.echo(found.note, nl=False)


@contextlib.contextmanager
def written(path: Path, *, force: bool) -> Iterator[BinaryIO]:
    """A file that appears whole at the end of the block, for its owner alone, or not at all.

    Raises Conflict where one is there already and is not to be replaced, BadInput where none can be written.
    """
    if path.exists() and not force:
        raise _there(path)
    fresh = path.with_name(f".{path.name}.{os.getpid()}.part")
    try:
        with os.fdopen(os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "wb") as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        if force:
            os.replace(fresh, path)
        else:
            os.link(fresh, path)
    except FileExistsError:
        raise _there(path) from None
    except OSError as error:
        raise BadInput(f"{path} cannot be written: {error.strerror or error}.", hint="Name another file.") from None
    finally:
        with contextlib.suppress(OSError):
            fresh.unlink(missing_ok=True)


def _there(path: Path) -> Conflict:
    return Conflict(f"{path} is there already.", hint="Name another file with --output, or replace it with --force.")


@contextlib.contextmanager
def _counter(total: int, *, shown: bool) -> Iterator[Callable[[int], None]]:
    """How far it is, on a terminal; a function that is told how many more there are."""
    if not shown or not sys.stderr.isatty():
        yield lambda _more: None
        return
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    columns = (TextColumn("exporting"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, console=show.console(err=True), transient=True) as progress:
        task = progress.add_task("", total=total or None)
        yield lambda more: progress.update(task, advance=more)
