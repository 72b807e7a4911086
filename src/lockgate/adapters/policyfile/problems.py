"""What is wrong with a policy file, each thing on its line, all of them at once."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from lockgate.domain.errors import BadInput


@dataclass(frozen=True, slots=True)
class Problem:
    """One thing wrong: the line it is on (from 1), the keys that lead to it, what was found and what was expected."""

    line: int
    path: str
    found: str
    expected: str
    hint: str = ""

    def __str__(self) -> str:
        place = f"{self.path}: " if self.path else ""
        told = f"{place}found {self.found}, expected {self.expected}."
        return f"{told} {self.hint}".strip()


class PolicyFileError(BadInput):
    """The policy file cannot be used. `problems` holds everything that is wrong with it, in the order of its lines."""

    def __init__(self, name: str, problems: Sequence[Problem]) -> None:
        self.name = name
        self.problems = tuple(sorted(problems, key=lambda problem: problem.line))
        count = len(self.problems)
        hint = (
            "Nothing was changed. Correct the file and try again."
            if count == 1
            else f"{count} problems; nothing was changed."
        )
        super().__init__("\n".join(f"{name}:{problem.line}: {problem}" for problem in self.problems), hint=hint)

    def __str__(self) -> str:
        return f"{self.message}\n{self.hint}"
