"""What verdicts were based on, kept once under its digest."""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import Connection, bindparam, select

from lockgate.adapters.sql.dialects import insert_if_new
from lockgate.adapters.sql.evidence_tables import evidence
from lockgate.domain.evidence import Evidence, evidence_of


class SqlKeptEvidence:
    """`KeptEvidence`."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    def keep(self, of: Evidence, at: datetime) -> str:
        values = {"digest": of.digest, "text": of.text, "kept_at": at}
        insert_if_new(self._connection, evidence, values, [evidence.c.digest])
        return of.digest

    def get(self, digest: str) -> Evidence | None:
        text = self._connection.execute(_TEXT, {"of": digest}).scalar()
        return None if text is None else evidence_of(text, digest)


# made once: making a statement takes longer than running it
_TEXT = select(evidence.c.text).where(evidence.c.digest == bindparam("of"))
