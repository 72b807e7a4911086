"""What the use cases need of a database that others write too: when the record began, and what differs from it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from lockgate.domain.drift import Difference
from lockgate.domain.policy import Policy
from lockgate.domain.stages import Stage

# the first entry of a database's record says how it came to be ours
MADE, ADOPTED = "database:made", "database:adopted"

# where a version comes from: registered here, there before the record began, or made past Lockgate since
REGISTERED, BEFORE, UNRECORDED = "registered", "before Lockgate", "unrecorded"


@dataclass(frozen=True, slots=True)
class TakenOver:
    """What was there when the record began. `adopted`: MLflow's tables were there before ours."""

    adopted: bool
    models: int = 0
    versions: int = 0


class Adoption(Protocol):
    """When the record of this database began."""

    def begun(self) -> str | None:
        """`database:made` or `database:adopted`; None while the record has not begun."""

    def take_over(self, policy: Policy) -> TakenOver:
        """Give every model and version of MLflow's a row of ours, as MLflow's columns have them, in all workspaces."""


class Drift(Protocol):
    """Where MLflow's tables and our rows differ."""

    def differences(self, model: str | None = None) -> Sequence[Difference]:
        """Of one model, or of the whole workspace; by model and version."""

    def astray(self, model: str, stage: Stage) -> Sequence[tuple[int, Stage]]:
        """The versions that MLflow has in the stage and we have not, each with the stage we hold it in."""

    def workspaces(self) -> Sequence[str]:
        """Every workspace that holds a model."""
