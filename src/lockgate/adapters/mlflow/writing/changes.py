"""One change of the registry as one transaction: locked, judged, written and recorded, and told in MLflow's words."""

from __future__ import annotations

import random
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TypeVar

from mlflow.exceptions import MlflowException
from mlflow.protos.databricks_pb2 import BAD_REQUEST, INTERNAL_ERROR
from sqlalchemy import Connection
from sqlalchemy.exc import DBAPIError, SQLAlchemyError

from lockgate.adapters.mlflow.governance import Governance
from lockgate.adapters.mlflow.writing.rows import Rows
from lockgate.domain.access import Act
from lockgate.domain.errors import Forbidden, LockgateError, Unavailable
from lockgate.usecases import registry
from lockgate.usecases.authorise import authorise
from lockgate.usecases.ports import Work

T = TypeVar("T")
# PostgreSQL ends a transaction with these when it cannot be put into an order with others, or waits in a circle
_UNDONE = frozenset({"40001", "40P01"})
_TRIES = 5
_PAUSE = 0.02  # seconds, at most, before the first repetition; twice as long before each further one


class Changes:
    """Runs changes of the registry on Lockgate's own connections."""

    def __init__(self, governance: Governance, workspace: Callable[[], str]) -> None:
        self._governance = governance
        self._workspace = workspace

    def run(
        self,
        models: tuple[str, ...],
        action: str,
        body: Callable[[Work, Rows], T],
        *,
        act: Act | None = Act.WRITE,
        new: bool = False,
    ) -> T:
        """What `body` gave in a transaction that holds the models' names, once it is committed.

        `act` is what the caller must be allowed to do to each of them; with None `body` asks that itself. With `new`
        there is one name, which nobody is expected to bear.
        A transaction that the database ended for the sake of another one is run again. An authorisation that was
        refused goes on the record. Raises MlflowException, as MLflow's own store does.
        """
        try:
            with self.translated():
                return again(lambda: self._once(models, body, act, new=new))
        except MlflowException as refusal:
            if isinstance(refusal.__cause__, Forbidden):
                self.put_on_record(models[0], action, refusal.__cause__)
            raise

    def rows(self, work: Work) -> Rows:
        """MLflow's rows in the transaction of a use case."""
        return Rows(connection_of(work), self._workspace())

    def put_on_record(self, model: str | None, action: str, refusal: LockgateError) -> None:
        """A refusal by authorisation, in a transaction of its own."""
        with self._governance.translated():
            registry.refused(self._governance.ports, model or "", action, self._governance.who(), refusal)

    @contextmanager
    def translated(self) -> Iterator[None]:
        """Turn every error into the one that MLflow's session would make of it."""
        try:
            with self._governance.translated():
                yield
        except MlflowException:
            raise
        except SQLAlchemyError as error:
            raise MlflowException(_without_sql(error), error_code=BAD_REQUEST) from error
        except Exception as error:
            raise MlflowException(message=error, error_code=INTERNAL_ERROR) from error

    def _once(self, models: tuple[str, ...], body: Callable[[Work, Rows], T], act: Act | None, *, new: bool) -> T:
        store = self._governance.ports.store
        with store.making(models[0]) if new else store.writing(*models) as work:
            if act is not None:
                for model in models:
                    authorise(work, self._governance.who(), act, model)
            return body(work, self.rows(work))


def again(change: Callable[[], T]) -> T:
    """Run it, and run it again when the database undid it: nothing of it was committed."""
    for left in reversed(range(_TRIES)):
        try:
            return change()
        except Unavailable as undone:
            if not left or not _was_undone(undone.__cause__):
                raise
        # a dance of two that meet again and again ends when their pauses differ
        time.sleep(random.uniform(0, _PAUSE * 2 ** (_TRIES - 1 - left)))  # noqa: S311 - no secret
    raise AssertionError("the last try returns or raises")


def connection_of(work: Work) -> Connection:
    """The connection of a transaction of our own store. Raises TypeError for a `Work` of another kind."""
    connection = getattr(work, "connection", None)
    if not isinstance(connection, Connection):
        raise TypeError(f"MLflow's rows are written in a transaction of our own, not in {type(work).__name__}")
    return connection


def _without_sql(error: SQLAlchemyError) -> str:
    """What the driver says: SQLAlchemy adds the statement, with tables and values that are nobody's business."""
    said = str(error.orig if isinstance(error, DBAPIError) else error).strip()
    return next(iter(said.splitlines()), "The database refused this.")


def _was_undone(error: BaseException | None) -> bool:
    return isinstance(error, DBAPIError) and getattr(error.orig, "sqlstate", None) in _UNDONE
