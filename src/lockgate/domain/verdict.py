"""The answer of the gates: each with its standing, its reason and the next command."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any


class Standing(StrEnum):
    """Three standings, not two: needing one more approval is different news from being worse."""

    HOLDS = "holds"
    WAITS = "waits"
    FAILS = "fails"


class Level(StrEnum):
    """How much a gate's standing counts: recorded only, shown as a warning, or binding."""

    OBSERVE = "observe"
    WARN = "warn"
    ENFORCE = "enforce"


@dataclass(frozen=True, slots=True)
class Gate:
    """One rule judged on the evidence."""

    name: str
    standing: Standing
    because: str
    seen: str = ""
    required: str = ""
    next: str = ""
    level: Level = Level.ENFORCE

    @property
    def binds(self) -> bool:
        """Whether this gate stops the move."""
        return self.level is Level.ENFORCE and self.standing is not Standing.HOLDS

    def as_plain(self) -> dict[str, str]:
        """The shape that is stored and sent."""
        return {
            "name": self.name,
            "standing": self.standing.value,
            "level": self.level.value,
            "because": self.because,
            "seen": self.seen,
            "required": self.required,
            "next": self.next,
        }

    @classmethod
    def from_plain(cls, plain: Mapping[str, Any]) -> Gate:
        return cls(
            name=plain["name"],
            standing=Standing(plain["standing"]),
            level=Level(plain["level"]),
            because=plain["because"],
            seen=plain.get("seen", ""),
            required=plain.get("required", ""),
            next=plain.get("next", ""),
        )


@dataclass(frozen=True, slots=True)
class Verdict:
    """All gates of one transition, judged together, so that one reading shows everything that is missing."""

    gates: tuple[Gate, ...]

    @property
    def standing(self) -> Standing:
        """What the gates that bind say together: one failure fails, else one wait waits."""
        return worst(gate for gate in self.gates if gate.binds)

    @property
    def would_be(self) -> Standing:
        """What the answer would have been with every gate enforced."""
        return worst(self.gates)

    @property
    def open(self) -> tuple[Gate, ...]:
        """The gates that do not hold, binding or not."""
        return tuple(gate for gate in self.gates if gate.standing is not Standing.HOLDS)

    @property
    def binding(self) -> tuple[Gate, ...]:
        """The gates that stop the move."""
        return tuple(gate for gate in self.gates if gate.binds)

    def as_plain(self) -> dict[str, Any]:
        return {
            "standing": self.standing.value,
            "would_be": self.would_be.value,
            "gates": [gate.as_plain() for gate in self.gates],
        }

    @classmethod
    def from_plain(cls, plain: Mapping[str, Any]) -> Verdict:
        return cls(tuple(Gate.from_plain(gate) for gate in plain["gates"]))


def worst(gates: Iterable[Gate]) -> Standing:
    """What the gates say together: one failure fails, else one wait waits."""
    standings = {gate.standing for gate in gates}
    if Standing.FAILS in standings:
        return Standing.FAILS
    return Standing.WAITS if Standing.WAITS in standings else Standing.HOLDS
