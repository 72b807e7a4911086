"""`lockgate doctor`: looks at a database, changes nothing, and says what Lockgate would find and do there."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from lockgate.cli import doctor_report, options, outcome

if TYPE_CHECKING:
    from collections.abc import Sequence

    from lockgate.usecases.doctor import Database, Finding


@click.command(short_help="Look at a database, and change nothing.")
@options.home_option
@click.option("--database", metavar="URI", help="The database. [sqlite:///HOME/lockgate.db]")
@options.as_json
def doctor(as_json: bool, **told: Any) -> None:
    """Look at a database before Lockgate runs on it, or while it does, and change nothing at all.

    Says which MLflow made it, what would be added, which stages and aliases disagree, and what was changed past
    Lockgate. Exits 0 when Lockgate can run on it, 1 when it cannot.
    """
    from lockgate import wiring
    from lockgate.usecases.doctor import findings, key_findings, rule_findings

    settings = options.settings(**told)
    found = wiring.inspect_database(settings)
    told_of = (*findings(found), *key_findings(wiring.inspect_key(settings)), *rule_findings(wiring.inspect_rules()))
    fit = not any(each.stops for each in told_of)
    if as_json:
        outcome.show_json(as_plain(found, told_of) | {"fit": fit})
    else:
        doctor_report.tell(found, told_of)
    if not fit:
        raise outcome.Ends(outcome.REFUSED)


def as_plain(found: Database, told_of: Sequence[Finding]) -> dict[str, Any]:
    """What was seen, as `--json` prints it."""
    schema = found.schema
    return {
        "database": {
            "address": found.address, "kind": found.kind, "there": found.there, "version": found.version,
            "journal_mode": found.journal_mode,
        },
        "mlflow": None if schema is None else {
            "state": schema.state.value, "revisions": list(schema.revisions), "expected": schema.head,
            "release": schema.mlflow, "missing": list(schema.missing),
        },
        "lockgate": {
            "revision": found.ours.revision, "begun": found.ours.begun,
            "begun_at": found.ours.begun_at.isoformat() if found.ours.begun_at else None,
            "entries": found.ours.entries,
            "adds": {"tables": list(found.ours.adds_tables), "indexes": list(found.ours.adds_indexes)},
        },
        "foreign_tables": list(found.foreign),
        "registry": {
            "models": found.registry.models, "prompts": found.registry.prompts,
            "versions": found.registry.versions, "aliases": found.registry.aliases,
            "stages": dict(found.registry.stages),
        },
        "disagreements": [
            {"model": x.model, "stage": x.stage.value, "because": x.because, "next": x.next}
            for x in found.disagreements
        ],
        "drift": [
            {"kind": x.kind.value, "model": x.model, "version": x.version, "alias": x.alias, "held": x.held,
             "found": x.found, "because": x.because, "restore": x.restore, "accept": x.accept}
            for x in found.drift
        ],
        "artifacts": {
            "looked_at": found.artifacts.looked_at, "missing": list(found.artifacts.missing),
            "elsewhere": found.artifacts.elsewhere,
        },
        "findings": [{"stops": x.stops, "what": x.what, "next": x.next} for x in told_of],
    }  # fmt: skip
