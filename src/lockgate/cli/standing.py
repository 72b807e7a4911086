"""`lockgate status`: where every version is, what serves, and what is still missing."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from lockgate.cli import approval_page, doctor_report, follow, options, outcome, show
from lockgate.cli.home import CHILDREN, UP

if TYPE_CHECKING:
    from lockgate.sdk.client import Lockgate
    from lockgate.wire.approvals import BreakGlass
    from lockgate.wire.shapes import ModelStatus, ModelSummary, Overview, VersionStatus


@click.command(short_help="Show where every model, or one model's versions, stand.")
@click.argument("model", type=options.MODEL, required=False)
@options.asks
def status(model: str | None, url: str | None, user: str | None, as_json: bool) -> None:
    """Show all models on a line each, or each version of one MODEL: where it is, what serves it, what is missing."""
    from lockgate.wire.plain import to_json

    caller = options.caller(url, user)
    client = caller.client()
    if model is not None:
        found = _of_model(client, model)
        glasses = _open_glasses(client, model)
        if as_json:
            outcome.show_json({**to_json(found), "break_glass": to_json(glasses)})
        else:
            approval_page.tell_reviews(glasses)
            _tell_model(found)
        return
    overview, glasses = client.status(), _open_glasses(client, None)
    processes = _processes(caller.url)
    if as_json:
        outcome.show_json({**to_json(overview), "processes": processes, "break_glass": to_json(glasses)})
    else:
        approval_page.tell_reviews(glasses)
        _tell_overview(overview, processes, caller.url)


def _open_glasses(client: Lockgate, model: str | None) -> tuple[BreakGlass, ...]:
    """When gates were set aside or are asked to be, as long as somebody has to do something about it."""
    return tuple(glass for glass in client.break_glass.all(model) if approval_page.review_line(glass))


def _of_model(client: Lockgate, model: str) -> ModelStatus:
    from lockgate.sdk.errors import NotFound

    try:
        return client.status(model)
    except NotFound as gone:
        name, at, number = model.rpartition("@")
        if at and number.isdecimal():
            gone.hint = f"A version stands with its model: lockgate status {name}"
        raise


def _tell_overview(found: Overview, processes: dict[str, str], url: str) -> None:
    whose = "built in" if found.builtin else show.short(found.policy_digest)
    show.line(f"{url}: {show.counted(len(found.models), 'model')}. Policy: {found.level} ({whose}).")
    if processes:
        show.line("Processes: " + ", ".join(f"{role} {state}" for role, state in processes.items()) + ".")
    for trouble in found.troubles:
        show.line(f"! {trouble} (lockgate audit anchors)")
    if not found.models:
        show.line("No model is registered yet. With MLflow: log_model(…, registered_model_name='NAME')")
        return
    show.line("")
    rows = [(m.model, m.versions, m.staging, m.production, _served(m), m.pending or None) for m in found.models]
    show.table(("model", "versions", "staging", "production", "serves", "pending approvals"), rows)


def _served(summary: ModelSummary) -> str:
    return "\n".join(
        f"{e.environment}: {e.version if e.version is not None else '-'} ({e.state})" for e in summary.endpoints
    )


def _processes(url: str) -> dict[str, str]:
    """The processes of the `up` here, if it is the one that was asked."""
    home = options.home_folder(None)
    if home.told(UP).get("url") != url or home.recorded(UP) is None:
        return {}
    return {role: "runs" if home.recorded(role) else "does not run" for role in CHILDREN}


def _tell_model(found: ModelStatus) -> None:
    show.line(f"{found.model}: {show.counted(len(found.versions), 'version')}")
    show.line("")
    rows = [_row(version) for version in found.versions]
    show.table(("version", "semantic", "stage", "since (UTC)", "aliases", "serves in", "validation", "artifacts"), rows)
    for origin in ("before Lockgate", "unrecorded"):
        _tell_origin(found, origin)
    doctor_report.drift(found.drift)
    for version in found.versions:
        _tell_version(version)
    if found.endpoints:
        show.line("")
        show.endpoints(found.endpoints)
    for request in found.pending:
        show.line(f"{request.ref} waits for approval for {request.stage}; {request.asked_by} asked: {request.reason}")


def _tell_origin(found: ModelStatus, origin: str) -> None:
    numbers = [str(version.version) for version in found.versions if version.provenance == origin]
    if numbers:
        meaning = "made past Lockgate, and unrecorded" if origin == "unrecorded" else f"from {origin}"
        listed = ", ".join(numbers[:20]) + (" …" if len(numbers) > 20 else "")
        show.line(f"{'Version' if len(numbers) == 1 else 'Versions'} {listed}: {meaning}.")


def _row(version: VersionStatus) -> tuple[Any, ...]:
    stage = f"{version.stage} (primary)" if version.primary else version.stage
    artifacts = show.short(version.digest) if version.digest else "unpinned"
    return (
        version.version, version.semantic_version, stage, show.when(version.since), ", ".join(version.aliases),
        ", ".join(version.served_by),
        version.validation.state if version.validation else None, artifacts,
    )  # fmt: skip


def _tell_version(version: VersionStatus) -> None:
    if version.semantic_version is None and version.semantic_because:
        show.line("")
        show.line(f"{version.ref} has no semantic version: {version.semantic_because}")
    if version.checks:
        show.line("")
        told = ", ".join(f"{check.name} {'passed' if check.passed else 'failed'}" for check in version.checks)
        show.line(f"Checks of {version.ref}: {told}. See: lockgate check list {version.ref}")
    if version.quarantine is not None:
        show.line("")
        show.line(
            f"{version.ref} is quarantined since {show.when(version.quarantine.at)}: {version.quarantine.reason}. "
            "It needs a fresh approval to come back."
        )
    if version.open_promotion is not None:
        show.line("")
        show.line(
            f"{version.ref} is on its way to {version.open_promotion.stage}: {follow.doing(version.open_promotion)}."
        )
        show.line(f"  See it through with: {follow.follow_command(version.open_promotion)}")
    if version.next_stage is None:
        return
    show.line("")
    if any(gate.binds for gate in version.missing):
        show.line(f"Missing for {version.ref} to reach {version.next_stage}:")
        show.gates(version.missing)
    elif version.missing:
        gates = show.counted(len(version.missing), "gate")
        show.line(
            f"{gates} would not hold for {version.ref} in {version.next_stage}, and the policy's level does not "
            f"enforce that. It can go there now: lockgate promote {version.ref} --to {version.next_stage.lower()}"
        )
        show.gates(version.missing)
    else:
        show.line(
            f"Nothing is missing for {version.ref}: lockgate promote {version.ref} --to {version.next_stage.lower()}"
        )
