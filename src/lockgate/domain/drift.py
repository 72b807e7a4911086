"""What MLflow's tables say otherwise than Lockgate's rows, in words, and the command that settles it.

Only somebody who wrote past Lockgate makes such a difference: a stock MLflow server on the same database, or SQL.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from lockgate.domain.stages import Stage
from lockgate.domain.versions import VersionRef


class Kind(StrEnum):
    """What was changed."""

    STAGE = "stage"
    ALIAS = "alias"
    VERSION_DELETED = "version deleted"
    MODEL_GONE = "model gone"
    MODEL_REPLACED = "model replaced"


DELETIONS = frozenset({Kind.VERSION_DELETED, Kind.MODEL_GONE, Kind.MODEL_REPLACED})


@dataclass(frozen=True, slots=True)
class Difference:
    """One difference: what Lockgate holds, and what MLflow's tables say (both empty where there is nothing).

    `version` is the one Lockgate's row is about. For an alias `stage` is the one it is bound to, and `held` and `found`
    are version numbers.
    """

    kind: Kind
    model: str
    version: int | None = None
    stage: Stage | None = None
    alias: str = ""
    held: str = ""
    found: str = ""

    @property
    def key(self) -> str:
        """The same for the same difference, whenever it is seen."""
        about = self.alias or ("" if self.version is None else str(self.version))
        return f"{self.kind}|{about}|{self.held}|{self.found}"

    @property
    def subject(self) -> str:
        """The version as people write it, else the model."""
        return self.model if self.version is None else str(VersionRef(self.model, self.version))

    @property
    def because(self) -> str:
        """What differs, in a sentence."""
        match self.kind:
            case Kind.STAGE:
                return f"Lockgate holds {self.subject} in stage {self.held}, MLflow's column says {self.found}."
            case Kind.ALIAS:
                held = f"{self.model}@{self.held} as the primary of {self.stage}"
                held = held if self.held else f"no primary of {self.stage}"
                found = f"names {self.model}@{self.found}" if self.found else "is gone"
                return f"Lockgate holds {held}, MLflow's alias {self.alias} of {self.model} {found}."
            case Kind.VERSION_DELETED:
                return f"Lockgate holds {self.subject} in stage {self.held}, MLflow's version was deleted."
            case Kind.MODEL_GONE:
                return f"Lockgate holds the model {self.model}, MLflow has none of that name: deleted or renamed."
            case Kind.MODEL_REPLACED:
                return f"MLflow's model {self.model} is another one than Lockgate holds: deleted and made anew."

    @property
    def restore(self) -> str:
        """The command that puts MLflow's tables right again; empty where none can."""
        if self.kind is Kind.STAGE:
            return f"lockgate promote {self.subject} --to {self.held.lower()}"
        if self.kind is Kind.ALIAS and self.held:
            return f"lockgate promote {self.model}@{self.held} --to {str(self.stage).lower()}"
        if self.kind is Kind.ALIAS:
            return f"client.delete_registered_model_alias({self.model!r}, {self.alias!r})"
        return ""

    @property
    def accept(self) -> str:
        """The command that makes it so here too: through the gates where it is a move; empty where none can."""
        if self.kind in DELETIONS:
            return f"lockgate drift {self.model} --accept --reason …"
        if self.kind is Kind.STAGE and _is_stage(self.found):
            return f"lockgate promote {self.subject} --to {self.found.lower()}"
        if self.kind is Kind.ALIAS and self.found:
            return f"lockgate promote {self.model}@{self.found} --to {str(self.stage).lower()}"
        if self.kind is Kind.ALIAS:
            return f"lockgate promote {self.model}@{self.held} --to archived"
        return ""


def _is_stage(word: str) -> bool:
    return any(word == stage.value for stage in Stage)
