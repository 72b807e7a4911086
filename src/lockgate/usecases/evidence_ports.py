"""What the use cases need to keep what verdicts were based on."""

from __future__ import annotations

from datetime import datetime
from typing import Protocol

from lockgate.domain.evidence import Evidence


class KeptEvidence(Protocol):
    """Evidence by its digest: written once, never changed."""

    def keep(self, of: Evidence, at: datetime) -> str:
        """Keep it in this transaction, and its digest. The same evidence again changes nothing."""

    def get(self, digest: str) -> Evidence | None:
        """None when it is not kept. Raises BadInput when what is kept is not what has that digest."""
