"""`lockgate init` and `lockgate policy`: writing a policy file, checking it, trying it on the past, applying it."""

from __future__ import annotations

import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

import click

from lockgate.cli import options, outcome, policy_show, show
from lockgate.domain.errors import BadInput, Conflict
from lockgate.domain.stages import Stage
from lockgate.domain.versions import VersionRef, model_name, version_number

if TYPE_CHECKING:
    from collections.abc import Sequence

    from lockgate.config import Settings
    from lockgate.domain.policy import Policy
    from lockgate.sdk.client import Lockgate
    from lockgate.wire.policies import Rejudged

POLICY_FILE = "lockgate.yaml"
SHOWN = 50


@click.command(short_help="Write a strict policy file to begin with.")
@click.option("--policy", "file", metavar="FILE", default=POLICY_FILE, show_default=True, help="Where to write it.")
@options.as_json
def init(file: str, as_json: bool) -> None:
    """Write a strict policy file, whose every gate this release can satisfy. A file that is there stays as it is."""
    from lockgate import wiring

    path = Path(file).expanduser().absolute()
    try:
        with path.open("x", encoding="utf-8") as out:
            out.write(wiring.starter_policy())
    except FileExistsError:
        raise Conflict(f"{path} is there already.", hint=f"Look at it with: lockgate policy check {file}") from None
    except OSError as error:
        raise BadInput(
            f"{path} cannot be written: {error.strerror}.", hint="Name another one: lockgate init --policy FILE"
        ) from None
    if as_json:
        outcome.show_json({"policy": str(path)})
        return
    show.line(f"Wrote {path}.")
    show.line("Read it, change what you like, then:")
    show.line(f"  lockgate policy check {file}")
    show.line("  lockgate up" if file == POLICY_FILE else f"  lockgate up --policy {file}")


@click.group(short_help="Check, explain, try and apply the policy.")
def policy() -> None:
    """The rules that promotions are judged by."""


@policy.command(short_help="Find the mistakes of a policy file.")
@click.argument("file", default=POLICY_FILE)
@options.as_json
def check(file: str, as_json: bool) -> None:
    """Read a policy file and say what it asks for, or line, key and what was expected where it is wrong (exit 2).

    It needs no server and changes nothing.
    """
    found = read(Path(file), options.settings())
    if as_json:
        outcome.show_json({"valid": True, "digest": found.digest, "level": found.level.value})
    else:
        _tell(file, found)


@policy.command(name="show", short_help="Show the policy in force.")
@options.asks
def show_(url: str | None, user: str | None, as_json: bool) -> None:
    """Print the text of the policy by which gates are judged now, as it was applied."""
    from lockgate.wire.plain import to_json

    found = options.caller(url, user).client().policy()
    if as_json:
        outcome.show_json(to_json(found))
    elif found.text is None:
        show.line(f"The built-in policy is in force (level {found.level}, digest {show.short(found.digest)}).")
        show.line("Write a file of your own with: lockgate init")
    else:
        # on standard output there is the text alone, so that it can go into a file
        show.line(f"In force: level {found.level}, digest {show.short(found.digest)}.", err=True)
        click.echo(found.text, nl=not found.text.endswith("\n"))


@policy.command(short_help="Show what each gate sees of a version, and what asks for it.")
@click.argument("words", nargs=-1, required=True, metavar="MODEL@VERSION")
@click.option("--to", type=options.GATED_STAGE, default="production", show_default=True, help="Into which stage.")
@click.option("--keep-existing", is_flag=True, help="Leave the versions that are in the stage now where they are.")
@options.asks
def explain(
    words: Sequence[str], to: Stage, keep_existing: bool, url: str | None, user: str | None, as_json: bool
) -> None:
    """Show each gate of a move: what it sees now, what is required, the line of the policy that asks for it.

    Its level too, and how its evidence is known. Moves nothing; exits 0 whatever the answer is.
    """
    from lockgate.wire.plain import to_json

    version = _version(words)
    client = options.caller(url, user).client()
    found = client.policies.explain((version.model, version.version), to.value, archive_existing=not keep_existing)
    if as_json:
        outcome.show_json(to_json(found))
    else:
        policy_show.explanation(found)


@policy.command(short_help="Judge the past by another policy.")
@click.argument("file")
@click.option("--since", metavar="DATE", help="Only what was asked for since then: 2026-01-31, or with a time, in UTC.")
@click.option("--model", default="*", show_default=True, metavar="PATTERN", help="Only models that match.")
@options.asks
def simulate(file: str, since: str | None, model: str, url: str | None, user: str | None, as_json: bool) -> None:
    """Judge every verdict of the past again by the policy in FILE, and list what would have been decided otherwise.

    What the evidence of that day does not say is shown as unknown. Changes nothing; exits 0.
    """
    read(Path(file), options.settings())
    began = _moment(since) if since else None
    client = options.caller(url, user).client()
    found, judged, same = _simulated(client, text_of(Path(file)), began, model)
    if as_json:
        from lockgate.wire.plain import to_json

        outcome.show_json({"judged": judged, "same": same, "different": to_json(found)})
    else:
        _tell_simulated(file, found, judged, same)


@policy.command(name="apply", short_help="Put a policy file in force.")
@click.argument("file", default=POLICY_FILE)
@click.option("--reason", default="", help="Why; it stands on the record.")
@options.asks
def apply_(file: str, reason: str, url: str | None, user: str | None, as_json: bool) -> None:
    """Put a policy file in force for every server: the next verdict is given by it.

    Takes an administrator, and once there are users a second one who agrees (exit 8 until then).
    """
    from lockgate.wire.plain import to_json

    read(Path(file), options.settings())
    found = options.caller(url, user).client().policies.apply(text_of(Path(file)), reason)
    if as_json:
        outcome.show_json(to_json(found))
    elif found.proposal:
        show.line(f"{file} is proposed (digest {show.short(found.digest)}): a second administrator puts it in force.")
        show.line(f"  lockgate policy approve {found.proposal}")
    elif not found.changed:
        show.line(f"{file} is in force already (digest {show.short(found.digest)}). Nothing was changed.")
    else:
        show.line(f"{file} is in force: level {found.level}, digest {show.short(found.digest)}.")
        show.line(f"Before it: {show.short(found.before)}.")
    if found.proposal:
        raise outcome.Ends(outcome.WAITING)


def read(file: Path, settings: Settings) -> Policy:
    """The policy of a file, on these settings' ports. Raises BadInput naming line, key and what was expected."""
    from lockgate import wiring

    return wiring.check_policy(text_of(file), settings, name=str(file))


def text_of(file: Path) -> str:
    """The text of a policy file. Raises BadInput."""
    try:
        return file.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        because = getattr(error, "strerror", None) or "it is not text in UTF-8"
        raise BadInput(
            f"The policy file {file} cannot be read: {because}.", hint="Write one with: lockgate init"
        ) from None


def _simulated(client: Lockgate, text: str, since: datetime | None, model: str) -> tuple[list[Rejudged], int, int]:
    """Everything that would have been otherwise, how many were judged, and how many stay as they are."""
    from rich.progress import Progress

    found: list[Rejudged] = []
    judged = same = 0
    with Progress(console=show.console(err=True), transient=True, disable=not sys.stderr.isatty()) as progress:
        bar = progress.add_task("Judging the past", total=None)
        for page in client.policies.simulate(text, since=since, model=model):
            found += page.different
            judged, same = judged + page.judged, same + page.same
            progress.update(bar, total=page.total or None, advance=page.looked_at)
    return found, judged, same


def _tell_simulated(file: str, found: list[Rejudged], judged: int, same: int) -> None:
    if not judged:
        show.line("Nothing was judged in that time: there is no history to try it on.")
        return
    show.line(f"Under {file}, of {show.counted(judged, 'verdict')}:")
    counts: dict[tuple[str, str], int] = {}
    for each in found:
        counts[each.then, each.now] = counts.get((each.then, each.now), 0) + 1
    rows: list[tuple[str, str, int]] = [("as it was", "", same)]
    rows += [(then, now, number) for (then, now), number in sorted(counts.items())]
    show.table(("then", "now", "verdicts"), rows)
    if not found:
        return
    show.line("")
    policy_show.rejudged(found[:SHOWN])
    if len(found) > SHOWN:
        show.line(f"… and {len(found) - SHOWN} more: all of them with --json.")


def _version(words: Sequence[str]) -> VersionRef:
    """`fraud@7`, or `fraud 7`. Raises BadInput."""
    match words:
        case [written]:
            return VersionRef.parse(written)
        case [model, number]:
            return VersionRef(model_name(model), version_number(number))
        case _:
            raise BadInput("That is more than a version.", hint="Write it as: lockgate policy explain MODEL@VERSION")


def _moment(written: str) -> datetime:
    try:
        found = datetime.fromisoformat(written)
    except ValueError:
        raise BadInput(f"{written!r} is not a date.", hint="Write it as 2026-01-31 or 2026-01-31T12:00.") from None
    return found if found.tzinfo is not None else found.replace(tzinfo=UTC)


def _tell(file: str, found: Policy) -> None:
    show.line(f"{file} is right. Level: {found.level.value}. Digest: {show.short(found.digest)}.")
    for stage, rules in found.stages.items():
        asked = [f"min_{name} {threshold.at_least:g}" for name, threshold in rules.metrics.items()]
        asked += [f"max_{name} {ceiling.at_most:g}" for name, ceiling in rules.ceilings.items()]
        asked += [f"{name} against the champion" for name in rules.champion]
        asked += rules.validation_tests
        asked += [f"tag {tag}" for tag in rules.required_tags]
        asked += [f"check {check.name}" for check in rules.checks]
        if rules.previous_stage:
            asked.append(f"comes from {rules.previous_stage.value}")
        if rules.soak:
            from lockgate.domain.durations import spoken

            asked.append(f"{spoken(rules.soak)} in Staging")
        asked += [f"rule {rule.name}" for rule in rules.custom]
        asked += [f"{group.how.replace('_', ' ')} {group.name}" for group in rules.groups]
        if rules.approval:
            asked.append(show.counted(rules.approval.approvals, "approval"))
        show.line(f"  {stage.value} (alias {rules.alias}): {', '.join(asked) or 'asks for nothing'}")
    for place in found.environments:
        show.line(f"  {place.name} serves {place.stage.value} on port {place.port or 'any'}")
