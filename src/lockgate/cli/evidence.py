"""`lockgate plan` and `lockgate validate`: what a promotion would do, and the tests that it rests on."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING

import click

from lockgate.cli import options, outcome, plan_file, show
from lockgate.domain.stages import Stage
from lockgate.domain.versions import VersionRef

if TYPE_CHECKING:
    from lockgate.wire.shapes import Plan, Validation

VALIDATION_WAIT = "10m"


@click.command(short_help="Show what a promotion would do now, and what is missing.")
@click.argument("version", type=options.VERSION, metavar="MODEL@VERSION")
@click.option("--to", type=options.GATED_STAGE, default="production", show_default=True, help="Into which stage.")
@click.option("--keep-existing", is_flag=True, help="Leave the versions that are in the stage now where they are.")
@click.option(
    "--output", metavar="FILE", type=click.Path(dir_okay=False, path_type=Path), help="Write the plan to a file too."
)
@options.asks
def plan(
    version: VersionRef, to: Stage, keep_existing: bool, output: Path | None,
    url: str | None, user: str | None, as_json: bool,
) -> None:  # fmt: skip
    """Judge every gate on the evidence of this moment and show what a promotion would do. Moves nothing.

    With --output the plan is written to a file, by which others approve and carry out this plan and no other:
    lockgate approve --plan FILE, lockgate promote --plan FILE.

    Exits 0 when it would go through, 1 when a gate fails, 8 when one waits.
    """
    from lockgate.wire.plain import to_json

    client = options.caller(url, user).client()
    asked = (version.model, version.version)
    found = client.plan(asked, to.value, archive_existing=not keep_existing, keep=output is not None)
    if output is not None:
        plan_file.write(output, found)
    if as_json:
        outcome.show_json(to_json(found))
    else:
        _tell_plan(found)
    code = {"holds": outcome.DONE, "waits": outcome.WAITING}.get(found.verdict.standing, outcome.REFUSED)
    if code != outcome.DONE:
        raise outcome.Ends(code)


def _tell_plan(found: Plan) -> None:
    answers = {
        "holds": "would go through",
        "waits": "would wait",
        "fails": "would be refused",
    }
    show.line(f"Plan: {found.ref} to {found.stage} {answers.get(found.verdict.standing, found.verdict.standing)}.")
    show.line(f"  artifacts  {show.short(found.artifacts)}")
    show.line(f"  serves     {_serving(found)}")
    leaving = ", ".join(f"version {number}" for number in found.leavers) or "nobody"
    show.line(f"  enters     version {show.numbered(found.version, found.semantic_version)}")
    show.line(f"  leaves     {leaving}")
    if found.release is not None:
        workers = show.counted(found.release.workers, "worker")
        show.line(
            f"  release    engine {found.release.engine}, {workers}, {found.release.timeout_seconds:g} s a request"
        )
    show.line(f"  plan       {show.short(found.digest)} (what an approval signs)")
    if found.verdict.gates:
        show.line("")
        show.gates(found.verdict.gates)
    if found.verdict.would_be != found.verdict.standing:
        show.line("The policy's level does not enforce every gate: those that do not hold are recorded only.")


def _serving(found: Plan) -> str:
    if found.environment is None:
        return "nowhere: no environment serves this stage or this model"
    now = "nothing" if found.serves_now is None else f"version {found.serves_now}"
    return f"in {found.environment}, where {now} serves now"


@click.command(short_help="Run the validation suite on a version.")
@click.argument("version", type=options.VERSION, metavar="MODEL@VERSION")
@click.option(
    "--wait",
    type=options.DURATION,
    default=VALIDATION_WAIT,
    show_default=True,
    help="How long to wait for the results.",
)
@click.option("--no-wait", is_flag=True, help="Only put it in the queue.")
@options.asks
def validate(
    version: VersionRef, wait: timedelta, no_wait: bool, url: str | None, user: str | None, as_json: bool
) -> None:
    """Run the validation suite on a version's own artifacts and show the results.

    Exits 0 when every test passed, 1 when one failed, 8 when it is not over yet.
    """
    from lockgate.wire.plain import to_json

    client = options.caller(url, user).client()
    limit = None if no_wait else wait.total_seconds()
    found = client.validate((version.model, version.version), wait=limit)
    if as_json:
        outcome.show_json(to_json(found))
    else:
        _tell_validation(found)
    if not found.is_over:
        raise outcome.Ends(outcome.WAITING)
    if found.state != "passed":
        raise outcome.Ends(outcome.REFUSED)


def _tell_validation(found: Validation) -> None:
    took = f" in {found.seconds:.1f} s" if found.seconds is not None else ""
    because = f": {found.because}" if found.because else ""
    ref = show.numbered(found.ref, found.semantic_version)
    show.line(f"Validation of {ref}: {found.state}{took}{because}")
    if not found.is_over:
        show.line(f"It goes on at the server ({found.id}). Look again with: lockgate status {found.model}")
        return
    if found.results:
        show.line(f"On artifacts {show.short(found.digest)}.")
        rows = [(r.name, "passed" if r.passed else "failed", r.because, _measured(r.measured)) for r in found.results]
        show.table(("test", "result", "because", "measured"), rows)
    for result in found.results:
        for warning in result.warnings:
            show.line(f"Warning ({result.name}): {warning}")
    for library in found.libraries:
        if library.installed != library.logged:
            show.line(f"Note: logged with {library.name} {library.logged}, here is {library.installed or 'none'}.")


def _measured(values: object) -> str:
    if not isinstance(values, dict):
        return ""
    return ", ".join(f"{name} {value:.4g}" for name, value in values.items())
