"""Reads what workers logged: Parquet files, and the lines that are in none yet. Writes nothing.

No more than one file is in memory at a time, and workers keep each below some tens of megabytes.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from datetime import datetime
from pathlib import Path
from typing import Any

import structlog

from lockgate.domain.errors import BadInput
from lockgate.usecases.prediction_ports import Asked, Label, LoggedPrediction, Page
from lockgate.wire.predictions import COLUMNS, FEEDBACK, PARQUET, PREDICTIONS, SPOOL, SPOOLED, days_folder, folder_of

_log = structlog.get_logger("lockgate.server")
_LARGEST_PAGE = 16 * 1024 * 1024  # of inputs and outputs: what is more comes on the next page
_MOST_LABELS = 1000  # of one prediction
Row = dict[str, Any]


class ParquetPredictions:
    """The logged predictions under a folder (usually `<home>/predictions`)."""

    def __init__(self, root: Path) -> None:
        self._root = root

    def read(self, environment: str, model: str, asked: Asked) -> Page:
        """As the port says."""
        folder = folder_of(self._root, environment, model)
        before = _cursor(asked.after) if asked.after else None
        rows, more = self._newest(_files(folder, PREDICTIONS, lambda day: day == str(asked.day)), asked, before)
        ids = {row["request_id"] for row in rows}
        labels = _labels(_files(folder, FEEDBACK, lambda day: day >= str(asked.day)), ids) if ids else {}
        predictions = [_prediction(row, labels.get(row["request_id"], ())) for row in rows]
        return Page(predictions, _after(rows[-1]) if more else "")

    def _newest(self, files: list[Path], asked: Asked, before: tuple[int, str] | None) -> tuple[list[Row], bool]:
        """The newest rows that were asked for, and whether there are more."""
        import pyarrow
        import pyarrow.compute

        found: Any = None
        order = [("time", "descending"), ("request_id", "descending")]
        for number, path in enumerate(files):
            table = _table(path, PREDICTIONS, ["time", "request_id"])
            if table is None:
                continue
            places = pyarrow.array(range(table.num_rows), pyarrow.int64())
            table = table.append_column("place", places)
            table = table.append_column("file", pyarrow.array([number] * table.num_rows, pyarrow.int64()))
            table = table.filter(_wanted(asked, before))
            if not table.num_rows:
                continue
            found = table if found is None else pyarrow.concat_tables([found, table])
            found = found.take(pyarrow.compute.select_k_unstable(found, asked.limit + 1, order))
        if found is None:
            return [], False
        return _whole(files, found.to_pylist(), asked.limit)


def _wanted(asked: Asked, before: tuple[int, str] | None) -> Any:
    import pyarrow
    import pyarrow.compute as compute

    time, id = compute.field("time"), compute.field("request_id")
    wanted = id == asked.request_id if asked.request_id else compute.scalar(True)
    if before is not None:
        moment = pyarrow.scalar(before[0], pyarrow.timestamp("us", tz="UTC"))
        wanted = wanted & ((time < moment) | ((time == moment) & (id < before[1])))
    return wanted


def _whole(files: list[Path], places: list[Row], limit: int) -> tuple[list[Row], bool]:
    """The rows at these places with all their columns, as many as a page may have, in the same order."""
    by_file: dict[int, list[int]] = defaultdict(list)
    for place in places[:limit]:
        by_file[place["file"]].append(place["place"])
    read: dict[tuple[int, int], Row] = {}
    for number, wanted in by_file.items():
        table = _table(files[number], PREDICTIONS, None)
        if table is not None and table.num_rows > max(wanted):
            rows_there: list[Row] = table.take(wanted).to_pylist()
            read |= {(number, at): row for at, row in zip(wanted, rows_there, strict=True)}
    rows: list[Row] = []
    size = 0
    for place in places[:limit]:
        row = read.get((place["file"], place["place"]))
        if row is None:  # its file went away in this moment
            continue
        size += len(row["input"]) + len(row["output"])
        if rows and size > _LARGEST_PAGE:
            return rows, True
        rows.append(row)
    return rows, len(places) > limit and bool(rows)


def _labels(files: list[Path], ids: set[str]) -> dict[str, list[Label]]:
    import pyarrow
    import pyarrow.compute

    wanted = pyarrow.compute.field("request_id").isin(pyarrow.array(sorted(ids), pyarrow.large_string()))
    found: dict[str, list[Label]] = defaultdict(list)
    for path in files:
        table = _table(path, FEEDBACK, None)
        for row in table.filter(wanted).to_pylist() if table is not None else ():
            if len(found[row["request_id"]]) < _MOST_LABELS:
                found[row["request_id"]].append(Label(row["time"], row["label"], row["row"]))
    return {id: sorted(labels, key=lambda label: label.time) for id, labels in found.items()}


def _files(folder: Path, kind: str, of_day: Any) -> list[Path]:
    """The files of the days that are wanted. A spool counts rather than the Parquet file that is made of it."""
    spools = [path for path in sorted((folder / SPOOL).glob(f"{kind}.*{SPOOLED}")) if of_day(path.name.split(".")[1])]
    # listed later: what became a Parquet file meanwhile is there by now, and a spool that is gone reads as empty
    names = {path.name.split(".")[2] for path in spools}
    days = sorted(path.name.removeprefix("day=") for path in (folder / kind).glob("day=*"))
    whole = [
        path
        for day in days
        if of_day(day)
        for path in sorted(days_folder(folder, kind, day).glob(f"[!.]*{PARQUET}"))
        if path.stem not in names
    ]
    return [*spools, *whole]


def _table(path: Path, kind: str, columns: Sequence[str] | None) -> Any | None:
    import pyarrow
    import pyarrow.parquet

    try:
        schema = _schema(kind)
        if path.suffix == SPOOLED:
            table = _spooled(path, schema)
        else:
            table = pyarrow.parquet.ParquetFile(path).read(columns)
        wanted = pyarrow.schema([schema.field(name) for name in columns or schema.names])
        return table.select(wanted.names).cast(wanted)
    except FileNotFoundError:
        made = days_folder(path.parent.parent, kind, path.name.split(".")[1]) / f"{path.name.split('.')[2]}{PARQUET}"
        # a spool that became a Parquet file after it was listed
        return _table(made, kind, columns) if path.suffix == SPOOLED else None
    except (OSError, ValueError, KeyError, pyarrow.ArrowException) as error:
        _log.warning("logged rows cannot be read", file=str(path), because=str(error))
        return None


def _spooled(path: Path, schema: Any) -> Any:
    """The lines of a spool; the last one may be on its way, and is left out then."""
    import pyarrow
    import pyarrow.json

    raw = path.read_bytes()
    raw = raw[: raw.rfind(b"\n") + 1]
    if not raw:
        return schema.empty_table()
    written = schema.set(0, schema.field(0).with_type(pyarrow.int64()))  # microseconds
    reading = pyarrow.json.ReadOptions(use_threads=False, block_size=len(raw))
    parsing = pyarrow.json.ParseOptions(explicit_schema=written, unexpected_field_behavior="ignore")
    return pyarrow.json.read_json(pyarrow.BufferReader(raw), reading, parsing)


def _schema(kind: str) -> Any:
    import pyarrow

    types = {
        "time": pyarrow.timestamp("us", tz="UTC"),
        "text": pyarrow.large_string(),
        "int": pyarrow.int32(),
        "float": pyarrow.float64(),
    }
    return pyarrow.schema([(name, types[what]) for name, what in COLUMNS[kind]])


def _prediction(row: Row, labels: Sequence[Label]) -> LoggedPrediction:
    names = set(LoggedPrediction.__dataclass_fields__) - {"labels"}
    return LoggedPrediction(**{name: row[name] for name in names}, labels=tuple(labels))


def _after(row: Row) -> str:
    moment: datetime = row["time"]
    return f"{int(moment.timestamp()) * 1_000_000 + moment.microsecond}:{row['request_id']}"


def _cursor(written: str) -> tuple[int, str]:
    moment, colon, id = written.partition(":")
    if not colon or not moment.isascii() or not moment.isdigit() or len(moment) > 18:
        raise BadInput(f"No page ended with {written[:100]!r}.", hint="`after` is what the page before said.")
    return int(moment), id
