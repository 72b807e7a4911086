"""What workers are told of one another, in the words of their control socket."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from lockgate.domain.engines import Engine
from lockgate.domain.policy import EngineKind
from lockgate.domain.serving import Release
from lockgate.domain.traffic import Neighbour
from lockgate.usecases.serving_ports import Division
from lockgate.wire.routes import Beside, Place

NO_ROUTES: dict[str, Any] = {"places": []}
NO_SPLIT: dict[str, Any] = {"versions": [], "split": None, "shares": False}
"""What a worker believes that was told nothing."""


def routes(neighbours: Sequence[Neighbour], run: Path) -> dict[str, Any]:
    """The arguments of `ROUTES`. `run` is the folder of all workers."""
    places = (Place(n.endpoint, n.model, n.host, n.port, _folders(n.workers, run)) for n in neighbours)
    return {"places": [place.plain() for place in places]}


def split(division: Division, run: Path, converted: Path) -> dict[str, Any]:
    """The arguments of `SPLIT`. `converted` is the folder of converted models."""
    versions = [
        Beside(
            version=order.release.ref.version,
            release=order.release.id,
            digest=order.release.digest,
            artifacts=str(order.artifacts),
            engine=engine.kind.value,
            converted=engine.file,
            converted_digest=engine.digest,
            apart=order.apart,
            folders=_folders(order.workers, run),
        ).plain()
        for order in division.beside
        for engine in [engine_of(order.release, converted)]
    ]
    rule = division.split.plain() if division.split is not None else None
    return {"versions": versions, "split": rule, "shares": division.shares}


@dataclass(frozen=True, slots=True)
class ToldEngine:
    """What a worker is told of an engine: its kind, and of a converted model the file and what it must hash to."""

    kind: EngineKind
    file: str
    digest: str


def engine_of(release: Release, converted: Path) -> ToldEngine:
    """The engine of a release. `converted` is the folder of converted models."""
    engine = Engine.parse(release.engine)
    file = str((converted / engine.converted.replace(":", "-")).resolve()) if engine.converted else ""
    return ToldEngine(engine.kind, file, engine.converted)


def _folders(workers: Sequence[str], run: Path) -> tuple[str, ...]:
    return tuple(str((run / worker).resolve()) for worker in workers)
