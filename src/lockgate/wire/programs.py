"""What is said on the socket of the fork server: one JSON object a packet.

Who connects is greeted as soon as the server can fork. A connection that then stays silent keeps the server alive. One
that sends an order, with the descriptors of the program's standard input, its output and what it inherits, stands for
that program from then on: it is told the exit code, and closing it lets the program go.
"""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from typing import Any

LONGEST_PACKET = 128 * 1024
MOST_DESCRIPTORS = 16


@dataclass(frozen=True, slots=True)
class ForkOrder:
    """One program to fork: a module of the worker's room, and its whole environment. `inherit` are the numbers that the
    descriptors after the first two get.
    """

    module: str
    arguments: tuple[str, ...]
    folder: str
    environment: dict[str, str]
    inherit: tuple[int, ...]

    def encode(self) -> bytes:
        """As JSON."""
        return json.dumps(asdict(self)).encode()

    @classmethod
    def decode(cls, raw: bytes) -> ForkOrder:
        """Read what `encode` wrote. Raises ValueError, KeyError or TypeError when it is something else."""
        told: dict[str, Any] = json.loads(raw)
        return cls(
            module=str(told["module"]),
            arguments=tuple(map(str, told["arguments"])),
            folder=str(told["folder"]),
            environment={str(name): str(value) for name, value in told["environment"].items()},
            inherit=tuple(map(int, told["inherit"])),
        )


@dataclass(frozen=True, slots=True)
class ForkAnswer:
    """What the fork server says. Each answer has one field: `greeting` is its process number, `pid` comes with a pidfd,
    `refused` says why it may not fork now, `error` is the number and the text of an OSError, `code` is an exit code.
    """

    greeting: int | None = None
    pid: int | None = None
    refused: str | None = None
    error: tuple[int, str] | None = None
    code: int | None = None

    def encode(self) -> bytes:
        """As JSON."""
        return json.dumps({name: value for name, value in asdict(self).items() if value is not None}).encode()

    @classmethod
    def decode(cls, raw: bytes) -> ForkAnswer:
        """Read what `encode` wrote. Raises ValueError or TypeError when it is something else."""
        told: dict[str, Any] = json.loads(raw)
        if error := told.get("error"):
            told["error"] = (int(error[0]), str(error[1]))
        return cls(**told)
