"""The audit log and the outbox: entries linked under the head of their chain, in the transaction they tell of."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from datetime import datetime
from itertools import groupby
from operator import itemgetter
from typing import Any

import orjson
from sqlalchemy import (
    ColumnElement,
    Connection,
    Row,
    Select,
    String,
    bindparam,
    cast,
    exists,
    insert,
    literal,
    select,
    update,
)

from lockgate.adapters.sql.dialects import hold_rows_of, is_sqlite
from lockgate.adapters.sql.names import DEFAULT_WORKSPACE, Names, chain_of
from lockgate.adapters.sql.tables import audit, chains, models
from lockgate.adapters.sql.webhooks import SqlWebhooks
from lockgate.domain.audit import FORMAT, SYSTEM, Break, ChainWalk, Entry, Linked, breaks, link
from lockgate.domain.canonical import Codec
from lockgate.domain.removals import Removals
from lockgate.usecases.ports import Recorded

_AT_A_TIME = 1_000
_CODEC = Codec(orjson.loads, lambda value: orjson.dumps(value, option=orjson.OPT_SORT_KEYS))
_INSERT = insert(audit)
_HEAD = select(chains.c.number, chains.c.hash).where(chains.c.chain == bindparam("of"))
_MOVE = (
    update(chains)
    .where(chains.c.chain == bindparam("chain_"))
    .values(number=bindparam("number_"), hash=bindparam("hash_"))
)
# numbered by the database, and set when the text is removed
_NOT_WRITTEN = frozenset({audit.c.id, audit.c.pruned_at})
_IN_CHAINS: Select[Any] = select(
    *(audit.c.chain, audit.c.number, audit.c.hash, audit.c.text),
    *(audit.c.at, audit.c.action, audit.c.model, audit.c.version),
).order_by(audit.c.chain, audit.c.number, audit.c.id)
_COPIES = frozenset({"at", "action", "model", "version"})
# An entry and the head that it moves in one statement, for PostgreSQL. A value that bore a column's name would be
# written to that column of both tables.
_INSERT_AND_MOVE = (
    insert(audit)
    .values({column.name: bindparam(f"{column.name}_") for column in audit.c if column not in _NOT_WRITTEN})
    .inline()
    .add_cte(_MOVE.cte("moved"))
)


class SqlRecord:
    """`Record`. With `gathers` entries are linked at once and written by `flush`, all in a few statements.

    One transaction writes several: each head is then read and moved once.
    """

    def __init__(self, connection: Connection, names: Names, webhooks: SqlWebhooks, *, gathers: bool = False) -> None:
        self._connection = connection
        self._names = names
        self._webhooks = webhooks
        self._gathers = gathers
        self._moved: set[str] = set()
        self._entries: list[dict[str, Any]] = []
        self._owed: list[tuple[str, str, datetime]] = []

    def write(self, entry: Entry) -> Linked:
        entry = self._placed(entry)
        chain = self._names.chain(entry.model)
        number, previous = self._head(chain)
        linked = link(entry, chain, number + 1, previous)
        self._names.heads[chain] = (linked.number, linked.hash)
        self._moved.add(chain)
        self._entries.append(
            {
                "chain": chain,
                "number": linked.number,
                "hash": linked.hash,
                "text": linked.text,
                "at": entry.at,
                "action": entry.action,
                "model": entry.model,
                "version": entry.version,
            }
        )
        self._owed.append((entry.action, linked.text, entry.at))
        if not self._gathers:
            self.flush()
            self._names.heads.clear()  # the next `Work` on this connection writes as well
        return linked

    def flush(self) -> None:
        """Write what was gathered."""
        if not self._entries:
            return
        entries, owed, moved = self._entries, self._owed, self._moved
        self._entries, self._owed, self._moved = [], [], set()
        if len(entries) == 1 and not is_sqlite(self._connection):
            self._connection.execute(_INSERT_AND_MOVE, {f"{name}_": value for name, value in entries[0].items()})
        else:
            self._connection.execute(_INSERT, entries)
            for chain in sorted(moved):
                number, last = self._names.heads[chain]
                self._connection.execute(_MOVE, {"chain_": chain, "number_": number, "hash_": last})
        for action, text, at in owed:
            self._webhooks.owe_entry(action, text, at)

    def _head(self, chain: str) -> tuple[int, str]:
        if chain not in self._names.heads:
            row = self._connection.execute(hold_rows_of(self._connection, _HEAD), {"of": chain}).one()
            self._names.heads[chain] = (row.number, row.hash)
        return self._names.heads[chain]

    def read(self, *, model: str | None = None, action: str | None = None, limit: int = 100) -> Sequence[Recorded]:
        """Newest first. A model's entries are those under its former names too, and of former models of its name."""
        self.flush()
        rows = select(audit).order_by(audit.c.id.desc()).limit(limit)
        if model is not None:
            named = (audit.c.model == model) & ~self._elsewhere()
            rows = rows.where(named | audit.c.chain.in_(self._chains_of(model)))
        if action is not None:
            rows = rows.where(audit.c.action == action)
        return [recorded_of(row) for row in self._connection.execute(rows)]

    def verify(self) -> tuple[int, Sequence[Break]]:
        """Reads chain by chain, and holds one entry at a time."""
        self.flush()
        heads = {row.chain: (row.number, row.hash) for row in self._connection.execute(select(chains))}
        rows = self._connection.execution_options(yield_per=_AT_A_TIME).execute(_IN_CHAINS)
        count, found, seen, removals = 0, list(self._lost_chains(heads)), set(), Removals()
        for chain, entries in groupby(rows, key=itemgetter(0)):
            seen.add(chain)
            walk = ChainWalk(chain, _CODEC)
            for row in entries:
                count += 1
                found += walk.take(_linked(row))
                if row.text:
                    removals.hear(walk.told)
                else:
                    removals.missing(chain, row.number)
                found += _wrong_copies(row, walk.told)
            found += walk.end(heads.get(chain))
        for chain in sorted(heads.keys() - seen):
            found += breaks((), {chain: heads[chain]})
        for chain, number in removals.unexplained():
            found.append(Break(chain, number, "its text is not there, and no entry says that it was removed"))
        return count, sorted(found, key=lambda b: (b.chain, b.number))

    def _lost_chains(self, heads: dict[str, tuple[int, str]]) -> Iterator[Break]:
        """Chains that must be there and have neither a head nor an entry: cut off whole."""
        expected = {SYSTEM, *(chain_of(id) for id in self._connection.execute(select(models.c.id)).scalars())}
        missing = sorted(expected - heads.keys())
        for chain in missing:
            if self._connection.execute(select(audit.c.id).where(audit.c.chain == chain).limit(1)).first() is None:
                yield Break(chain, 0, "the whole chain is missing")

    def _placed(self, entry: Entry) -> Entry:
        """The entry with its workspace, where that is not the default one: a model's name says it only together."""
        workspace = self._names.workspace
        if not entry.model or workspace == DEFAULT_WORKSPACE:
            return entry
        return replace(entry, detail={**(entry.detail or {}), "workspace": workspace})

    def _elsewhere(self) -> ColumnElement[bool]:
        """Whether an entry belongs to a model of another workspace."""
        chain = literal(chain_of("")).concat(cast(models.c.id, String))
        return exists().where(chain == audit.c.chain, models.c.workspace != self._names.workspace)

    def _chains_of(self, model: str) -> list[str]:
        here = (models.c.workspace == self._names.workspace, models.c.name == model)
        return [chain_of(id) for id in self._connection.execute(select(models.c.id).where(*here)).scalars()]


def recorded_of(row: Row[Any]) -> Recorded:
    """The entry in a row, with no more than its columns say where its text was removed under the rule of retention."""
    if row.pruned_at is None:
        return Recorded(_linked(row), json.loads(row.text))
    at, pruned = (each.isoformat(timespec="microseconds") for each in (row.at, row.pruned_at))
    who = {"name": "", "verified": False, "via": ""}
    left = {"format": FORMAT, "chain": row.chain, "number": row.number, "previous": "", "at": at, "who": who}
    about = {"action": row.action, "model": row.model, "version": row.version, "before": "", "after": ""}
    why = "The text of this entry was removed under the rule of retention; its hash and its place stay."
    return Recorded(_linked(row), {**left, **about, "reason": why, "detail": {"pruned_at": pruned}})


def _linked(row: Row[Any]) -> Linked:
    return Linked(row.chain, row.number, row.hash, row.text)


def _wrong_copies(row: Row[Any], told: Mapping[str, Any]) -> Iterator[Break]:
    """Where the columns an entry is found by say something else than its text, as far as that can be read."""
    if not told.keys() >= _COPIES:
        return
    try:
        at = datetime.fromisoformat(told["at"])
    except (TypeError, ValueError):
        return
    if (row.action, row.model, row.version, row.at) == (told["action"], told["model"], told["version"], at):
        return
    for name, value in (*((each, told[each]) for each in ("action", "model", "version")), ("at", at)):
        copy = row._mapping[name]
        if copy != value:
            because = f"its column {name} was changed: it says {copy}, the entry says {value}"
            yield Break(row.chain, row.number, because)
