"""What a worker is told of others that answer in its environment, and of further versions of its own model."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any


@dataclass(frozen=True, slots=True)
class Place:
    """Where the model of an endpoint is answered: the folders of its workers, and the address they accept on."""

    endpoint: str
    model: str
    host: str
    port: int
    folders: tuple[str, ...]

    def plain(self) -> dict[str, Any]:
        """As JSON."""
        return asdict(self)

    @classmethod
    def of(cls, told: Mapping[str, Any]) -> Place:
        """Read what `plain` gave. Raises KeyError, TypeError or ValueError when it is something else."""
        folders = tuple(map(str, told["folders"]))
        return cls(str(told["endpoint"]), str(told["model"]), str(told["host"]), int(told["port"]), folders)


@dataclass(frozen=True, slots=True)
class Beside:
    """A further version of the endpoint's model that may answer.

    One that is `apart` is answered by the workers of `folders`; any other the worker that is told loads into its own
    process. The rest is what it takes to load it, as in `WorkerConfig`.
    """

    version: int
    release: str
    digest: str
    artifacts: str
    engine: str
    apart: bool = False
    converted: str = ""
    converted_digest: str = ""
    folders: tuple[str, ...] = ()

    def plain(self) -> dict[str, Any]:
        """As JSON."""
        return asdict(self)

    @classmethod
    def of(cls, told: Mapping[str, Any]) -> Beside:
        """Read what `plain` gave. Raises KeyError, TypeError or ValueError when it is something else."""
        texts = ("release", "digest", "artifacts", "engine", "converted", "converted_digest")
        folders = tuple(map(str, told["folders"]))
        apart = bool(told["apart"])
        return cls(int(told["version"]), apart=apart, folders=folders, **{name: str(told[name]) for name in texts})
