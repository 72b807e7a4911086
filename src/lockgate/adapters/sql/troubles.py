"""What goes wrong between us and a database, in words a person can act on."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from sqlalchemy.exc import DBAPIError, OperationalError
from sqlalchemy.exc import TimeoutError as NoConnectionFree

from lockgate.domain.errors import Unavailable

_AGAIN = "Try again in a moment."
_RUNS = "Look whether it runs, then try again."
_FULL = ("The database takes no more connections.", "Raise its max_connections, or start fewer server workers.")
_NO_RIGHTS = (
    "The database refuses this to the user that Lockgate connects as.",
    "Grant that user all rights on MLflow's and Lockgate's tables, and CREATE on the schema.",
)
_IN_THE_WAY = (
    "A table or index that Lockgate would make already exists in the database, and Lockgate did not make it.",
    "Rename or drop what is called lockgate_… there, or name another database with --database.",
)

# PostgreSQL's codes (all that begin so), what we say, what to do next
_BY_CODE = (
    ("40001", "Another change came in between and the database ended this one.", "Try again."),
    ("40P01", "Two changes waited for each other and the database ended this one.", "Try again."),
    ("55P03", "The database is busy: another change has held what this one needs for 20 seconds.", _AGAIN),
    ("57014", "The database ended the statement: it took too long, or somebody cancelled it.", _AGAIN),
    ("57P0", "The database is being stopped or started.", _AGAIN),
    ("25P03", "The database ended a transaction in which nothing happened for a minute.", "Try again."),
    ("53300", *_FULL),
    ("53100", "The disk that holds the database is full.", "Free some space, then try again."),
    ("25006", "The database may not be written.", "Name the primary, not a replica: it must take writes."),
    ("42501", *_NO_RIGHTS),
    ("3F000", *_NO_RIGHTS),
    ("42P07", *_IN_THE_WAY),
    ("42P01", "The database has not been prepared.", "Start `lockgate server` on it once."),
)
# what the driver says (in small letters), what we say, what to do next
_KNOWN = (
    ("database is locked", "The database is busy: another process has been writing for 20 seconds.", _AGAIN),
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
    ("already exists", *_IN_THE_WAY),
    ("not a database", "The database file is not an SQLite database.", "Name another file with --database."),
    ("malformed", "The database file is damaged.", "Restore it from a backup."),
    # PostgreSQL, before there is a connection that could have a code
    (
        "authentication failed",
        "The database does not accept the user or the password.",
        "Look at them in --database; a character like @ or / in a password is written as %40 or %2F.",
    ),
    ("no password supplied", "The database wants a password.", "Write it in --database: postgresql://USER:PASSWORD@…"),
    (
        "no pg_hba.conf entry",
        "The database does not let this machine, user or kind of connection in.",
        "Its pg_hba.conf says who may connect.",
    ),
    (
        "invalid connection option",
        "The database URI has an option that PostgreSQL does not know.",
        "Look at what follows the ? in --database.",
    ),
    ("failed to resolve host", "The database's host has no address here.", "Look at the host's name in --database."),
    (
        "does not support ssl",
        "The database server does not speak TLS, and the URI demands it.",
        "Look at sslmode in --database.",
    ),
    ("too many clients", *_FULL),
    ("too many connections", *_FULL),
    ("remaining connection slots", *_FULL),
    ("the database system is", "The database is being stopped or started.", _AGAIN),
    ("connection refused", "Nothing answers at the database's address.", _RUNS),
    ("closed the connection unexpectedly", "The connection to the database broke.", _RUNS),
    (
        "timeout expired",
        "The database does not answer.",
        "Look whether it runs and the network lets this machine reach it.",
    ),
)
_NO_SUCH = (
    (
        "database",
        "There is no such database on that server.",
        "Make it there, for instance: createdb NAME. Lockgate makes tables, not databases.",
    ),
    ("role", "The database server knows no such user.", "Look at the user in --database, or make it: createuser NAME."),
)


@contextmanager
def explained() -> Iterator[None]:
    """Turn a failing database into Unavailable with a hint; a statement that is our own mistake crashes loudly."""
    try:
        yield
    except (NoConnectionFree, DBAPIError) as e:
        known = trouble(e)
        if known is None:
            raise
        raise known from e


def trouble(error: BaseException | None) -> Unavailable | None:
    """What an error of SQLAlchemy means when the database is in trouble; None when it is a mistake of ours."""
    if isinstance(error, NoConnectionFree):
        return Unavailable("Every connection to the database is taken.", hint=_AGAIN)
    if isinstance(error, DBAPIError):
        away = isinstance(error, OperationalError) or error.connection_invalidated
        return unavailable(error.orig, away=away)
    return None


def unavailable(said: object, *, away: bool) -> Unavailable | None:
    """What a driver's error means; None when it is a mistake of ours. `away`: the database may not be there at all."""
    code = getattr(said, "sqlstate", None) or ""
    for begins, message, hint in _BY_CODE:
        if code.startswith(begins):
            return Unavailable(message, hint=hint)
    told = str(said).lower()
    if "fatal:" in told and "does not exist" in told:
        for word, message, hint in _NO_SUCH:
            if f'{word} "' in told:
                return Unavailable(message, hint=hint)
    # a statement that PostgreSQL answered with a code is not judged by words that may be in its values
    for words, message, hint in () if code else _KNOWN:
        if words in told:
            return Unavailable(message, hint=hint)
    first = next(iter(str(said).strip().splitlines()), "no reason given")
    return Unavailable(f"The database does not answer: {first}.", hint=_RUNS) if away else None
