"""What `lockgate doctor` tells a person: first what was found, then what to do, then whether Lockgate can run there."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from lockgate.cli import show

if TYPE_CHECKING:
    from lockgate.usecases.doctor import Database, Finding

MOST_ROWS = 20


def tell(found: Database, told: Sequence[Finding]) -> None:
    """Print it. Long lists are cut after some rows, with a word that they are; `--json` gives all of them."""
    show.line(found.address)
    show.line("")
    show.table(("about", "what is there"), _overview(found))
    _section(
        "Stages and aliases that disagree in MLflow's own tables",
        ("model", "stage", "because", "to settle it, once Lockgate runs"),
        [(x.model, x.stage, x.because, x.next) for x in found.disagreements],
    )
    drift(found.drift)
    if found.artifacts.missing:
        show.line("")
        show.line(f"Artifacts that are not where MLflow's rows say: {_listed(found.artifacts.missing)}")
    if told:
        show.line("")
    for each in told:
        show.line(("STOPS  " if each.stops else "note   ") + each.what)
        if each.next:
            show.line(f"       {each.next}")
    show.line("")
    show.line(_verdict(found, any(each.stops for each in told)))


def drift(found: Sequence[Any]) -> None:
    """Differences from our rows, each with the commands that settle it; nothing when there are none."""
    if not found:
        return
    show.line("")
    show.line(f"Changed past Lockgate: {show.counted(len(found), 'difference')}")
    for each in found[:MOST_ROWS]:
        show.line(f"  ! {each.because}")
        if each.restore:
            show.line(f"      put MLflow's tables right: {each.restore}")
        if each.accept:
            show.line(f"      make it so here too:       {each.accept}")
    _cut(len(found))


def _overview(found: Database) -> list[tuple[str, str]]:
    rows = [("database", _database(found))]
    if found.schema is None:
        return [*rows, ("Lockgate", "would make the file, MLflow's tables and its own")]
    rows += [("MLflow's tables", _mlflow(found)), ("Lockgate", _lockgate(found))]
    if found.schema.state == "known":
        rows += [("registry", _registry(found)), ("artifacts", _artifacts(found))]
        if found.ours.begun:
            rows.append(("protections", _protections(found)))
    return rows


def _database(found: Database) -> str:
    if not found.there:
        return f"{found.kind}; there is no such file yet"
    journal = f", journal mode: {found.journal_mode} (it stays)" if found.journal_mode else ""
    return f"{found.kind} {found.version}{journal}"


def _mlflow(found: Database) -> str:
    schema = found.schema
    if schema is None or schema.state == "absent":
        return "none; Lockgate would make them"
    revision = ", ".join(schema.revisions) or "no revision"
    if schema.state == "known":
        return f"revision {revision}, as MLflow {schema.mlflow} makes them"
    return f"{schema.state}: {revision}, where MLflow {schema.mlflow} has {schema.head}"


def _lockgate(found: Database) -> str:
    ours = found.ours
    parts = []
    if ours.begun:
        how = "adopted this database" if ours.begun.endswith("adopted") else "made this database"
        parts.append(
            f"{how} on {show.when(ours.begun_at)} UTC; {show.counted(ours.entries, 'entry', 'entries')} on record"
        )
    elif ours.revision:
        parts.append(f"its tables are at revision {ours.revision}")
    adds = []
    if ours.adds_tables:
        adds.append(show.counted(len(ours.adds_tables), "table") + " of its own")
    if ours.adds_indexes:
        adds.append(show.counted(len(ours.adds_indexes), "index", "indexes") + " on MLflow's tables")
    if adds:
        parts.append(f"would add {' and '.join(adds)}, and change nothing else")
    return "; ".join(parts) or "is here; nothing is to be added"


def _registry(found: Database) -> str:
    told = found.registry
    stages = ", ".join(f"{count} {stage}" for stage, count in told.stages.items())
    counts = [show.counted(told.models, "model"), show.counted(told.versions, "version")]
    counts += [show.counted(told.aliases, "alias", "aliases")]
    if told.prompts:
        counts.append(show.counted(told.prompts, "prompt"))
    return ", ".join(counts) + (f" ({stages})" if stages else "")


def _artifacts(found: Database) -> str:
    told = found.artifacts
    if not told.looked_at and not told.elsewhere:
        return "no version is in Staging or Production"
    parts = []
    if told.looked_at:
        parts.append(f"{told.looked_at - len(told.missing)} are there")
    if told.missing:
        parts.append(f"{len(told.missing)} are missing")
    if told.elsewhere:
        parts.append(f"{told.elsewhere} were not looked at: no folder names them (mlflow-artifacts:, s3:), or too many")
    return f"of versions in Staging and Production {', '.join(parts)}"


def _protections(found: Database) -> str:
    """Only what this release really does, and what it cannot."""
    drift = "nothing" if not found.drift else show.counted(len(found.drift), "thing")
    return (
        f"writes past Lockgate are found, not prevented ({drift} found now); edits of the record break its chain "
        "(lockgate audit verify); callers' names are claims until there are users (lockgate users add)"
    )


def _verdict(found: Database, stops: bool) -> str:
    if stops:
        return "Lockgate cannot run on this database as it is. Nothing was changed."
    if found.ours.begun and not found.ours.adds_tables and not found.ours.adds_indexes:
        return "Lockgate can run on this database. Nothing was changed."
    return f"Lockgate can run on this database. Nothing was changed; to begin: lockgate up --database {found.address}"


def _section(title: str, columns: Sequence[str], rows: Sequence[Sequence[Any]]) -> None:
    if not rows:
        return
    show.line("")
    show.line(f"{title}: {len(rows)}")
    show.table(columns, rows[:MOST_ROWS])
    _cut(len(rows))


def _cut(count: int) -> None:
    if count > MOST_ROWS:
        show.line(f"  … and {count - MOST_ROWS} more: --json lists them all.")


def _listed(names: Sequence[str]) -> str:
    more = f" and {len(names) - MOST_ROWS} more" if len(names) > MOST_ROWS else ""
    return ", ".join(names[:MOST_ROWS]) + more
