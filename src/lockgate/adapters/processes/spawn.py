"""Starting a worker: a program with nothing of ours but what it needs."""

from __future__ import annotations

import os
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from lockgate.usecases.program_ports import Child, ProgramOrder, Programs
from lockgate.wire.workers import WorkerConfig

_MODULE = "lockgate.worker"


@dataclass(slots=True)
class Started:
    """A worker that waits to be told what to do. `told` is the end of its standard input that is ours."""

    child: Child
    told: int

    def tell(self, config: WorkerConfig) -> None:
        """Give it its configuration. One that died meanwhile is found dead by the next look."""
        with suppress(OSError), os.fdopen(self.told, "wb") as line:
            line.write(config.encode())

    def tell_nothing(self) -> None:
        """Let it end without having done anything."""
        os.close(self.told)
        self.child.let_go()


def start(programs: Programs, config: WorkerConfig, log: Path, python: str | None = None) -> Started:
    """Start the program. It does nothing until it is told its configuration.

    Raises OSError when no process can be started, Unavailable for an interpreter that cannot run it.
    """
    theirs, ours = os.pipe()
    try:
        with log.open("ab") as output:
            child = programs.start(
                ProgramOrder(
                    module=_MODULE,
                    folder=Path(config.folder) / "scratch",
                    input=theirs,
                    output=output.fileno(),
                    inherit=(config.listener_fd,),
                    python=python,
                )
            )
    except BaseException:
        os.close(ours)
        raise
    finally:
        os.close(theirs)
    return Started(child, ours)
