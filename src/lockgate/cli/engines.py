"""`lockgate engines`: how fast each engine of a version answers, and whether it answers as MLflow does."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta
from typing import TYPE_CHECKING

import click

from lockgate.cli import options, outcome, show
from lockgate.domain.errors import BadInput, NotFound
from lockgate.domain.versions import VersionRef, model_name, version_number

if TYPE_CHECKING:
    from lockgate.wire.engines import EngineFigures, EngineMeasurement, Parity

_WAIT = "5m"


@click.command(short_help="Measure the engines of a version.")
@click.argument("words", nargs=-1, required=True, metavar="MODEL@VERSION")
@click.option("--last", is_flag=True, help="Show the last measurement, and measure nothing.")
@click.option(
    "--wait", type=options.DURATION, default=_WAIT, show_default=True, help="How long to wait for the figures."
)
@options.asks
def engines(
    words: Sequence[str], last: bool, wait: timedelta, url: str | None, user: str | None, as_json: bool
) -> None:
    """Measure every engine that a version can be asked with: latency, throughput and likeness to MLflow's own way.

    Exits 0 when it was measured, 1 when it could not be, 8 when it is not over yet.
    """
    from lockgate.wire.plain import to_json

    ref = _version(words)
    client, version = options.caller(url, user).client(), (ref.model, ref.version)
    if last:
        known = client.engines.of(version, limit=1)
        if not known:
            raise NotFound(f"The engines of {ref} were never measured.", hint=f"Measure them: lockgate engines {ref}")
        found = known[0]
    else:
        found = client.engines.measure(version, wait=wait.total_seconds())
    if as_json:
        outcome.show_json(to_json(found))
    else:
        _tell(found)
    if not found.is_over:
        raise outcome.Ends(outcome.WAITING)
    if found.state != "done":
        raise outcome.Ends(outcome.REFUSED)


def _version(words: Sequence[str]) -> VersionRef:
    """The version in `fraud@7` or `fraud 7`. Raises BadInput."""
    match words:
        case [written]:
            return VersionRef.parse(written)
        case [model, version]:
            return VersionRef(model_name(model), version_number(version))
    raise BadInput(
        "That does not name one version.", hint="Write MODEL@VERSION or MODEL VERSION, for example fraud@7 or fraud 7."
    )


def _tell(found: EngineMeasurement) -> None:
    because = f": {found.because}" if found.because else ""
    show.line(f"Engines of {found.ref}: {found.state}{because}")
    if found.state != "done":
        return
    show.line(f"On artifacts {show.short(found.digest)}, at {show.when(found.finished_at)}.")
    heads = ("engine", "what computes", "one row", "95 % within", "100 rows", "rows/s", "as MLflow answers")
    show.table(heads, [_row(each) for each in found.engines])
    if found.converted:
        show.line(f"Converted model {show.short(found.converted)} passed. A policy with `engine: onnx` may use it.")


def _row(of: EngineFigures) -> tuple[str, ...]:
    if not of.applies:
        return (of.engine, of.because, "", "", "", "", "")
    times = [_time(each) for each in (of.one_row_us, of.one_row_p95_us, of.hundred_rows_us)]
    return (of.engine, of.how, *times, f"{of.rows_per_second:,.0f}", _likeness(of.parity))


def _likeness(of: Parity | None) -> str:
    if of is None:
        return "it is MLflow's"
    if not of.passed:
        return f"no: {of.different:,} of {of.rows:,} rows differ"
    told = f"yes, on {of.rows:,} rows, {of.turning:,} where answers turn"
    return f"{told}; {of.fine:,} differ beyond float32" if of.fine else told


def _time(microseconds: float) -> str:
    return f"{microseconds / 1000:.1f} ms" if microseconds >= 1000 else f"{microseconds:.1f} µs"
