"""A sample of promotions as a page that an auditor reads in a browser."""

from __future__ import annotations

import json
import shlex
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from lockgate.cli import page
from lockgate.cli.page import Html

if TYPE_CHECKING:
    from lockgate.wire import history as wire
    from lockgate.wire import shapes


def sample_page(sample: wire.Sample) -> str:
    """The whole page."""
    return page.page("A sample of promotions", *_parts(sample))


def file_name(promotion: str) -> str:
    """Where the bundle keeps one promotion; nothing of it can lead out of the bundle."""
    return f"promotions/{''.join(c if c.isascii() and (c.isalnum() or c in '-_') else '_' for c in promotion)}.json"


def _parts(sample: wire.Sample) -> Iterator[Html]:
    began = _time(sample.since) if sample.since else "the beginning of the record"
    yield page.facts(
        (
            ("drawn at (UTC)", sample.made_at),
            ("of what was over", f"from {began} to {_time(sample.until)}, UTC"),
            ("drawn", f"{len(sample.promotions)} of {sample.population}"),
            ("seed", page.code(sample.seed)),
            ("to draw them again", page.code(again(sample))),
            ("public keys of the record", page.code(" ".join(sample.keys)) if sample.keys else "none"),
            ("by", f"Lockgate {sample.lockgate}"),
        )
    )
    yield page.paragraph(
        "A promotion is drawn when the SHA-256 of the seed, a colon and its id is among the smallest: nobody who "
        "promoted could know it before. sample.json holds all of this for a program.",
        soft=True,
    )
    yield page.heading("What was drawn")
    yield page.table(
        ("promotion", "version", "stage", "outcome", "asked for by", "agreed", "at (UTC)"),
        [_line(each) for each in sample.promotions],
        none="Nothing was over in that time.",
    )
    for each in sample.promotions:
        yield from _promotion(each)
    if sample.checkpoint:
        yield page.heading("The checkpoint that the proofs lead to")
        yield Html(f"<pre>{page.escape(sample.checkpoint)}</pre>")


def again(sample: wire.Sample) -> str:
    """The command that draws the same promotions again, but for where they go."""
    since = f" --since {sample.since.isoformat()}" if sample.since else ""
    until = f" --until {sample.until.isoformat()}"
    wanted = max(1, len(sample.promotions))
    return f"lockgate audit sample -n {wanted}{since}{until} --seed {shlex.quote(sample.seed)}"


def _line(of: wire.Sampled) -> tuple[object, ...]:
    told = of.behind.promotion
    agreed = ", ".join(str(decision.who) for decision in of.behind.agreed)
    outcome = told.state
    return page.link(told.id, told.id), told.ref, told.stage, outcome, told.asked_by, agreed, told.closed_at


def _promotion(of: wire.Sampled) -> Iterator[Html]:
    told = of.behind.promotion
    yield page.heading(f"{told.ref} to {told.stage}: {told.state}", id=told.id)
    for trouble in of.trouble:
        yield page.told(trouble, "waits")
    yield page.facts(
        (
            ("promotion", page.code(told.id)),
            ("kind", told.kind),
            ("asked for by", _who(told.asked_by)),
            ("asked for at (UTC)", told.asked_at),
            ("reason", told.reason),
            ("over at (UTC)", told.closed_at),
            ("because", told.because),
            ("plan", page.code(told.plan_digest) if told.plan_digest else ""),
            ("artifacts", page.code(of.digest) if of.digest else "not pinned"),
            ("policy", page.code(told.policy_digest) if told.policy_digest else ""),
            ("more", page.code(file_name(told.id))),
        )
    )
    yield from _judged(of)
    yield from _consent(of)
    yield from _tests(of)
    yield from _kept(of)


def _judged(of: wire.Sampled) -> Iterator[Html]:
    yield page.heading("The verdict", level=3)
    verdict = of.behind.promotion.verdict
    gates = verdict.gates if verdict is not None else ()
    rows = [(g.name, g.standing, g.level, g.seen, g.required, g.because) for g in gates]
    yield page.table(("gate", "answer", "level", "seen", "required", "because"), rows, none="No gate was judged.")


def _consent(of: wire.Sampled) -> Iterator[Html]:
    yield page.heading("Requests and answers", level=3)
    rows: list[tuple[object, ...]] = []
    for request in of.requests:
        rows.append((request.asked_at, "asked", request.asked_by, request.reason, _plan(request.plan_digest, of)))
        for decision in request.decisions:
            said = "approved" if decision.approved else "rejected"
            said = f"{said}, taken back" if decision.withdrawn_at is not None else said
            rows.append((decision.at, said, decision.who, decision.comment, _plan(decision.plan_digest, of)))
    yield page.table(("at (UTC)", "answer", "who", "why", "plan"), rows, none="Nobody was asked to approve it.")


def _plan(digest: str, of: wire.Sampled) -> str:
    return "the one that was judged" if digest == of.behind.promotion.plan_digest else f"another one: {digest}"


def _tests(of: wire.Sampled) -> Iterator[Html]:
    yield page.heading("Validations", level=3)
    rows = [
        (each.finished_at, each.state, test.name, "passed" if test.passed else "failed", test.because)
        for each in of.validations
        for test in each.results
    ]
    yield page.table(("at (UTC)", "outcome", "test", "answer", "because"), rows, none="None was run.")


def _kept(of: wire.Sampled) -> Iterator[Html]:
    yield page.heading("On the record", level=3)
    yield page.table(
        ("at (UTC)", "entry", "who", "action", "before", "after", "reason", "proof"),
        [
            (
                e.entry.at,
                f"{e.entry.chain}#{e.entry.number}",
                _who(e.entry.who),
                e.entry.action,
                e.entry.before,
                e.entry.after,
                e.entry.why,
                f"position {e.position}" if e.proven else "not signed yet",
            )
            for e in of.entries
        ],
    )
    if of.evidence is not None:
        yield page.folded("The evidence that was judged", json.dumps(of.evidence, indent=2, ensure_ascii=False))
    if of.behind.policy is not None:
        yield page.folded("The policy of that day", of.behind.policy.text)
    files = "\n".join(f"{file.sha256}  {file.path} ({file.size} bytes)" for file in of.manifest)
    if files:
        yield page.folded("The files, as they were pinned", files)


def _who(who: shapes.Who) -> str:
    from_where = [f"from {who.address}"] if who.address else []
    from_where += [f"in {who.request}"] if who.request else []
    return " ".join((str(who), *from_where))


def _time(at: datetime) -> str:
    return at.astimezone(UTC).strftime("%Y-%m-%d %H:%M:%S")
