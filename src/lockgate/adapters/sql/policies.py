"""The policy rows, and the parsed policy of each so that a text is read once."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import datetime

from sqlalchemy import Connection, bindparam, insert, select

from lockgate.adapters.sql.rows import who_columns
from lockgate.adapters.sql.tables import policies
from lockgate.domain.errors import BadInput
from lockgate.domain.identity import Who
from lockgate.domain.policy import Policy
from lockgate.usecases.adoption_ports import ADOPTED, Adoption

ParsePolicy = Callable[[str | None], Policy]


class ParsedPolicies:
    """Reads policy texts, each once in the life of the process."""

    def __init__(self, parse: ParsePolicy) -> None:
        self._parse = parse
        self._by_digest: dict[str | None, Policy] = {}

    def known(self, digest: str | None) -> Policy | None:
        """The policy read from the text with this digest (None: the built-in one), if it was read before."""
        return self._by_digest.get(digest)

    def read(self, digest: str | None, text: str | None) -> Policy:
        """Read a text and keep it. Raises BadInput when it is no policy."""
        return self._by_digest.setdefault(digest, self._parse(text))


_TEXT_OF = select(policies.c.text).where(policies.c.digest == bindparam("of")).order_by(policies.c.id).limit(1)
_NEWEST = select(policies.c.digest).order_by(policies.c.id.desc()).limit(1)


class SqlPolicies:
    """`Policies`. The newest row is in force; without one the built-in policy is.

    On an adopted database nothing is served that no policy names.
    """

    def __init__(self, connection: Connection, parsed: ParsedPolicies, adoption: Adoption) -> None:
        self._connection = connection
        self._parsed = parsed
        self._adoption = adoption
        self._in_force: Policy | None = None

    def in_force(self) -> Policy:
        """The same one throughout the transaction."""
        if self._in_force is None:
            digest = self._connection.execute(_NEWEST).scalar()
            policy = self._parsed.known(digest) or self._parsed.read(digest, self.text())
            adopted = self._adoption.begun() == ADOPTED
            self._in_force = replace(policy, serves_unasked=False) if adopted else policy
        return self._in_force

    def of_digest(self, digest: str) -> Policy | None:
        known = self._parsed.known(digest)
        if known is None:
            text = self._connection.execute(_TEXT_OF, {"of": digest}).scalar()
            if text is None:
                builtin = self._parsed.known(None) or self._parsed.read(None, None)
                return builtin if builtin.digest == digest else None
            known = self._parsed.read(digest, text)
        if known.digest != digest:
            raise BadInput(
                f"The text of the policy {digest} was changed after it was applied: its digest is {known.digest} now.",
                hint="Compare it with an export of the record, or with a backup.",
            )
        return known

    def text(self) -> str | None:
        return self._connection.execute(select(policies.c.text).order_by(policies.c.id.desc()).limit(1)).scalar()

    def apply(self, text: str, digest: str, who: Who, at: datetime) -> None:
        self._in_force = None
        values = {"digest": digest, "text": text, **who_columns("applied_by", who), "applied_at": at}
        self._connection.execute(insert(policies).values(values))
