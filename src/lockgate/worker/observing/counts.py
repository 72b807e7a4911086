"""The numbers of one worker, in a file that the other workers of the group read, and that outlives the worker.

A file is one line of JSON, filled up with spaces to `_HEAD` bytes, that says whose numbers these are and how they lie,
then the numbers: float64 in the machine's order. It is mapped, so that counting is a write to memory, and what was
counted is there after a kill -9. As long as the worker lives it holds a lock on the file: the kernel lets go of it
however the worker ends.
"""

from __future__ import annotations

import fcntl
import json
import mmap
import os
import struct
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path

from lockgate.worker.observing.families import FAMILIES, GAUGE, SIZE, Family

_HEAD = 16 * 1024
_SUFFIX = ".counts"
_GONE = "gone" + _SUFFIX
_LOCK = "counts.lock"
_REMEMBERED = 100
_LARGEST = 1024 * 1024  # of a file that is read: ours are a few kilobytes


@dataclass(frozen=True)
class Told:
    """What one file says: who counted, whether that worker lives, and the numbers of each family.

    `includes` are the names of files that were added to these numbers and count no more themselves.
    """

    labels: dict[str, str]
    alive: bool
    numbers: dict[Family, list[float]]
    includes: tuple[str, ...] = ()


class Counts:
    """The numbers of this process. `cells` is written by index; where a family begins says `families.offsets`."""

    def __init__(self, folder: Path, worker: str, labels: Mapping[str, str]) -> None:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        _put_together(folder)
        fresh = folder / f"{worker}.new"
        self._file = os.open(fresh, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        # locked and written before others see it: to them a file without a lock is one of the dead
        fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        os.truncate(self._file, _HEAD + 8 * SIZE)
        self._map = mmap.mmap(self._file, _HEAD + 8 * SIZE)
        self.cells = memoryview(self._map)[_HEAD:].cast("d")
        self.label(labels)
        fresh.rename(folder / f"{worker}{_SUFFIX}")

    def label(self, labels: Mapping[str, str]) -> None:
        """Say whose numbers these are. Raises ValueError when the labels are longer than a file has room for."""
        self._map[:_HEAD] = _head(labels, FAMILIES)

    def close(self) -> None:
        """Count no more. The numbers stay in the group's folder."""
        self.cells.release()
        self._map.close()
        os.close(self._file)


def read(folder: Path) -> list[Told]:
    """What all workers of a group counted, dead ones too. A file that cannot be read is left out."""
    # the sums of the dead are read last: what was put into them meanwhile is named there, and counted once
    files = sorted(_files(folder), key=lambda path: path.name == _GONE)
    found = [(path, told) for path in files if (told := _read(path))]
    if not any(path.name == _GONE for path, _ in found) and (told := _read(folder / _GONE)):
        found.append((folder / _GONE, told))
    names = {name for _, told in found for name in told.includes}
    return [told for path, told in found if path.name not in names]


def _files(folder: Path) -> list[Path]:
    return sorted(path for path in folder.glob(f"*{_SUFFIX}") if path.is_file())


def _head(labels: Mapping[str, str], families: tuple[Family, ...], includes: tuple[str, ...] = ()) -> bytes:
    told = {"labels": dict(labels), "families": [asdict(family) for family in families], "includes": includes}
    line = json.dumps(told).encode()
    if len(line) >= _HEAD:
        raise ValueError(f"The labels of a worker's metrics take {len(line)} bytes, and {_HEAD - 1} are the limit.")
    return line.ljust(_HEAD - 1) + b"\n"


def _read(path: Path) -> Told | None:
    try:
        with path.open("rb") as file:
            raw = file.read(_LARGEST)
            alive = path.name != _GONE and not _let_go(file.fileno())
        head = json.loads(raw[:_HEAD])
        families = [Family.of(told) for told in head["families"]]
        numbers = struct.unpack_from(f"={sum(family.size for family in families)}d", raw, _HEAD)
        includes = tuple(map(str, head["includes"]))
        labels = {str(name): str(value) for name, value in head["labels"].items()}
    except (OSError, ValueError, KeyError, TypeError, AttributeError, struct.error):
        return None
    split: dict[Family, list[float]] = {}
    at = 0
    for family in families:
        split[family] = list(numbers[at : at + family.size])
        at += family.size
    return Told(labels, alive, split, includes)


def _let_go(file: int) -> bool:
    """Whether no process holds the lock that a living worker has."""
    try:
        fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except OSError:
        return False
    return True


def _put_together(folder: Path) -> None:
    """Add the numbers of workers that are gone to one file, so that a worker that keeps dying leaves no heap of them.

    The one file names those it includes: whoever ends between writing it and removing them counts nothing twice.
    """
    with _turn(folder) as ours:
        if not ours:
            return
        files = {path.name: told for path in _files(folder) if (told := _read(path))}
        before = files.pop(_GONE, None)
        included = before.includes if before else ()
        dead = {name: told for name, told in files.items() if not told.alive and name not in included}
        # files of another release of this software may count other things: they stay as they are
        if any(tuple(told.numbers) != FAMILIES for told in (*dead.values(), *([before] if before else []))):
            return
        if dead:
            sums = _added([*([before] if before else []), *dead.values()])
            included = (*included, *dead)[-_REMEMBERED:]
            labels = next(iter(dead.values())).labels
            fresh = folder / f"{_GONE}.new"
            fresh.write_bytes(_head(labels, FAMILIES, included) + struct.pack(f"={SIZE}d", *sums))
            fresh.chmod(0o600)
            fresh.replace(folder / _GONE)
        for name in included:
            (folder / name).unlink(missing_ok=True)


def _added(all_told: list[Told]) -> list[float]:
    sums: list[float] = []
    for family in FAMILIES:
        columns = zip(*(told.numbers[family] for told in all_told), strict=True)
        sums += [0.0 if family.kind == GAUGE else sum(column) for column in columns]
    return sums


@contextmanager
def _turn(folder: Path) -> Iterator[bool]:
    """Whether nobody else puts the files together now. The next worker that starts will."""
    file = os.open(folder / _LOCK, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        yield True
    except BlockingIOError:
        yield False
    finally:
        os.close(file)
