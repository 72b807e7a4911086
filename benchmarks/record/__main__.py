"""Measures a record of many entries: `python -m benchmarks.record [--entries 1000000] [--keep FOLDER]`.

It is made in a temporary folder with SQLite, or lies in FOLDER from an earlier run. The offline check runs in a process
of its own, whose memory is told too.
"""

from __future__ import annotations

import argparse
import random
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from functools import partial
from pathlib import Path

from lockgate.adapters.keys.ed25519 import check
from lockgate.adapters.keys.files import FileKeys
from lockgate.adapters.policyfile import parse_policy
from lockgate.adapters.sql.engine import make_engine
from lockgate.adapters.sql.queue import SqlQueue
from lockgate.adapters.sql.schema import prepare
from lockgate.adapters.sql.sequencing import SqlSequencing
from lockgate.adapters.sql.store import SqlStore
from lockgate.adapters.system import SortableIds, SystemClock
from lockgate.domain.audit import Entry
from lockgate.domain.canonical import Plain
from lockgate.domain.identity import Who
from lockgate.testing.artifacts import ArtifactsInMemory
from lockgate.usecases import export, keys, sequence
from lockgate.usecases.ports import Ports
from lockgate.usecases.verify_record import verify
from lockgate.wiring import fast_json

CHAINS = 200
AT_ONCE = 1_000
SIGN_EVERY = 5_000
PROOFS = 200
WHO = Who("ann", verified=True, via="api", address="192.0.2.7", request="req-06fz3k1pn-8wq2r")
DETAIL: dict[str, Plain] = {
    "promotion": "prm-06fz3k1pn-8wq2r",
    "kind": "promote",
    "plan": "sha256:" + "5" * 64,
    "policy": "sha256:" + "6" * 64,
    "gates": [{"name": "min_accuracy", "standing": "holds", "level": "enforce"}] * 3,
}


def main() -> None:
    """Make the record if it is not there, and measure."""
    reader = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    reader.add_argument("--entries", type=int, default=1_000_000)
    reader.add_argument("--keep", type=Path, help="a folder to keep the record in, for the next run")
    reader.add_argument("--quick", action="store_true", help="20,000 entries, to see that it works")
    told, _ = reader.parse_known_args()  # `make bench` hands all benchmarks the same
    with tempfile.TemporaryDirectory() as temporary:
        folder = told.keep or Path(temporary)
        folder.mkdir(exist_ok=True)
        measure(folder, 20_000 if told.quick else told.entries)


def measure(folder: Path, entries: int) -> None:
    """Print one line for each thing that was measured."""
    engine = make_engine(f"sqlite:///{folder / 'lockgate.db'}")
    prepare(engine)
    store = SqlStore(engine, parse_policy)
    clock = SystemClock()
    held = FileKeys(folder, {})
    ports = Ports(store, SqlQueue(store), ArtifactsInMemory(), clock, SortableIds(), "benchmark", datetime.now(UTC))
    keys.ensure(ports, held, check, signs=True)
    signer, sequencing = held.load(), SqlSequencing(store)
    assert signer is not None
    with store.reading() as work:
        there = work.tree.size()
    if there < entries:
        with timed("write and place", entries - there):
            for begin in range(there, entries, AT_ONCE):
                write(store, min(AT_ONCE, entries - begin), begin)
                while sequence.grow(sequencing, "benchmark"):
                    pass
                if begin % SIGN_EVERY == 0:
                    sequence.sign(store, sequencing, signer, check, "benchmark", clock.now())
        sequence.sign(store, sequencing, signer, check, "benchmark", clock.now())
    with store.reading() as work:
        size = work.tree.size()
        positions = random.Random(7).sample(range(size - 1), min(PROOFS, size - 1))
        places = [work.tree.placed(each, each + 1)[0].linked for each in positions]
    each_took("inclusion proof", [partial(export.prove, store, check, each.chain, each.number) for each in places])
    each_took("consistency proof", [partial(export.consistency, store, each) for each in positions])
    with timed("verify, live", size), store.reading() as work:
        found = verify(work, check)
    assert not found.count, found.breaks[:3]
    file = folder / "record.jsonl"
    with timed("export", size), file.open("wb") as out:
        for line in export.lines(store, check, clock.now(), fast_json()):
            out.write(line)
    print(f"{'the file':<22}{file.stat().st_size / 1e6:>12.0f} MB")
    with timed("verify, offline", size):
        command = [sys.executable, "-m", "lockgate.cli", "audit", "verify", str(file)]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
    print(done.stdout.strip() or done.stderr.strip())
    assert done.returncode == 0
    print(f"{'offline, memory':<22}{resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss / 1024:>12.0f} MB")
    print(f"{'here, memory':<22}{resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024:>12.0f} MB")


def write(store: SqlStore, many: int, begin: int) -> None:
    """So many entries of one model: about what a promotion writes."""
    model = f"model-{begin // AT_ONCE % CHAINS}"
    with store.writing(model) as work:
        work.versions.add_model(model)
        for number in range(many):
            at = datetime.now(UTC)
            work.record.write(
                Entry("version:transitioned", WHO, at, model, number, "Staging", "Production", "a reason", DETAIL)
            )


@contextmanager
def timed(what: str, many: int) -> Iterator[None]:
    """Print how long the block took, and how many of these that is a second."""
    began, cpu = time.perf_counter(), time.process_time()
    yield
    took = time.perf_counter() - began
    print(f"{what:<22}{took:>12.1f} s {time.process_time() - cpu:>10.1f} s CPU {many / took:>12,.0f} /s", flush=True)


def each_took(what: str, calls: Sequence[Callable[[], object]]) -> None:
    """Print how long one of these takes."""
    took = []
    for call in calls:
        began = time.perf_counter()
        call()
        took.append((time.perf_counter() - began) * 1000)
    took.sort()
    print(f"{what:<22}{statistics.median(took):>12.2f} ms median {took[-1]:>8.2f} ms most", flush=True)


if __name__ == "__main__":
    main()
