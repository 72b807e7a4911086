"""`lockgate init` and `lockgate policy`: writing a policy file and finding its mistakes before a server does."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from lockgate.cli import options, outcome, show
from lockgate.domain.errors import BadInput, Conflict

if TYPE_CHECKING:
    from lockgate.config import Settings
    from lockgate.domain.policy import Policy

POLICY_FILE = "lockgate.yaml"


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


@click.group(short_help="Check a policy file.")
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


def read(file: Path, settings: Settings) -> Policy:
    """The policy of a file, on these settings' ports. Raises BadInput naming line, key and what was expected."""
    from lockgate import wiring

    try:
        text = file.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        because = getattr(error, "strerror", None) or "it is not text in UTF-8"
        raise BadInput(
            f"The policy file {file} cannot be read: {because}.", hint="Write one with: lockgate init"
        ) from None
    return wiring.parse_policy(text, settings, name=str(file))


def _tell(file: str, found: Policy) -> None:
    show.line(f"{file} is right. Level: {found.level.value}. Digest: {show.short(found.digest)}.")
    for stage, rules in found.stages.items():
        asked = [f"min_{name} {threshold.at_least:g}" for name, threshold in rules.metrics.items()]
        asked += rules.validation_tests
        asked += [f"tag {tag}" for tag in rules.required_tags]
        if rules.previous_stage:
            asked.append(f"comes from {rules.previous_stage.value}")
        if rules.soak:
            from lockgate.domain.durations import spoken

            asked.append(f"{spoken(rules.soak)} in Staging")
        if rules.approval:
            asked.append(show.counted(rules.approval.approvals, "approval"))
        show.line(f"  {stage.value} (alias {rules.alias}): {', '.join(asked) or 'asks for nothing'}")
    for place in found.environments:
        show.line(f"  {place.name} serves {place.stage.value} on port {place.port or 'any'}")
