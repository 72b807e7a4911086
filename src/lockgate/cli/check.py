"""`lockgate check report` and `check list`: what a system outside, such as CI, found about a version."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import click

from lockgate.cli import options, outcome, show
from lockgate.domain.errors import BadInput
from lockgate.domain.versions import VersionRef, model_name, version_number

if TYPE_CHECKING:
    from lockgate.wire.shapes import Check


@click.group(short_help="Report results from outside, and list them.")
def check() -> None:
    """Results that a system outside reports about a version: evidence that a policy may require."""


@check.command("report", short_help="Report that a version passed or failed a check.")
@click.argument("words", nargs=-1, required=True, metavar="MODEL@VERSION NAME")
@click.option("--pass", "answers", flag_value="pass", multiple=True, help="The check passed.")
@click.option("--fail", "answers", flag_value="fail", multiple=True, help="The check failed.")
@click.option("--url", "page", default="", metavar="URL", help="Where the result can be looked at: http or https.")
@click.option("--comment", default="", help="What the record should say beside it.")
@click.option("--digest", default="", help="The artifacts that were looked at: refused when the version has others.")
@options.asks_server
def report(
    words: Sequence[str], answers: Sequence[str], page: str, comment: str, digest: str,
    url: str | None, user: str | None, as_json: bool,
) -> None:  # fmt: skip
    """Report the result of the check NAME about a version's files. A later one of the same name replaces it."""
    from lockgate.wire.plain import to_json

    *about, name = words
    ref = _version(about)
    if len(set(answers)) != 1:
        # neither is guessed: a result that nobody named must not pass
        raise BadInput("Say what the check found.", hint="Give --pass or --fail, one of the two.")
    client = options.caller(url, user).client()
    told = client.checks.report(
        (ref.model, ref.version), name, passed=answers[0] == "pass", url=page, comment=comment, digest=digest
    )
    if as_json:
        outcome.show_json(to_json(told))
        return
    show.line(f"Reported: {told.name} {_word(told)} for {told.ref}, as {told.who}.")
    show.line(f"It is about the artifacts {show.short(told.digest)}; a promotion that waits for it goes on by itself.")


@check.command("list", short_help="List what was reported about a version.")
@click.argument("words", nargs=-1, required=True, metavar="MODEL@VERSION")
@click.option("--every", is_flag=True, help="Also what a later report replaced, newest first.")
@click.option("--limit", type=click.IntRange(1, 1000), default=100, show_default=True, help="At most so many.")
@options.asks
def list_(words: Sequence[str], every: bool, limit: int, url: str | None, user: str | None, as_json: bool) -> None:
    """List the check that counts of each name."""
    from lockgate.wire.plain import to_json

    ref = _version(words)
    found = options.caller(url, user).client().checks.of((ref.model, ref.version), every=every, limit=limit)
    if as_json:
        outcome.show_json({"checks": to_json(found)})
    elif not found:
        show.line(f"No check of {ref} was reported. Report one with: lockgate check report {ref} NAME --pass")
    else:
        rows = [(c.name, _word(c), show.when(c.at), c.who, c.url, c.comment) for c in found]
        show.table(("check", "answer", "at (UTC)", "reported by", "url", "comment"), rows)
        show.line(f"About the artifacts {', '.join(sorted({show.short(c.digest) for c in found}))}.")


def _version(words: Sequence[str]) -> VersionRef:
    """The version in `fraud@7` or `fraud 7`. Raises BadInput."""
    match words:
        case [written]:
            return VersionRef.parse(written)
        case [model, version]:
            return VersionRef(model_name(model), version_number(version))
    raise BadInput(
        "That does not name one version.", hint="Write MODEL@VERSION or MODEL VERSION, for example fraud@7 or fraud 7."
    )


def _word(of: Check) -> str:
    return "passed" if of.passed else "failed"
