"""What every change must leave on the record: an entry in its own transaction, with all that the reference says."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import event

from lockgate.adapters.sql.store import SqlStore, SqlWork
from lockgate.domain.audit import FORMAT
from lockgate.usecases.ports import Recorded

EVENTS = Path(__file__).resolve().parents[3] / "docs" / "reference" / "events.md"
WHO = {"name", "verified", "via", "kind", "address", "request", "token"}
FIELDS = {
    *("format", "chain", "number", "previous", "at", "who", "action"),
    *("model", "version", "before", "after", "reason", "detail"),
}
# what the registry is, who may change it, and by which rules: none of it changes without an entry. The progress of
# promotions and validations, what agents see, queues and copies are no acts of anybody's
GUARDED = {
    *("registered_models", "model_versions", "registered_model_tags", "model_version_tags"),
    *("registered_model_aliases", "workspaces"),
    *("lockgate_versions", "lockgate_stays", "lockgate_artifacts", "lockgate_releases"),
    *("lockgate_approval_requests", "lockgate_approvals", "lockgate_delegations", "lockgate_break_glass"),
    *("lockgate_policies", "lockgate_policy_proposals", "lockgate_subscriptions", "lockgate_checks"),
    *("lockgate_people", "lockgate_grants", "lockgate_holds", "lockgate_retention"),
}
_CHANGED = re.compile(r"\b(?:INSERT INTO|UPDATE|DELETE FROM)\s+\"?(\w+)")


@dataclass
class Watch:
    """Transactions that changed something guarded, and wrote no entry."""

    silent: list[set[str]] = field(default_factory=list)
    looked_at: int = 0
    off: bool = False

    @contextmanager
    def looking_away(self) -> Iterator[None]:
        """What a test puts there itself is nobody's act."""
        self.off = True
        yield
        self.off = False


def watching(monkeypatch: pytest.MonkeyPatch) -> Watch:
    """Look at every transaction of Lockgate's own from now on."""
    watch, plain = Watch(), SqlStore.changing

    @contextmanager
    def changing(store: SqlStore) -> Iterator[SqlWork]:
        changed: set[str] = set()

        def note(_connection: Any, cursor: Any, statement: str, _values: Any, _context: Any, _many: bool) -> None:
            if cursor.rowcount != 0:
                changed.update(_CHANGED.findall(statement))

        with plain(store) as work:
            connection = work.connection
            event.listen(connection, "after_cursor_execute", note)
            yield work
        if not watch.off:
            watch.looked_at += 1
            if changed & GUARDED and "lockgate_audit" not in changed:
                watch.silent.append(changed)

    monkeypatch.setattr(SqlStore, "changing", changing)
    return watch


@cache
def rows() -> Mapping[str, str]:
    """By action, what its line in the reference says of before and after."""
    cells = [row.split("|") for row in EVENTS.read_text(encoding="utf-8").splitlines() if row.startswith("| `")]
    return {
        action: row[3].strip() for row in cells if len(row) > 4 for action in re.findall(r"`([a-z]+:[a-z-]+)`", row[1])
    }


def faults(entries: Iterable[Recorded], of_requests: bool = True) -> list[str]:
    """What is missing in an entry: a field, the caller's address and request, a before or an after it should have."""
    found = []
    for entry in entries:
        plain, action = entry.plain, str(entry.plain["action"])
        who = plain["who"]
        assert isinstance(who, Mapping)
        told = f"{action} {plain['before']!r} -> {plain['after']!r}"
        if plain.keys() != FIELDS or who.keys() != WHO or plain["format"] != FORMAT:
            found.append(f"{told}: not the fields of format {FORMAT}")
        if of_requests and who["name"] != "lockgate" and not (who["address"] and who["request"]):
            found.append(f"{told}: by {who}, from nowhere")
        before, arrow, after = rows().get(action, "").partition("→")
        if arrow and before.strip() and plain["before"] == "":
            found.append(f"{told}: nothing before it")
        if arrow and after.strip() and plain["after"] == "":
            found.append(f"{told}: nothing after it")
    return found
