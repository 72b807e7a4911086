"""The columns that say who advances a row, and the time that leases are measured with."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from typing import Any

from sqlalchemy import Connection

Now = Callable[[Connection], datetime]


def leased(owner: str | None, until: datetime | None) -> dict[str, Any]:
    """The columns of a lease: to this owner until then, or to nobody."""
    return {"lease_owner": owner, "lease_until": until}
