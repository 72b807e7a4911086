"""What a database is, seen without changing it, and what that means for running Lockgate on it: pure judgements."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum

from lockgate.domain.drift import Difference
from lockgate.domain.errors import Conflict, LockgateError, Unavailable
from lockgate.domain.stages import Stage


class State(StrEnum):
    """What MLflow's tables are: not there, those this release knows, older, unknown (newer), or half made."""

    ABSENT = "absent"
    KNOWN = "known"
    OLDER = "older"
    UNKNOWN = "unknown"
    HALF_MADE = "half made"


@dataclass(frozen=True, slots=True)
class Schema:
    """MLflow's tables as found: their revisions (one, where all is well), how many there are, and what is missing.

    `mlflow` and `head` are the version this release knows and its revision; `older` says that `mlflow db upgrade`
    leads from the revision found to `head`.
    """

    mlflow: str
    head: str
    revisions: tuple[str, ...]
    tables: int
    missing: tuple[str, ...] = ()
    older: bool = False

    @property
    def state(self) -> State:
        if not self.revisions:
            return State.HALF_MADE if self.tables else State.ABSENT
        if self.revisions == (self.head,):
            return State.HALF_MADE if self.missing else State.KNOWN
        return State.OLDER if self.older else State.UNKNOWN


def refusal(schema: Schema, address: str) -> LockgateError | None:
    """Why Lockgate does not run on these tables; None when it does. `address` is the database's without a password."""
    needs = f"Lockgate needs MLflow {schema.mlflow}'s ({schema.head})"
    upgrade = f"mlflow db upgrade {address}"
    match schema.state:
        case State.ABSENT | State.KNOWN:
            return None
        case State.OLDER:
            return Conflict(
                f"MLflow's tables are older than this release knows: they are at revision {schema.revisions[0]}, "
                f"{needs}. Lockgate never migrates them unasked.",
                hint=f"Back the database up, then, with MLflow {schema.mlflow} installed: {upgrade}",
            )
        case State.UNKNOWN:
            found = ", ".join(schema.revisions)
            return Conflict(
                f"MLflow's tables are at a revision this release does not know ({found}): made by a newer MLflow, or "
                f"not by MLflow. {needs}. Nothing was changed.",
                hint="Use a release of Lockgate for that MLflow, or name another database with --database.",
            )
        case State.HALF_MADE:
            missing = ", ".join(schema.missing[:5]) + (" …" if len(schema.missing) > 5 else "")
            lacks = f"{missing} missing" if schema.revisions else "no revision is noted beside them"
            return Conflict(
                f"MLflow's tables are half made: {lacks}. A migration was interrupted. Nothing was changed.",
                hint=f"Restore a backup; or, on a copy of the database, try: {upgrade}",
            )


@dataclass(frozen=True, slots=True)
class Disagreement:
    """A model whose stage and alias say different things in MLflow's own tables, and what would settle it."""

    model: str
    stage: Stage
    because: str
    next: str


@dataclass(frozen=True, slots=True)
class Registry:
    """What is registered, over all workspaces; `stages` counts versions."""

    models: int = 0
    prompts: int = 0
    versions: int = 0
    aliases: int = 0
    stages: Mapping[str, int] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Artifacts:
    """Whether the artifacts of versions in Staging and Production are there; `elsewhere` were not looked at."""

    looked_at: int = 0
    missing: tuple[str, ...] = ()
    elsewhere: int = 0


@dataclass(frozen=True, slots=True)
class Ours:
    """Lockgate's part: its revision (None: not there), what is to be added, and how its record began."""

    revision: str | None = None
    known: bool = True
    tables: tuple[str, ...] = ()
    indexes: tuple[str, ...] = ()
    adds_tables: tuple[str, ...] = ()
    adds_indexes: tuple[str, ...] = ()
    begun: str | None = None
    begun_at: datetime | None = None
    entries: int = 0
    last_seen: datetime | None = None


@dataclass(frozen=True, slots=True)
class Database:
    """Everything `lockgate doctor` sees. `address` bears no password; `lacks` names missing permissions and the cure.

    `there` is False for a file that does not exist: nothing else is known then.
    """

    address: str
    kind: str
    there: bool = True
    version: str = ""
    journal_mode: str = ""
    private: bool = True
    lacks: tuple[tuple[str, str], ...] = ()
    schema: Schema | None = None
    foreign: tuple[str, ...] = ()
    ours: Ours = Ours()
    registry: Registry = Registry()
    disagreements: tuple[Disagreement, ...] = ()
    drift: tuple[Difference, ...] = ()
    artifacts: Artifacts = Artifacts()


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing a person should know. Only `stops` keep Lockgate from running on the database."""

    stops: bool
    what: str
    next: str = ""


@dataclass(frozen=True, slots=True)
class KeyFile:
    """Where the key of the record is on this machine. `exposed` is the command that closes it to other accounts."""

    place: str
    there: bool
    beside_workers: bool
    exposed: str


def key_findings(key: KeyFile) -> tuple[Finding, ...]:
    """What to tell about the key that signs checkpoints."""
    if not key.there:
        return ()
    found = []
    if key.exposed:
        found.append(
            Finding(False, f"Other accounts of this machine can read the record's key ({key.place}).", key.exposed)
        )
    if key.beside_workers:
        told = "so file modes keep no model's program from it: keep checkpoints elsewhere"
        found.append(
            Finding(
                False,
                f"The record's key ({key.place}) lies under the account that workers run under, {told}.",
                "docs/howto/keys-of-the-record.md",
            )
        )
    return tuple(found)


def rule_findings(wrong: str) -> tuple[Finding, ...]:
    """What to tell about custom rules: why they cannot be evaluated, where that is so."""
    if not wrong:
        return ()
    told = f"Custom rules cannot be evaluated here, so each of them refuses: {wrong}."
    return (Finding(False, told, "Install Lockgate again with all it needs; policies without custom rules are fine."),)


def findings(found: Database) -> tuple[Finding, ...]:
    """What to tell about it; those that stop first."""
    return tuple(sorted(_findings(found), key=lambda each: not each.stops))


def _findings(found: Database) -> Iterator[Finding]:
    if found.schema is not None:
        wrong = refusal(found.schema, found.address)
        if wrong is not None:
            yield Finding(True, wrong.message, wrong.hint)
        elif found.foreign and found.schema.state is State.ABSENT:
            names = _some(found.foreign)
            yield Finding(
                False, f"There are tables of another program ({names}), and none of MLflow's.", "Is it the right one?"
            )
        elif found.foreign:
            yield Finding(False, f"Tables of another program lie beside MLflow's; they stay: {_some(found.foreign)}.")
    for what, cure in found.lacks:
        yield Finding(True, what, cure)
    if not found.ours.known:
        yield Finding(
            False, f"Lockgate's tables are of a later release ({found.ours.revision}); they stay as they are."
        )
    if not found.private:
        yield Finding(
            False,
            "Other accounts of this machine can read the database file.",
            f"chmod 600 {found.address.removeprefix('sqlite:///')}",
        )


def require_fit(found: Database) -> None:
    """Raises Conflict or Unavailable for the first thing that stops Lockgate."""
    if found.schema is not None and (wrong := refusal(found.schema, found.address)) is not None:
        raise wrong
    for what, cure in found.lacks:
        raise Unavailable(what, hint=cure)


def _some(names: tuple[str, ...]) -> str:
    return ", ".join(names[:5]) + (f" and {len(names) - 5} more" if len(names) > 5 else "")


@dataclass(frozen=True, slots=True)
class Removed:
    """What `lockgate uninstall` dropped."""

    tables: tuple[str, ...]
    indexes: tuple[str, ...]
