"""The stages of a version, the alias bound to each, and how MLflow and people write them."""

from __future__ import annotations

from enum import StrEnum

from lockgate.domain.errors import BadInput


class Stage(StrEnum):
    """MLflow's four stages, spelled as MLflow spells them."""

    NONE = "None"
    STAGING = "Staging"
    PRODUCTION = "Production"
    ARCHIVED = "Archived"

    @classmethod
    def parse(cls, written: object) -> Stage:
        """Read a stage in any capitals. Raises BadInput naming the four."""
        for stage in cls:
            # a missing stage (null in JSON) is not the stage None
            if isinstance(written, str) and stage.value.lower() == written.lower():
                return stage
        names = ", ".join(stage.value for stage in cls)
        raise BadInput(f"Invalid Model Version stage: {written}.", hint=f"Value must be one of {names}.")

    @property
    def is_gated(self) -> bool:
        """Whether gates are judged on the way in: leaving and archiving are always allowed."""
        return self in GATED


GATED = frozenset({Stage.STAGING, Stage.PRODUCTION})
DEFAULT_ALIASES = {Stage.STAGING: "staging", Stage.PRODUCTION: "production"}
