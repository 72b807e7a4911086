"""What the governed store needs of the rest, and how one change runs inside MLflow's own transaction."""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from typing import Any, Protocol, TypeAlias, TypeVar

from mlflow.exceptions import MlflowException
from mlflow.protos.databricks_pb2 import INTERNAL_ERROR, PERMISSION_DENIED, ErrorCode
from mlflow.store.model_registry.dbmodels.models import SqlRegisteredModel
from sqlalchemy import Connection, event, select
from sqlalchemy.orm import Session

from lockgate.domain.errors import LockgateError
from lockgate.domain.identity import Who
from lockgate.domain.registered import ModelRow, VersionRow
from lockgate.domain.search import Search
from lockgate.usecases.ports import Ports, Work

T = TypeVar("T")
# a read asks for rows and is given them until it has its result; what it asks with is the database's affair
Steps: TypeAlias = Generator[Any, Any, T]


class Told(Protocol):
    """An error as MLflow's clients hear it: MLflow's code, the text, and what the JSON body carries besides."""

    @property
    def code(self) -> str: ...
    @property
    def message(self) -> str: ...
    @property
    def detail(self) -> Mapping[str, Any]: ...


class Reads(Protocol):
    """What can be read of the registry of one workspace."""

    def version(self, workspace: str, name: str, version: int) -> Steps[VersionRow | None]: ...
    def aliased(self, workspace: str, name: str, alias: str) -> Steps[VersionRow | int | None]: ...
    def latest(self, workspace: str, name: str) -> Steps[list[VersionRow]]: ...
    def location(self, workspace: str, name: str, version: int) -> Steps[tuple[str | None, str | None] | None]: ...
    def exists(self, workspace: str, name: str) -> Steps[bool]: ...
    def model(self, workspace: str, name: str) -> Steps[ModelRow | None]: ...
    def search_models(self, workspace: str, wanted: Search) -> Steps[list[ModelRow]]: ...
    def search_versions(self, workspace: str, wanted: Search) -> Steps[list[VersionRow]]: ...


class Reader(Protocol):
    """Carries reads out: in this thread, or beside the event loop's other work."""

    @property
    def dialect(self) -> str: ...
    @property
    def reads(self) -> Reads: ...
    def run(self, steps: Steps[T]) -> T: ...
    async def answer(self, steps: Steps[T]) -> T: ...


@dataclass(frozen=True, slots=True)
class Governance:
    """The use cases' ports, our side of MLflow's transactions, the caller, the reads, and how errors are told."""

    ports: Ports
    work_on: Callable[[Connection], Work]
    who: Callable[[], Who]
    explain: Callable[[LockgateError], Told]
    reader: Reader

    def as_mlflow(self, error: LockgateError) -> MlflowException:
        """The same refusal as MLflow's handlers and clients know it."""
        told = self.explain(error)
        try:
            code = ErrorCode.Value(told.code)
        except ValueError:
            code = INTERNAL_ERROR
        extra = {"lockgate": dict(told.detail)} if told.detail else {}
        return MlflowException(told.message, error_code=code, **extra)

    @contextmanager
    def translated(self) -> Iterator[None]:
        """Turn our errors into MLflow's: inside its sessions anything else becomes a 500."""
        try:
            yield
        except LockgateError as error:
            raise self.as_mlflow(error) from error


@dataclass(slots=True)
class Change:
    """One change under way: the model whose row is locked, what is asked before it, and what is recorded after it."""

    model: str | None
    allow: Callable[[Work, Connection], None]
    record: Callable[[Work, Session], None]
    begun: bool = False


_CHANGE: ContextVar[Change | None] = ContextVar("lockgate_change", default=None)
Sessions = Callable[..., AbstractContextManager[Session]]


@contextmanager
def changing(change: Change) -> Iterator[None]:
    """Let the next writing session of the governed store be this change."""
    token = _CHANGE.set(change)
    try:
        yield
    finally:
        _CHANGE.reset(token)


def governed_sessions(plain: Sessions, governance: Governance, workspace: Callable[[], str]) -> Sessions:
    """MLflow's session maker, with every writing session locked, judged and recorded.

    A writing session that belongs to no known change is refused: it would be a mutator nobody here has read.
    """

    @contextmanager
    def session(read_only: bool = True) -> Iterator[Session]:
        if read_only:
            with plain(read_only=True) as reading:
                yield reading
            return
        change = _CHANGE.get()
        if change is None or change.begun:
            raise MlflowException(
                "Lockgate does not know this way to change the registry, so it is refused.", PERMISSION_DENIED
            )
        change.begun = True
        with plain(read_only=False) as writing:
            begin = _beginner(change, governance, workspace())
            begin(writing.connection())
            # MLflow retries a lost race after a rollback, which gives back the lock: take it and ask again
            event.listen(writing, "after_begin", lambda _session, _transaction, connection: begin(connection))
            yield writing
            writing.flush()
            with governance.translated():
                change.record(governance.work_on(writing.connection()), writing)

    return session


def _beginner(change: Change, governance: Governance, workspace: str) -> Callable[[Connection], None]:
    def begin(connection: Connection) -> None:
        if connection.dialect.name == "sqlite":
            connection.exec_driver_sql("BEGIN IMMEDIATE")
        elif change.model is not None:
            row = (SqlRegisteredModel.workspace == workspace, SqlRegisteredModel.name == change.model)
            connection.execute(select(SqlRegisteredModel.name).where(*row).with_for_update())
        with governance.translated():
            change.allow(governance.work_on(connection), connection)

    return begin
