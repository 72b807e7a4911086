"""What goes wrong between us and a database, in words a person can act on."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from sqlalchemy.exc import DBAPIError, OperationalError
from sqlalchemy.exc import TimeoutError as NoConnectionFree

from lockgate.domain.errors import Unavailable

# what the driver says (in small letters), what we say, what to do next
_KNOWN = (
    (
        "database is locked",
        "The database is busy: another process has been writing for 20 seconds.",
        "Try again in a moment.",
    ),
    ("disk is full", "The disk that holds the database is full.", "Free some space, then try again."),
    (
        "disk i/o error",
        "The disk that holds the database gives errors.",
        "Look at the disk and its free space, then try again.",
    ),
    (
        "readonly database",
        "The database may not be written.",
        "Give this user write permission on the database file and its folder.",
    ),
    (
        "unable to open database",
        "The database file cannot be opened.",
        "Look whether it exists and this user may read and write it.",
    ),
    ("no such table", "The database has not been prepared.", "Start `lockgate server` on it once."),
    ('relation "', "The database has not been prepared.", "Start `lockgate server` on it once."),
    ("deadlock detected", "Two changes waited for each other and the database ended this one.", "Try again."),
    ("not a database", "The database file is not an SQLite database.", "Name another file with --database."),
    ("malformed", "The database file is damaged.", "Restore it from a backup."),
)


@contextmanager
def explained() -> Iterator[None]:
    """Turn a failing database into Unavailable with a hint; a statement that is our own mistake crashes loudly."""
    try:
        yield
    except NoConnectionFree as e:
        raise Unavailable("Every connection to the database is taken.", hint="Try again in a moment.") from e
    except DBAPIError as e:
        known = unavailable(e.orig, away=isinstance(e, OperationalError) or e.connection_invalidated)
        if known is None:
            raise
        raise known from e


def unavailable(said: object, *, away: bool) -> Unavailable | None:
    """What a driver's error means; None when it is a mistake of ours. `away`: the database may not be there at all."""
    told = str(said)
    for words, message, hint in _KNOWN:
        if words in told.lower():
            return Unavailable(message, hint=hint)
    first = next(iter(told.strip().splitlines()), "no reason given")
    hint = "Look whether it runs, then try again."
    return Unavailable(f"The database does not answer: {first}.", hint=hint) if away else None
