"""Logged predictions and labels: where their files lie, what a row holds, and their shapes on the network.

```
<home>/predictions/<environment>/<model>/predictions/day=2026-11-23/<name>.parquet    whole files
<home>/predictions/<environment>/<model>/feedback/day=2026-11-23/<name>.parquet
<home>/predictions/<environment>/<model>/spool/predictions.2026-11-23.<name>.jsonl    what no Parquet file has yet
```

A line of the spool is a row as JSON. While it becomes a Parquet file of the same name, both may be there.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from urllib.parse import quote

PREDICTIONS = "predictions"
FEEDBACK = "feedback"
SPOOL = "spool"
SPOOLED = ".jsonl"
PARQUET = ".parquet"
_LONGEST_NAME = 150

# name and type of each column. `time` is in microseconds since 1970 (UTC), in a Parquet file a timestamp; `input` and
# `output` are the bodies as text; `label` is JSON; without a `row` a label is the whole request's
COLUMNS: dict[str, tuple[tuple[str, str], ...]] = {
    PREDICTIONS: (
        *(("time", "time"), ("request_id", "text"), ("model", "text"), ("version", "int"), ("release", "text")),
        *(("engine", "text"), ("worker", "text"), ("status", "int"), ("rows", "int"), ("seconds", "float")),
        *(("path", "text"), ("content_type", "text"), ("input", "text"), ("output", "text")),
    ),
    FEEDBACK: (("time", "time"), ("request_id", "text"), ("row", "int"), ("label", "text")),
}


def folder_of(root: Path, environment: str, model: str) -> Path:
    """The folder of one model's logged predictions in one environment, whatever the two are called."""
    return root / _as_name(environment) / _as_name(model)


def days_folder(folder: Path, kind: str, day: str) -> Path:
    """Where the Parquet files of one day (`2026-11-23`, UTC) lie."""
    return folder / kind / f"day={day}"


def _as_name(told: str) -> str:
    """A file name that no other text has: a long one ends with its digest."""
    name = quote(told, safe=" @+=")
    name = name if not name.startswith(".") else "%2E" + name[1:]
    if name and len(name) <= _LONGEST_NAME:
        return name
    return f"{name[:_LONGEST_NAME]}-{hashlib.sha256(told.encode()).hexdigest()[:32]}"


@dataclass(frozen=True, slots=True)
class Label:
    """What turned out to be right for a prediction, as JSON text; `row` is null when it is for the whole request."""

    time: datetime
    label: str
    row: int | None = None


@dataclass(frozen=True, slots=True)
class LoggedPrediction:
    """One answered request with its bodies and the labels that came for its id, the oldest first.

    `seconds` is how long the answer took, from the first byte of the request.
    """

    time: datetime
    request_id: str
    model: str
    version: int
    release: str
    engine: str
    status: int
    rows: int
    seconds: float
    content_type: str
    input: str
    output: str
    labels: tuple[Label, ...] = ()


@dataclass(frozen=True, slots=True)
class PredictionPage:
    """The predictions of one day, the newest first. `after` asks for those before them, and is empty at the end."""

    model: str
    environment: str
    day: str
    predictions: tuple[LoggedPrediction, ...]
    after: str = ""
