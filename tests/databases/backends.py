"""The two kinds of database that Lockgate runs on, so that one test holds for both."""

from __future__ import annotations

import fcntl
import shutil
from collections.abc import Callable
from functools import cached_property
from itertools import count
from pathlib import Path
from typing import Protocol

import pytest
from sqlalchemy import Engine

from lockgate.adapters.sql.engine import make_engine
from tests.databases.reuse import Shelf
from tests.databases.templates import Template, fill

SQLITE, POSTGRESQL = "sqlite", "postgresql"
# what to tell a new process of that kind; None is the file in its home
NewDatabase = Callable[[str], "str | None"]
# marks of tests about one of the two, which would otherwise run on both
on_sqlite = pytest.mark.parametrize("backend", [SQLITE], indirect=True)
on_postgresql = pytest.mark.parametrize("backend", [POSTGRESQL], indirect=True)


class Database:
    """One database of a test's own: `uri` with its password, and an `engine` as Lockgate opens it."""

    def __init__(self, uri: str) -> None:
        self.uri = uri

    @property
    def kind(self) -> str:
        return SQLITE if self.uri.startswith("sqlite") else POSTGRESQL

    @cached_property
    def engine(self) -> Engine:
        return make_engine(self.uri)

    @property
    def path(self) -> Path:
        """The file, of an SQLite database."""
        return Path(self.uri.removeprefix("sqlite:///"))

    def close(self) -> None:
        if "engine" in self.__dict__:
            self.engine.dispose()


class Backend(Protocol):
    """Gives new databases of one kind."""

    kind: str

    def fresh(self, template: Template = Template.READY) -> Database: ...

    def close(self) -> None: ...


class SqliteBackend:
    """New files in a folder; the templates are made once for the run."""

    kind = SQLITE

    def __init__(self, folder: Path, shared: Path) -> None:
        self._folder = folder
        self._shared = shared
        self._numbers = count()
        self._made: list[Database] = []

    def fresh(self, template: Template = Template.READY) -> Database:
        number = next(self._numbers)
        path = self._folder / ("lockgate.db" if number == 0 else f"lockgate-{number}.db")
        if template is not Template.EMPTY:
            shutil.copyfile(sqlite_template(self._shared, template), path)
        self._made.append(Database(f"sqlite:///{path}"))
        return self._made[-1]

    def close(self) -> None:
        for each in self._made:
            each.close()


class PostgresBackend:
    """Databases in the run's server, which may have been used and emptied before."""

    kind = POSTGRESQL

    def __init__(self, shelf: Shelf) -> None:
        self._shelf = shelf
        self._lent: list[tuple[Database, Template]] = []

    def fresh(self, template: Template = Template.READY) -> Database:
        self._lent.append((Database(self._shelf.lend(template)), template))
        return self._lent[-1][0]

    def close(self) -> None:
        for database, template in self._lent:
            database.close()
            self._shelf.take_back(database.uri, template)


def sqlite_template(shared: Path, template: Template) -> Path:
    """A file that holds what the template says, made once for all processes of a test run."""
    made = shared / f"{template.value}-tables.db"
    with (shared / f"{template.value}-tables.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not made.exists():
            making = shared / f"{template.value}-tables.making.db"
            making.unlink(missing_ok=True)
            if template.before is Template.EMPTY:
                # the file is ours first, as when `lockgate up` makes a new one
                make_engine(f"sqlite:///{making}").dispose()
            else:
                shutil.copyfile(sqlite_template(shared, template.before), making)
            fill(template, f"sqlite:///{making}")
            making.rename(made)
    return made
