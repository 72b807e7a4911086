"""`lockgate promote` and `lockgate rollback`: moving a version, and seeing it moved."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import replace as changed
from datetime import timedelta
from typing import TYPE_CHECKING

import click

from lockgate.cli import follow, options, outcome, plan_file, show
from lockgate.domain.stages import Stage
from lockgate.domain.versions import VersionRef

if TYPE_CHECKING:
    from lockgate.sdk.client import Lockgate
    from lockgate.wire.shapes import Endpoint, Promotion

UNTIL_DONE = "until-done"
_LENGTH = re.compile(r"^\d+(\.\d+)?(ms|s|m|h|d)$")


class _Waits(click.Command):
    """Lets `--wait` stand anywhere: it takes the next word only when that is a length of time."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        told = list(args)
        for place, word in enumerate(told):
            if word == "--wait" and not (place + 1 < len(told) and _LENGTH.match(told[place + 1])):
                told[place] = f"--wait={UNTIL_DONE}"
        return super().parse_args(ctx, told)


def _read_wait(written: str) -> timedelta | str:
    from lockgate.domain.durations import parse_duration

    return UNTIL_DONE if written == UNTIL_DONE else parse_duration(written)


_WAIT = options.Written("[DURATION]", _read_wait)


@click.command(cls=_Waits, short_help="Move a version to Staging or Production.")
@click.argument("version", type=options.VERSION, metavar="[MODEL@VERSION]", required=False)
@click.option("--to", type=options.STAGE, help="Where to: staging or production; archived or none to take it out.")
@click.option("--reason", default="", help="Why; it goes on the record.")
@click.option("--wait", type=_WAIT, help="See it through to its end, for at most DURATION (5m, 24h) if one is given.")
@click.option("--keep-existing", is_flag=True, help="Leave the versions that are in the stage now where they are.")
@click.option(
    "--replace", type=click.IntRange(min=1), metavar="VERSION", help="The version that leaves the stage; no other does."
)
@click.option(
    "--plan", "plan", metavar="FILE|DIGEST", help="Carry out this plan and no other: it says the version and the stage."
)
@options.asks
def promote(
    version: VersionRef | None, to: Stage | None, reason: str, wait: timedelta | str | None, keep_existing: bool,
    replace: int | None, plan: str | None, url: str | None, user: str | None, as_json: bool,
) -> None:  # fmt: skip
    """Move a version to Staging or Production, as soon as every gate holds.

    Validations that are missing are run. Without --wait it watches for half a minute at most, and exits 8 when the move
    waits for an approval or for time by then: it goes on at the server. Taking a version out of its stage
    (--to archived) is never gated. With --plan it is refused, saying what changed, once the plan is another.
    """
    client = options.caller(url, user).client()
    told = plan_file.bound(client, version, to, plan)
    opened = client.promote(
        (told.ref.model, told.ref.version), told.stage.value,
        reason=reason, archive_existing=not keep_existing, plan=told.digest, replace=replace,
    )  # fmt: skip
    limit = follow.SHORT_WAIT if wait is None else None if isinstance(wait, str) else wait.total_seconds()
    ended = follow.to_its_end(client, opened, limit, quiet=as_json, patient=wait is not None)
    finish(client, ended, as_json=as_json)


@click.command(cls=_Waits, short_help="Go back to the last known good release.")
@click.argument("model", type=options.MODEL)
@click.option("--reason", required=True, help="Why; it goes on the record.")
@click.option("--to", type=int, metavar="VERSION", help="Go back to this version, where it qualifies.")
@click.option("--environment", default="production", show_default=True, help="Where to go back.")
@click.option("--wait", type=_WAIT, help="See it through to its end, for at most DURATION if one is given.")
@options.asks
def rollback(
    model: str, reason: str, to: int | None, environment: str, wait: timedelta | str | None,
    url: str | None, user: str | None, as_json: bool,
) -> None:  # fmt: skip
    """Go back to the last known good release: one that served here, was approved and finished its bake.

    The version it leaves is archived and quarantined: it needs a fresh approval to come back.
    """
    client = options.caller(url, user).client()
    opened = client.rollback(model, reason, to=to, environment=environment)
    limit = follow.SHORT_WAIT if wait is None else None if isinstance(wait, str) else wait.total_seconds()
    finish(client, follow.to_its_end(client, opened, limit, quiet=as_json, patient=True), as_json=as_json)


def finish(client: Lockgate, promotion: Promotion, *, as_json: bool) -> None:
    """Say how it ended, or that it goes on (exit 8). Raises what it ended as when it is over and not done."""
    from lockgate.sdk.outcome import outcome_of
    from lockgate.wire.plain import to_json

    if not promotion.is_over:
        if as_json:
            outcome.show_json(to_json(promotion))
        else:
            _tell_waiting(promotion)
        raise outcome.Ends(outcome.WAITING)
    outcome_of(promotion)
    if as_json:
        outcome.show_json(to_json(promotion))
    else:
        _tell_done(promotion, client.endpoints())


def _tell_waiting(promotion: Promotion) -> None:
    """What it waits for, and how to go on: it is no error."""
    show.line(f"Waiting: the promotion of {promotion.ref} to {promotion.stage} is {follow.doing(promotion)}.")
    stopping = [gate for gate in promotion.verdict.gates if gate.binds] if promotion.verdict else []
    if stopping and promotion.state == "waiting":
        show.line("")
        show.gates(stopping)
    show.line(f"It goes on at the server ({promotion.id}). See it through with: {follow.follow_command(promotion)}")


def _tell_done(promotion: Promotion, endpoints: Sequence[Endpoint]) -> None:
    show.line(_outcome(promotion, endpoints))
    verdict = promotion.verdict
    if verdict is None or verdict.would_be == "holds" or promotion.kind == "rollback":
        return
    if promotion.kind == "break-glass":
        show.line(f"\n{show.counted(len(verdict.open), 'gate')} did not hold, and the broken glass set them aside:")
        show.gates(changed(gate, next="") for gate in verdict.open)
        return
    show.line("")
    show.line(f"{show.counted(len(verdict.open), 'gate')} did not hold, and the policy's level does not enforce them:")
    # without their next commands: those led to the move that is made
    show.gates(changed(gate, next="") for gate in verdict.open)


def _outcome(promotion: Promotion, endpoints: Sequence[Endpoint]) -> str:
    if not Stage.parse(promotion.stage).is_gated:
        served = [e for e in endpoints if (e.model, e.version) == (promotion.model, promotion.version)]
        still = "".join(
            f"\nIts {e.environment} endpoint is {e.state} and goes on answering; stop it with:"
            f" lockgate endpoints retire {e.model} --environment {e.environment}"
            for e in served
        )
        return f"Done: {promotion.ref} is in {promotion.stage}.{still}"
    serving = next(
        (
            e
            for e in endpoints
            if e.model == promotion.model and e.version == promotion.version and e.url and _serves(e, promotion)
        ),
        None,
    )
    where = f", served at {serving.url}/invocations" if serving else ", served nowhere"
    if promotion.kind == "rollback":
        left = f" Version {promotion.leaves} is archived and quarantined." if promotion.leaves else ""
        return f"Rolled back: {promotion.ref} is in {promotion.stage}{where}.{left}"
    return f"Done: {promotion.ref} is in {promotion.stage}{where}."


def _serves(endpoint: Endpoint, promotion: Promotion) -> bool:
    return not promotion.endpoint or endpoint.generation >= promotion.generation
