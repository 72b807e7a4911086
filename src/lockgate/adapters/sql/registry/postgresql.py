"""Reads of a PostgreSQL database: from the event loop over connections that never block it, or in a caller's thread.

The driver's own asynchronous connection costs twice what libpq beneath it does, so this speaks to libpq
(docs/decisions/0026-reads-of-the-registry.md has the numbers).
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from typing import Any

import anyio.to_thread
import psycopg
from psycopg import pq
from sqlalchemy import URL, create_engine

from lockgate.adapters.sql.engine import BUSY_SECONDS, connecting
from lockgate.adapters.sql.registry.reads import Query, RegistryReads, Rows, Steps, T
from lockgate.adapters.sql.registry.statements import Statement
from lockgate.adapters.sql.troubles import explained, unavailable
from lockgate.domain.errors import BadInput, Unavailable

LINES = 8
PREPARED = 64  # light statements a connection keeps planned; any other is planned each time, with its values in view
_ANSWER_SECONDS = 60.0
# machine code takes forty milliseconds to make, for statements that take one; and remembering what was found for a row
# costs more than finding it, when no row comes twice. Old servers do not know both names
_SETTINGS = (
    b"SELECT set_config(name, 'off', false) FROM pg_settings WHERE name IN ('jit', 'enable_memoize'); "
    b"SET default_transaction_read_only = on"
)
_ROWS = (pq.ExecStatus.TUPLES_OK, pq.ExecStatus.COMMAND_OK)


class _Lost(Exception):
    """The connection is gone; another one may be had."""


class PostgresqlReader:
    """Carries reads out on at most `LINES` connections for the event loop, and as many for threads.

    Each statement sees what was committed before it.
    """

    dialect = "postgresql"
    reads = RegistryReads(sqlite=False)

    def __init__(self, url: URL) -> None:
        self._engine = create_engine(
            url,
            pool_size=2,
            max_overflow=LINES - 2,
            pool_timeout=BUSY_SECONDS,
            isolation_level="AUTOCOMMIT",
            creator=self._connect,
        )
        _, arguments = self._engine.dialect.create_connect_args(url)
        self._arguments: dict[str, Any] = {**connecting(url), **arguments}
        self._idle: list[_Line] = []
        self._places: asyncio.Semaphore | None = None

    def run(self, steps: Steps[T]) -> T:
        """Carry a read out in this thread. Raises Unavailable when the database does not answer."""
        try:
            asked = next(steps)
            while True:
                asked = steps.send(self._fetch(asked))
        except StopIteration as done:
            result: T = done.value
            return result

    async def answer(self, steps: Steps[T]) -> T:
        """Carry a read out without keeping the event loop from its other work. Raises as `run`."""
        try:
            asked = next(steps)
            while True:
                asked = steps.send(await self._asked(asked))
        except StopIteration as done:
            result: T = done.value
            return result

    def close(self) -> None:
        """Give all connections back; called from the event loop, if there was one."""
        while self._idle:
            self._idle.pop().close()
        self._engine.dispose()

    # --- threads ----------------------------------------------------------------------------------------------------

    def _fetch(self, asked: Query) -> Rows:
        values = _values(asked.statement, asked.values)
        with explained():
            try:
                return self._fetched(asked, values)
            except psycopg.OperationalError:
                # the database was started again since this connection was made: all of them are gone
                self._engine.dispose()
            try:
                return self._fetched(asked, values)
            except psycopg.OperationalError as error:
                raise _away(error) from error

    def _fetched(self, asked: Query, values: Sequence[Any]) -> Rows:
        borrowed = self._engine.raw_connection()
        try:
            cursor = psycopg.RawCursor(borrowed.driver_connection)  # type: ignore[arg-type]
            # one that may read much is planned with its values in view
            return cursor.execute(asked.statement.sql.encode(), values, prepare=asked.light).fetchall()
        except psycopg.OperationalError:
            borrowed.invalidate()
            raise
        finally:
            borrowed.close()

    # --- the event loop ---------------------------------------------------------------------------------------------

    async def _asked(self, asked: Query) -> Rows:
        values = [None if value is None else str(value).encode() for value in _values(asked.statement, asked.values)]
        if self._places is None:
            self._places = asyncio.Semaphore(LINES)
        places = self._places
        if places.locked():
            try:
                async with asyncio.timeout(BUSY_SECONDS):
                    await places.acquire()
            except TimeoutError:
                raise Unavailable("Every connection to the database is taken.", hint="Try again in a moment.") from None
        else:
            await places.acquire()
        try:
            return await self._on_a_line(asked, values)
        finally:
            places.release()

    async def _on_a_line(self, asked: Query, values: Sequence[bytes | None]) -> Rows:
        while self._idle:
            line = self._idle.pop()
            try:
                return await self._through(line, asked, values)
            except _Lost:
                continue  # made before the database was started again; a fresh one decides
        try:
            made = await anyio.to_thread.run_sync(self._connect)
            return await self._through(_Line(made), asked, values)
        except (_Lost, psycopg.OperationalError) as error:
            raise _away(error) from error

    async def _through(self, line: _Line, asked: Query, values: Sequence[bytes | None]) -> Rows:
        try:
            rows = await line.ask(asked, values)
        except BaseException:
            line.close()  # an answer may still be under way on it
            raise
        self._idle.append(line)
        return rows

    def _connect(self) -> psycopg.Connection[Any]:
        connection = psycopg.connect(**self._arguments, autocommit=True)
        connection.execute(_SETTINGS)
        return connection


class _Line:
    """One connection that carries one question at a time."""

    def __init__(self, connection: psycopg.Connection[Any]) -> None:
        self._connection = connection  # keeps what is beneath it alive
        self._libpq = connection.pgconn
        self._libpq.nonblocking = 1
        self._loop = asyncio.get_running_loop()
        self._socket = self._libpq.socket
        self._prepared: dict[str, bytes] = {}
        self._waiting: asyncio.Future[list[Any]] | None = None
        self._results: list[Any] = []
        self._loop.add_reader(self._socket, self._readable)

    async def ask(self, asked: Query, values: Sequence[bytes | None]) -> Rows:
        """The rows. Raises _Lost when the connection is gone."""
        statement = asked.statement
        name = self._prepared.get(statement.sql)
        try:
            async with asyncio.timeout(_ANSWER_SECONDS):
                if name is None and asked.light and len(self._prepared) < PREPARED:
                    name = b"lockgate_%d" % len(self._prepared)
                    self._libpq.send_prepare(name, statement.sql.encode())
                    await self._answer()
                    self._prepared[statement.sql] = name
                if name is not None:
                    self._libpq.send_query_prepared(name, values)
                else:
                    self._libpq.send_query_params(statement.sql.encode(), values)
                return _decoded(await self._answer(), statement.numbers)
        except psycopg.OperationalError as error:
            raise _Lost(str(error)) from error
        except TimeoutError:
            raise Unavailable(
                f"The database has not answered within {_ANSWER_SECONDS:.0f} seconds.", hint="Try again in a moment."
            ) from None

    def close(self) -> None:
        """Let go of the connection, whatever is under way on it."""
        self._loop.remove_reader(self._socket)
        self._loop.remove_writer(self._socket)
        self._connection.close()

    async def _answer(self) -> Any:
        self._waiting = self._loop.create_future()
        self._flush()
        result = (await self._waiting)[-1]
        if result.status not in _ROWS:
            raise psycopg.errors.error_from_result(result)
        return result

    def _flush(self) -> None:
        if self._libpq.flush():
            self._loop.add_writer(self._socket, self._writable)

    def _writable(self) -> None:
        try:
            if not self._libpq.flush():
                self._loop.remove_writer(self._socket)
        except psycopg.OperationalError as error:
            self._failed(error)

    def _readable(self) -> None:
        try:
            self._libpq.consume_input()
            while not self._libpq.is_busy():
                result = self._libpq.get_result()
                if result is None:
                    results, self._results = self._results, []
                    if results and self._waiting is not None and not self._waiting.done():
                        self._waiting.set_result(results)
                    return
                self._results.append(result)
        except psycopg.OperationalError as error:
            self._failed(error)

    def _failed(self, error: psycopg.OperationalError) -> None:
        # a socket that was closed at the other end is readable for ever
        self._loop.remove_reader(self._socket)
        self._loop.remove_writer(self._socket)
        if self._waiting is not None and not self._waiting.done():
            self._waiting.set_exception(error)


def _decoded(result: Any, numbers: Sequence[bool]) -> Rows:
    get, columns = result.get_value, tuple(enumerate(numbers))
    return [
        tuple(
            None if (raw := get(row, column)) is None else int(raw) if number else raw.decode()
            for column, number in columns
        )
        for row in range(result.ntuples)
    ]


def _values(statement: Statement, values: Mapping[str, Any]) -> list[Any]:
    found = [values[name] for name in statement.names]
    try:
        clean = not any(isinstance(value, str) and ("\0" in value or not value.encode()) and value for value in found)
    except UnicodeEncodeError:
        clean = False
    if not clean:
        # libpq would read a text as far as its first NUL, which may be the name of something else
        raise BadInput(
            "The request holds text that is no Unicode, or a NUL.", hint="Send UTF-8 without NUL and lone surrogates."
        )
    return found


def _away(error: Exception) -> Unavailable:
    return unavailable(error, away=True) or Unavailable("The database does not answer.")
