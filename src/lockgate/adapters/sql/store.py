"""Transactions: the one place where they begin, commit and are undone."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from contextvars import ContextVar
from datetime import datetime
from pathlib import Path

from sqlalchemy import ColumnElement, Connection, Engine, select

from lockgate.adapters.sql import dialects
from lockgate.adapters.sql.adoption import Beginning, SqlAdoption
from lockgate.adapters.sql.anchors import SqlAnchors
from lockgate.adapters.sql.approvals import SqlApprovals
from lockgate.adapters.sql.approvals_around import SqlDelegations, SqlGlasses, SqlProposals
from lockgate.adapters.sql.catalog import SqlCatalog
from lockgate.adapters.sql.checks import SqlChecks
from lockgate.adapters.sql.drift import SqlDrift
from lockgate.adapters.sql.endpoint_tokens import SqlEndpointTokens
from lockgate.adapters.sql.endpoints import SqlEndpoints
from lockgate.adapters.sql.engine import BUSY_SECONDS
from lockgate.adapters.sql.evidence import SqlKeptEvidence
from lockgate.adapters.sql.history import SqlHistory
from lockgate.adapters.sql.holding import Opening, hold, hold_new
from lockgate.adapters.sql.keeping import SqlKeeping
from lockgate.adapters.sql.marks import Marks, Rest
from lockgate.adapters.sql.measurements import SqlMeasurements
from lockgate.adapters.sql.names import DEFAULT_WORKSPACE, Names
from lockgate.adapters.sql.people import SqlPeople
from lockgate.adapters.sql.policies import ParsedPolicies, ParsePolicy, SqlPolicies
from lockgate.adapters.sql.promotions import SqlPromotions
from lockgate.adapters.sql.record import SqlRecord
from lockgate.adapters.sql.semver import SqlSemver
from lockgate.adapters.sql.sources import SqlSources
from lockgate.adapters.sql.splits import SqlSplits
from lockgate.adapters.sql.tables import chains
from lockgate.adapters.sql.trainings import SqlTrainings
from lockgate.adapters.sql.tree import SqlTree
from lockgate.adapters.sql.troubles import explained
from lockgate.adapters.sql.turns import Turns
from lockgate.adapters.sql.validations import SqlValidations
from lockgate.adapters.sql.versions import SqlVersions
from lockgate.adapters.sql.webhooks import SqlWebhooks
from lockgate.domain.audit import SYSTEM
from lockgate.usecases.ports import Clock

_WITHIN: ContextVar[str | None] = ContextVar("lockgate_workspace", default=None)


class SqlWork:
    """`Work` on one connection, in the transaction that is open there.

    With `gathers` the record's entries are written together at the end, by `finish`.
    """

    def __init__(self, connection: Connection, store: SqlStore, *, writable: bool, gathers: bool = False) -> None:
        self._names = names = Names(connection, store.workspace)
        self.connection = connection
        self.workspace = names.workspace
        self.adoption = SqlAdoption(connection, store.beginning)
        self.policies = SqlPolicies(connection, store.parsed, self.adoption)
        self.evidence = SqlKeptEvidence(connection)
        self.catalog = SqlCatalog(connection, names.workspace)
        self.sources = SqlSources(connection, names.workspace)
        self.versions = SqlVersions(connection, names, self.policies, self.adoption, writable=writable)
        self.drift = SqlDrift(connection, names, self.policies, self.adoption)
        self.promotions = SqlPromotions(connection, names, store.now)
        self.approvals = SqlApprovals(connection, names)
        self.delegations = SqlDelegations(connection)
        self.glasses = SqlGlasses(connection, names)
        self.proposals = SqlProposals(connection)
        self.trainings = SqlTrainings(connection)
        self.validations = SqlValidations(connection, names)
        self.measurements = SqlMeasurements(connection, names)
        self.checks = SqlChecks(connection, names)
        self.semver = SqlSemver(connection, names)
        self.endpoints = SqlEndpoints(connection, names)
        self.webhooks = SqlWebhooks(connection, names.workspace, store.now)
        self.people = SqlPeople(connection)
        self.endpoint_tokens = SqlEndpointTokens(connection, names)
        self.splits = SqlSplits(connection, names)
        self.history = SqlHistory(connection, names)
        self.anchors = SqlAnchors(connection)
        self.keeping = SqlKeeping(connection, names)
        self.record = SqlRecord(connection, names, self.webhooks, gathers=gathers)
        self.tree = SqlTree(connection)

    def opened(self, model: str, found: Opening | None) -> None:
        """Keep what the lock of this model found, so that nobody asks for it again."""
        if found is not None:
            self._names.found(model, found.model_id, (found.number, found.hash))
            self.catalog.found(model, found.prompt)
            self.webhooks.found(listened=found.listened)

    def finish(self) -> None:
        """Write what was gathered: the last thing before the commit."""
        self.record.flush()


class SqlStore:
    """`Store` on an engine of `make_engine`. Use it from any thread.

    A transaction sees one of MLflow's workspaces: the one of `within`, else what `ambient` says, else the default one.

    Leases are measured with the database's time on PostgreSQL and this machine's on SQLite, or with `clock` if given.
    `turns` is a file by which the processes of one machine take turns to write to an SQLite file.
    """

    def __init__(
        self,
        engine: Engine,
        parse_policy: ParsePolicy,
        *,
        clock: Clock | None = None,
        turns: Path | None = None,
    ) -> None:
        self.engine = engine
        self.ambient: Callable[[], str] = lambda: DEFAULT_WORKSPACE
        self.parsed = ParsedPolicies(parse_policy)
        self.beginning = Beginning()
        self._clock = clock
        self._marks = Marks(engine) if clock is None else None
        self._turns = Turns(turns) if dialects.is_sqlite(engine) else None

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

    def moment(self, connection: Connection) -> datetime | ColumnElement[datetime]:
        """That time as a statement names it, so that it need not be asked for first."""
        return self._clock.now() if self._clock else dialects.moment(connection)

    def rest(self) -> Rest:
        """What a loop remembers by that it need not look."""
        return Rest(self._marks)

    @contextmanager
    def glancing(self) -> Iterator[tuple[Connection, datetime | ColumnElement[datetime]]]:
        """For one question that is asked all the time: a connection, and the time as that question names it."""
        with explained(), dialects.glance(self.engine) as connection:
            yield connection, self.moment(connection)

    @contextmanager
    def reading(self) -> Iterator[SqlWork]:
        """What one moment looked like. Raises Unavailable when the database does not answer."""
        with explained(), dialects.reader(self.engine) as connection, connection.begin():
            yield SqlWork(connection, self, writable=False)

    @contextmanager
    def writing(self, model: str | None, *others: str) -> Iterator[SqlWork]:
        """Locks the rows of the models first, in the order of their names (the system chain's when None).

        Raises Unavailable when the database is away.
        """
        with self.changing() as work:
            if model is None:
                self._hold_system(work.connection)
            else:
                for name in sorted({model, *others}):
                    work.opened(name, hold(work.connection, work.workspace, name))
            yield work

    @contextmanager
    def making(self, model: str) -> Iterator[SqlWork]:
        """As `writing`, for a name that nobody is expected to bear: it is the name that is locked."""
        with self.changing() as work:
            work.webhooks.found(listened=hold_new(work.connection, work.workspace, model))
            yield work

    @contextmanager
    def changing(self) -> Iterator[SqlWork]:
        """A transaction that locks no model: for rows with a lease of their own, and for what agents report."""
        with ExitStack() as inside:
            if self._turns is not None:
                inside.enter_context(self._turns.turn(BUSY_SECONDS))
            inside.enter_context(explained())
            connection = inside.enter_context(dialects.writer(self.engine))
            inside.enter_context(connection.begin())
            work = SqlWork(connection, self, writable=True, gathers=True)
            yield work
            work.finish()

    def work_on(self, connection: Connection) -> SqlWork:
        """A `Work` in somebody else's transaction: it is theirs to lock (`lock`), commit and undo."""
        return SqlWork(connection, self, writable=True)

    def lock(self, connection: Connection, model: str | None) -> None:
        """Make all changes to one model (None: to what belongs to no model) queue up behind this transaction.

        On SQLite that is the file's one write lock: call this before anything was read in the transaction.
        """
        dialects.hold_file(connection)
        if model is None:
            self._hold_system(connection)
        else:
            hold(connection, self.workspace, model)

    def _hold_system(self, connection: Connection) -> None:
        dialects.hold_rows(connection, _SYSTEM)


# made once: making a statement takes longer than running it
_SYSTEM = select(chains.c.chain).where(chains.c.chain == SYSTEM)
