"""`lockgate endpoints split`: how requests are divided among the versions that hold a stage."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from lockgate.cli import options, outcome, show
from lockgate.domain.errors import BadInput

if TYPE_CHECKING:
    from lockgate.wire.splits import Split


@click.command(short_help="Divide an endpoint's requests among versions; show or end that.")
@click.argument("model", type=options.MODEL, required=False)
@click.option("--environment", help="staging, production, or one of the policy's.")
@click.option(
    "--share",
    "shares",
    multiple=True,
    metavar="VERSION=PERCENT",
    help="Give a version so much. The primary's is the rest.",
)
@click.option("--header", default="", metavar="NAME", help="A header whose value is the version that is to answer.")
@click.option(
    "--key", default="", metavar="NAME", help="A header: the same value is always answered by the same version."
)
@click.option("--cookie", default="", metavar="NAME", help="A cookie that keeps a client with its version.")
@click.option(
    "--shadow", default="", metavar="VERSION[=PERCENT]", help="Send that version copies; nobody sees its answers."
)
@click.option("--remove", is_flag=True, help="Give all requests to the primary version again.")
@click.option("--reason", default="", help="Why; it goes on the record.")
@options.asks
def split(
    model: str | None,
    environment: str | None,
    shares: tuple[str, ...],
    header: str,
    key: str,
    cookie: str,
    shadow: str,
    remove: bool,
    reason: str,
    url: str | None,
    user: str | None,
    as_json: bool,
) -> None:
    """Divide the requests to MODEL among the versions that hold the environment's stage.

    Without an option it shows how they are divided. A version that leaves the stage loses its share at once.
    """
    from lockgate.wire.plain import to_json

    client = options.caller(url, user).client()
    divides = bool(shares or header or key or cookie or shadow)
    if not divides and not remove:
        found = client.splits.list(model, environment)
    elif model is None or environment is None or (remove and divides):
        raise BadInput(
            "What is to be divided how?",
            hint="lockgate endpoints split MODEL --environment production --share 7=10, or --remove instead of shares",
        )
    elif remove:
        client.splits.remove(model, environment, reason)
        found = client.splits.list(model, environment)
    else:
        version, percent = _percent(shadow, 100.0) if shadow else (None, 100.0)
        found = (
            client.splits.set(
                model,
                environment,
                dict(_percent(share) for share in shares),
                header=header,
                key=key,
                cookie=cookie,
                shadow=version,
                shadow_percent=percent,
                reason=reason,
            ),
        )
    if as_json:
        outcome.show_json({"splits": to_json(found)})
    else:
        _show(found)


def in_one_line(of: Split) -> str:
    """That an endpoint's requests are divided, and to whom."""
    told = [f"{share.percent:g} % for version {share.version}" for share in of.in_force]
    told += [f"copies for version {of.shadow}"] if of.shadow is not None else []
    told += [f"by the header {of.header}"] if of.header else []
    how = ", ".join(told) or "no share is in force"
    return f"{of.model} in {of.environment} divides its requests: {how}"


def _percent(written: str, default: float | None = None) -> tuple[int, float]:
    """`7=10` or `7=10%`; without a percentage the default, where there is one."""
    number, equals, percent = written.partition("=")
    try:
        if default is not None and not equals:
            return int(number), default
        return int(number), float(percent.strip().removesuffix("%"))
    except ValueError:
        raise BadInput(f"{written[:100]!r} is no share.", hint="Write it as VERSION=PERCENT, like 7=10.") from None


def _show(found: tuple[Split, ...]) -> None:
    if not found:
        show.line("Nothing is divided: every endpoint's primary version answers all requests that name none.")
    for each in found:
        _show_one(each)


def _show_one(of: Split) -> None:
    primary = "no version serves" if of.primary is None else f"version {of.primary} is primary"
    show.line(f"{of.model} in {of.environment}: {primary}. Divided by {of.set_by}, {show.when(of.set_at)} UTC.")
    in_force = {share.version for share in of.in_force}
    for share in of.shares:
        told = "" if share.version in in_force else ", not in force: it does not hold the stage, or is primary"
        show.line(f"  version {share.version} gets {share.percent:g} %{told}")
    if of.header:
        show.line(f"  the header {of.header} may name the version")
    if of.key or of.cookie:
        show.line(f"  the same {f'header {of.key}' if of.key else f'cookie {of.cookie}'} stays with its version")
    if of.shadow is not None:
        show.line(f"  version {of.shadow} gets copies of {of.shadow_percent:g} %, and nobody sees its answers")
