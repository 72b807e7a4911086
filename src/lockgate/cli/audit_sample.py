"""`lockgate audit sample`: promotions drawn by chance, each with all that is kept of it, in one bundle."""

from __future__ import annotations

import json
import os
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from lockgate.cli import options, outcome, show
from lockgate.domain.errors import Conflict, Unavailable
from lockgate.domain.sampling import MOST

if TYPE_CHECKING:
    from lockgate.wire import history as wire

# what a zip says of its files' time where it says nothing: the bundle's own time is in sample.json
_NO_TIME = (1980, 1, 1, 0, 0, 0)


def add_to(audit: click.Group) -> None:
    """Add the command to `lockgate audit`."""
    audit.add_command(sample)


@click.command(short_help="Draw promotions by chance, with all their evidence in one bundle.")
@click.option("-n", "wanted", type=click.IntRange(1, MOST), default=25, show_default=True, help="How many promotions.")
@click.option("--since", metavar="DATE", help="Of those that were over then or later, in UTC.")
@click.option("--until", metavar="DATE", help="Of those that were over by then, in UTC. [now]")
@click.option("--seed", metavar="WORD", default="", help="Draw what this word has drawn before. [a new one]")
@click.option("--output", "target", metavar="FILE", required=True, help="The bundle to write: a zip file.")
@options.asks
def sample(
    wanted: int,
    since: str | None,
    until: str | None,
    seed: str,
    target: str,
    url: str | None,
    user: str | None,
    as_json: bool,
) -> None:
    """Draw promotions by chance and write everything that is kept of them into one zip file.

    It holds index.html to read, sample.json with all of it, a file for each promotion and each policy, and for each
    entry of the record the proof that it is there: `lockgate audit verify` checks it offline.
    """
    path = Path(target).expanduser().absolute()
    _must_be_new(path)
    client = options.caller(url, user).client()
    drawn = client.history.sample(wanted, since=since, until=until, seed=seed)
    write_bundle(drawn, path)
    told = {"output": str(path), "seed": drawn.seed, "since": drawn.since, "until": drawn.until}
    ids = [each.behind.promotion.id for each in drawn.promotions]
    if as_json:
        from lockgate.wire.plain import to_json

        outcome.show_json({**to_json(told), "population": drawn.population, "promotions": ids})
        return
    show.line(f"{len(ids)} of {show.counted(drawn.population, 'promotion')} drawn, with the seed {drawn.seed}.")
    show.line(f"{path} holds them. Open index.html in it.")
    from lockgate.cli.sample_page import again

    show.line(f"The same again: {again(drawn)} --output …")


def write_bundle(drawn: wire.Sample, path: Path) -> None:
    """Write the zip file, whole or not at all. Raises Conflict when it is there, Unavailable when it cannot be."""
    _must_be_new(path)
    half = path.with_name(f".{path.name}.{os.getpid()}.part")
    try:
        with zipfile.ZipFile(half, "x", zipfile.ZIP_DEFLATED) as bundle:
            for name, text in _files(drawn):
                file = zipfile.ZipInfo(name, _NO_TIME)
                file.compress_type = zipfile.ZIP_DEFLATED
                file.external_attr = 0o600 << 16
                bundle.writestr(file, text)
        half.rename(path)
    except OSError as error:
        hint = "Name a file in a folder that is there and that you can write in."
        raise Unavailable(f"{path} cannot be written: {error.strerror or error}.", hint=hint) from None
    finally:
        half.unlink(missing_ok=True)


def _files(drawn: wire.Sample) -> Iterator[tuple[str, str]]:
    from lockgate.cli import sample_page
    from lockgate.wire.plain import to_json

    yield "index.html", sample_page.sample_page(drawn)
    yield "sample.json", _json(to_json(drawn))
    if drawn.checkpoint:
        yield "checkpoint.txt", drawn.checkpoint
    for key in drawn.keys[-1:]:
        yield "public-key.txt", f"{key}\n"
    policies = {}
    for each in drawn.promotions:
        yield sample_page.file_name(each.behind.promotion.id), _json(to_json(each))
        if each.behind.policy is not None:
            policies[each.behind.policy.digest] = each.behind.policy.text
    for digest, text in sorted(policies.items()):
        yield f"policies/{digest.removeprefix('sha256:')}.yaml", text
    yield from _proofs(drawn)


def _proofs(drawn: wire.Sample) -> Iterator[tuple[str, str]]:
    """For each entry the file that `lockgate audit verify` checks by itself; several promotions may share one."""
    from lockgate.domain import proofs
    from lockgate.domain.audit import Linked
    from lockgate.domain.checkpoints import PublicKey, proof_bytes

    keys = [PublicKey.parse(key) for key in drawn.keys]
    written: dict[str, str] = {}
    for each in (entry for promotion in drawn.promotions for entry in promotion.entries):
        of = each.entry
        if each.position is None or not each.proven or not of.text:
            continue
        linked = Linked(of.chain, of.number, of.hash, of.text)
        told = proofs.proof(linked, each.position, proof_bytes(each.proof), drawn.checkpoint, keys)
        written[f"proofs/{of.chain.replace(':', '-')}-{of.number}.json"] = _json(told)
    yield from sorted(written.items())


def _json(value: Any) -> str:
    return json.dumps(value, indent=2, ensure_ascii=False) + "\n"


def _must_be_new(path: Path) -> None:
    if path.exists():
        raise Conflict(f"{path} is there already.", hint="Name another file with --output.")
