"""Measures the engines of a model in a process of its own, and keeps the converted file that passed."""

from __future__ import annotations

import hashlib
import json
import math
import os
import re
import selectors
import shutil
import tempfile
import time
from pathlib import Path
from typing import Any

from lockgate.adapters.sandbox.program import Program
from lockgate.domain.engines import Figures, Parity
from lockgate.domain.errors import Unavailable
from lockgate.domain.policy import EngineKind
from lockgate.usecases.engine_ports import Measured, MeasureRequest
from lockgate.usecases.program_ports import Programs

_READ = 64 * 1024
_MOST_BYTES = 1024 * 1024
_LONGEST_TEXT = 2000
_LARGEST_FILE = 2**31
_DIGEST = re.compile(r"sha256:[0-9a-f]{64}")


class ProcessBench:
    """Keeps the promises of `Bench`. `scratch` holds a private folder for each run, `kept` the converted files."""

    def __init__(self, scratch: Path, kept: Path, programs: Programs) -> None:
        self._scratch = scratch
        self._kept = kept
        self._programs = programs

    def measure(self, request: MeasureRequest) -> Measured:
        """As in the port. Whatever happens, no process started here is left when it returns."""
        try:
            self._scratch.mkdir(parents=True, exist_ok=True)
            folder = Path(tempfile.mkdtemp(prefix="measure-", dir=self._scratch)).resolve()
        except OSError as error:
            raise _cannot_write(self._scratch, error) from error
        try:
            told = self._run(request, folder)
            return self._keep(told, folder) if told.converted else told
        finally:
            shutil.rmtree(folder, ignore_errors=True)

    def _run(self, request: MeasureRequest, folder: Path) -> Measured:
        pipe, theirs = os.pipe()
        os.set_blocking(pipe, False)
        try:
            try:
                program = Program(
                    self._programs,
                    "lockgate.worker.measure",
                    (str(theirs),),
                    folder,
                    inherit=(theirs,),
                    python=request.runtime,
                )
            finally:
                os.close(theirs)
            try:
                order = {"artifacts": str(request.artifacts), "into": str(folder)}
                program.tell(json.dumps(order).encode() + b"\n")
                return _watched(program, pipe, request.time_limit.total_seconds())
            finally:
                program.end()
        finally:
            os.close(pipe)

    def _keep(self, told: Measured, folder: Path) -> Measured:
        """Put the converted file where workers find it, if it is what it is called: a model wrote there too."""
        name = told.converted.replace(":", "-")
        try:
            written = _plain_file(folder / name)
            if written is None or f"sha256:{hashlib.sha256(written).hexdigest()}" != told.converted:
                return Measured(because="the converted file is not the one that was measured")
            self._kept.mkdir(parents=True, exist_ok=True)
            partial = self._kept / f".{name}.{os.getpid()}"
            with partial.open("wb") as file:
                file.write(written)
                file.flush()
                os.fsync(file.fileno())
            partial.chmod(0o444)
            partial.rename(self._kept / name)
        except OSError as error:
            raise _cannot_write(self._kept, error) from error
        return told


def _plain_file(path: Path) -> bytes | None:
    try:
        # a link would lead to files that only this process can read
        opened = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK)
    except OSError:
        return None
    with os.fdopen(opened, "rb") as file:
        return file.read() if os.fstat(opened).st_size < _LARGEST_FILE else None


def _watched(program: Program, pipe: int, seconds: float) -> Measured:
    answers, end = _Answers(), time.monotonic() + seconds
    with selectors.DefaultSelector() as selector:
        selector.register(pipe, selectors.EVENT_READ, "pipe")
        selector.register(program.output, selectors.EVENT_READ, "output")
        while not answers.is_over:
            if time.monotonic() >= end:
                return Measured(because=f"did not finish within {seconds:g} s (stopped while {answers.phase})")
            ended = program.ended
            for key, _ in selector.select(0.2):
                more = answers.feed(pipe) if key.data == "pipe" else program.read_output()
                if not more:
                    selector.unregister(key.fd)
            if ended and not answers.is_over:
                while answers.feed(pipe) and not answers.is_over:
                    pass
                if not answers.is_over:
                    words = program.last_words()
                    because = f"the process ended with {program.how_it_ended()} while {answers.phase}"
                    return Measured(because=because + (f"; it last said: {words}" if words else ""))
    return answers.told


class _Answers:
    """What the child said so far, taken with suspicion: a model runs in that process and may say anything."""

    def __init__(self) -> None:
        self.phase = "starting"
        self.is_over = False
        self.told = Measured()
        self._figures: dict[EngineKind, Figures] = {}
        self._buffer = b""
        self._bytes = 0

    def feed(self, pipe: int) -> bool:
        """Take what came. False when there is nothing now, or nothing more."""
        try:
            chunk = os.read(pipe, _READ)
        except BlockingIOError:
            return True if not self._bytes else self._nothing()
        self._bytes += len(chunk)
        *lines, self._buffer = (self._buffer + chunk).split(b"\n")
        for line in lines:
            if self.is_over:
                break
            try:
                if self._bytes > _MOST_BYTES:
                    raise ValueError("too much")
                self._take(json.loads(line))
            except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
                self._end(Measured(because=f"the measuring answered with something strange, while {self.phase}"))
        return bool(chunk)

    def _nothing(self) -> bool:
        return False

    def _take(self, event: dict[str, Any]) -> None:
        match event["event"]:
            case "doing":
                self.phase = _text(event["phase"])
            case "figures":
                figures = _figures(event)
                self._figures[figures.engine] = figures
            case "error":
                self._end(Measured(because=_text(event["because"])))
            case "done":
                converted = _text(event["converted"])
                onnx = self._figures.get(EngineKind.ONNX)
                passed = onnx is not None and onnx.parity is not None and onnx.parity.passed
                if converted and (not passed or not _DIGEST.fullmatch(converted)):
                    raise ValueError("a converted file that did not pass")
                self._end(Measured(tuple(self._figures.values()), converted))
            case _:
                raise ValueError("unknown event")

    def _end(self, told: Measured) -> None:
        self.told, self.is_over = told, True


def _figures(event: dict[str, Any]) -> Figures:
    parity = event["parity"]
    return Figures(
        engine=EngineKind(event["engine"]),
        applies=event["applies"] is True,
        because=_text(event["because"]),
        how=_text(event["how"]),
        one_row_us=_number(event["one_row_us"]),
        one_row_p95_us=_number(event["one_row_p95_us"]),
        hundred_rows_us=_number(event["hundred_rows_us"]),
        rows_per_second=_number(event["rows_per_second"]),
        parity=None if parity is None else _parity(parity),
    )


def _parity(told: dict[str, Any]) -> Parity:
    rows, turning, different, fine = (int(_number(told[name])) for name in ("rows", "turning", "different", "fine"))
    return Parity(rows, turning, different, fine, _number(told["largest"]), told["passed"] is True)


def _number(value: Any) -> float:
    if not isinstance(value, (int, float)) or isinstance(value, bool) or not math.isfinite(value) or value < 0:
        raise TypeError("expected a number")
    return float(value)


def _text(value: Any) -> str:
    if not isinstance(value, str):
        raise TypeError("expected text")
    # half a surrogate pair can be written in JSON and nowhere else
    return value[:_LONGEST_TEXT].encode(errors="replace").decode()


def _cannot_write(folder: Path, error: OSError) -> Unavailable:
    return Unavailable(
        f"The folder {folder} cannot be written: {error.strerror or error}.",
        hint="Make room or give Lockgate's user the right to write there, then try again.",
    )
