"""What it takes to start a program that holds somebody's model, and what its starter knows of it afterwards."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Protocol


@dataclass(frozen=True, slots=True)
class ProgramOrder:
    """One program of the worker's room: what `python -m module` with `arguments` would run.

    It starts in `folder`, which is its home too. `input` and `output` are descriptors of ours that become its standard
    input, and its standard output and error; those in `inherit` keep their numbers, and it gets no others. `python` is
    another interpreter to run it with.
    """

    module: str
    folder: Path
    input: int
    output: int
    arguments: tuple[str, ...] = ()
    inherit: tuple[int, ...] = ()
    python: str | None = None


class Child(Protocol):
    """A started program, in a session of its own. Until `let_go` its number can come to mean no other process."""

    @property
    def pid(self) -> int: ...

    @property
    def ended(self) -> bool:
        """Whether it is over."""
        ...

    @property
    def code(self) -> int | None:
        """Its exit code, minus the signal's number if one ended it. None while it runs, or when nobody can tell."""
        ...

    def wait(self, seconds: float) -> bool:
        """Wait for its end. False when it still runs after `seconds`."""
        ...

    def let_go(self) -> None:
        """Forget it, without ending it. Safe to repeat."""
        ...


class Programs(Protocol):
    """Starts programs with nothing of ours but what they are given."""

    def ready(self) -> bool:
        """Whether `start` takes no more than a moment now. If not, it soon will: asking is what gets it ready."""
        ...

    def start(self, order: ProgramOrder) -> Child:
        """Start it. Raises OSError when no process can be started, Unavailable for an interpreter that cannot run it.

        The descriptors stay open here: they are the caller's to close.
        """
        ...
