"""Transactions: the one place where they begin, commit and are undone."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from datetime import datetime

from sqlalchemy import Connection, Engine, select

from lockgate.adapters.sql import dialects
from lockgate.adapters.sql import mlflow_tables as mlflow
from lockgate.adapters.sql.adoption import Beginning, SqlAdoption
from lockgate.adapters.sql.approvals import SqlApprovals
from lockgate.adapters.sql.catalog import SqlCatalog
from lockgate.adapters.sql.drift import SqlDrift
from lockgate.adapters.sql.endpoints import SqlEndpoints
from lockgate.adapters.sql.names import DEFAULT_WORKSPACE, Names
from lockgate.adapters.sql.policies import ParsedPolicies, ParsePolicy, SqlPolicies
from lockgate.adapters.sql.promotions import SqlPromotions
from lockgate.adapters.sql.record import SqlRecord
from lockgate.adapters.sql.sources import SqlSources
from lockgate.adapters.sql.tables import chains
from lockgate.adapters.sql.troubles import explained
from lockgate.adapters.sql.validations import SqlValidations
from lockgate.adapters.sql.versions import SqlVersions
from lockgate.domain.audit import SYSTEM
from lockgate.usecases.ports import Clock

_WITHIN: ContextVar[str | None] = ContextVar("lockgate_workspace", default=None)


class SqlWork:
    """`Work` on one connection, in the transaction that is open there."""

    def __init__(self, connection: Connection, store: SqlStore, *, writable: bool) -> None:
        names = Names(connection, store.workspace)
        self.connection = connection
        self.adoption = SqlAdoption(connection, store.beginning)
        self.policies = SqlPolicies(connection, store.parsed, self.adoption)
        self.catalog = SqlCatalog(connection, store.workspace)
        self.sources = SqlSources(connection, store.workspace)
        self.versions = SqlVersions(connection, names, self.policies, self.adoption, writable=writable)
        self.drift = SqlDrift(connection, names, self.policies, self.adoption)
        self.promotions = SqlPromotions(connection, names, store.now)
        self.approvals = SqlApprovals(connection, names)
        self.validations = SqlValidations(connection, names)
        self.endpoints = SqlEndpoints(connection, names)
        self.record = SqlRecord(connection, names)


class SqlStore:
    """`Store` on an engine of `make_engine`. Use it from any thread.

    A transaction sees one of MLflow's workspaces: the one of `within`, else what `ambient` says, else the default one.

    Leases are measured with the database's time on PostgreSQL and this machine's on SQLite, or with `clock` if given.
    """

    def __init__(
        self,
        engine: Engine,
        parse_policy: ParsePolicy,
        *,
        clock: Clock | None = None,
    ) -> None:
        self.engine = engine
        self.ambient: Callable[[], str] = lambda: DEFAULT_WORKSPACE
        self.parsed = ParsedPolicies(parse_policy)
        self.beginning = Beginning()
        self._clock = clock

    @property
    def workspace(self) -> str:
        """The workspace that a transaction begun now would see."""
        return _WITHIN.get() or self.ambient()

    @contextmanager
    def within(self, workspace: str) -> Iterator[None]:
        """Transactions of this thread or task see that workspace, whatever is asked for around them."""
        token = _WITHIN.set(workspace)
        try:
            yield
        finally:
            _WITHIN.reset(token)

    def now(self, connection: Connection) -> datetime:
        """The time that leases are measured with."""
        return self._clock.now() if self._clock else dialects.now(connection)

    @contextmanager
    def reading(self) -> Iterator[SqlWork]:
        """What one moment looked like. Raises Unavailable when the database does not answer."""
        with explained(), dialects.reader(self.engine) as connection, connection.begin():
            yield SqlWork(connection, self, writable=False)

    @contextmanager
    def writing(self, model: str | None) -> Iterator[SqlWork]:
        """Locks the model's row first (the system chain's when None). Raises Unavailable when the database is away."""
        with self.changing() as work:
            self._hold(work.connection, model)
            yield work

    @contextmanager
    def changing(self) -> Iterator[SqlWork]:
        """A transaction that locks no model: for rows with a lease of their own, and for what agents report."""
        with explained(), dialects.writer(self.engine) as connection, connection.begin():
            yield SqlWork(connection, self, writable=True)

    def work_on(self, connection: Connection) -> SqlWork:
        """A `Work` in somebody else's transaction: it is theirs to lock (`lock`), commit and undo."""
        return SqlWork(connection, self, writable=True)

    def lock(self, connection: Connection, model: str | None) -> None:
        """Make all changes to one model (None: to what belongs to no model) queue up behind this transaction.

        On SQLite that is the file's one write lock: call this before anything was read in the transaction.
        """
        dialects.hold_file(connection)
        self._hold(connection, model)

    def _hold(self, connection: Connection, model: str | None) -> None:
        if model is None:
            dialects.hold_rows(connection, select(chains.c.chain).where(chains.c.chain == SYSTEM))
        else:
            table = mlflow.registered_models.c
            here = (table.workspace == self.workspace, table.name == model)
            dialects.hold_rows(connection, select(table.name).where(*here))
