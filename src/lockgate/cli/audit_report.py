"""A record that was exported, as a page that people read: what happened, who did it, and what the file proves."""

from __future__ import annotations

import json
from collections import Counter, deque
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from fnmatch import fnmatchcase
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO

import click

from lockgate.cli import options, outcome, page, show
from lockgate.cli.audit_proofs import written
from lockgate.cli.audit_verify import check_file, opened, read_key
from lockgate.cli.page import Html
from lockgate.domain.audit import Entry
from lockgate.domain.errors import BadInput
from lockgate.domain.moments import parse_moment
from lockgate.domain.verification import told as what_is_proved

if TYPE_CHECKING:
    from lockgate.domain.checkpoints import PublicKey
    from lockgate.domain.verification import Proved

# of each kind the page shows the last ones: the file has all
MOST_SHOWN = 300
MOST_ACTORS = 1_000
_LONGEST_TOLD = 600
_LONGEST_LINE = 64 << 20

# in this order, and each entry under the first that it belongs to
SECTIONS: tuple[tuple[str, tuple[str, ...]], ...] = (
    ("Gates that were set aside in an emergency", ("breakglass:*",)),
    ("Refused", ("*:refused", "people:locked")),
    ("Moves between stages", ("version:transitioned", "version:archived", "version:unquarantined")),
    ("Rolled back", ("rollback:*", "version:quarantined")),
    ("Promotions", ("promotion:*",)),
    ("Approvals", ("approval:*", "delegation:*")),
    ("What served", ("deployment:*", "endpoint:*", "rollout:*")),
    ("Policy", ("policy:*",)),
    ("People, tokens and keys", ("people:*", "token:*", "key:*")),
    ("Changed past Lockgate", ("drift:*",)),
    ("The record itself", ("record:*", "hold:*", "anchor:*", "database:*")),
)


@dataclass(slots=True)
class Actor:
    """Somebody who is on the record: how often, from when to when, and from where."""

    entries: int
    first: datetime
    last: datetime
    addresses: set[str] = field(default_factory=set)


@dataclass(slots=True)
class Report:
    """What a page tells of the entries of a time, collected one entry after the other."""

    since: datetime | None = None
    until: datetime | None = None
    origin: str = ""
    keys: tuple[str, ...] = ()
    exported_at: str = ""
    entries: int = 0
    unreadable: int = 0
    pruned: int = 0
    first: datetime | None = None
    last: datetime | None = None
    actions: Counter[str] = field(default_factory=Counter)
    actors: dict[tuple[str, bool, str], Actor] = field(default_factory=dict)
    shown: dict[str, deque[tuple[str, Entry]]] = field(default_factory=dict)
    counted: Counter[str] = field(default_factory=Counter)

    def take(self, line: bytes) -> None:
        """The next line of the file. What cannot be read is counted: the verification says what is wrong with it."""
        try:
            told = json.loads(line)
            if not isinstance(told, dict):
                raise TypeError
            if "origin" in told:
                self._header(told)
            elif "text" in told:
                self._text(told)
        except (ValueError, KeyError, TypeError, RecursionError):
            self.unreadable += 1

    def _header(self, told: dict[str, Any]) -> None:
        self.origin, self.exported_at = str(told["origin"]), str(told["at"])
        self.keys = tuple(str(key) for key in told["keys"])

    def _text(self, told: dict[str, Any]) -> None:
        if not told["text"]:
            self.pruned += 1
            return
        entry = Entry.from_plain(json.loads(told["text"]))
        if (self.since and entry.at < self.since) or (self.until and entry.at > self.until):
            return
        self.entries += 1
        self.first = min(self.first or entry.at, entry.at)
        self.last = max(self.last or entry.at, entry.at)
        self.actions[entry.action] += 1
        self._acted(entry)
        section = section_of(entry.action)
        self.counted[section] += 1
        if section:
            place = f"{told['chain']}#{told['number']}"
            self.shown.setdefault(section, deque(maxlen=MOST_SHOWN)).append((place, entry))

    def _acted(self, entry: Entry) -> None:
        who = (entry.who.name, entry.who.verified, entry.who.kind)
        if who not in self.actors and len(self.actors) >= MOST_ACTORS:
            return
        actor = self.actors.setdefault(who, Actor(0, entry.at, entry.at))
        actor.entries += 1
        actor.first, actor.last = min(actor.first, entry.at), max(actor.last, entry.at)
        if entry.who.address and len(actor.addresses) < 10:
            actor.addresses.add(entry.who.address)


def section_of(action: str) -> str:
    """Under which heading an action is told; "" for what is only counted."""
    for title, patterns in SECTIONS:
        if any(fnmatchcase(action, pattern) for pattern in patterns):
            return title
    return ""


def add_to(audit: click.Group) -> None:
    """Add the command to `lockgate audit`."""
    audit.add_command(report)


@click.command(short_help="Make a page to read out of an export.")
@click.argument("export", metavar="EXPORT", type=click.Path(dir_okay=False))
@click.option("--output", metavar="FILE", required=True, help="The page to write.")
@click.option("--since", metavar="DATE", help="Of what happened then or later, in UTC.")
@click.option("--until", metavar="DATE", help="Of what happened by then, in UTC.")
@click.option("--key", "given", multiple=True, metavar="KEY", help="The public key you trust, or a file that holds it.")
@click.option("--force", is_flag=True, help="Replace a file that is there.")
@options.as_json
def report(
    export: str,
    output: str,
    since: str | None,
    until: str | None,
    given: tuple[str, ...],
    force: bool,
    as_json: bool,
) -> None:
    """Make a page for people out of a file of `lockgate audit export`, and verify the file on the way.

    It needs no server. Exits 1 when the file does not hold: the page is written, and says so at its top.
    """
    path = Path(output).expanduser().absolute()
    first, last = (parse_moment(each) if each else None for each in (since, until))
    if first is not None and last is not None and first > last:
        raise BadInput("The time ends before it begins.", hint="--since comes before --until.")
    trusted = tuple(read_key(each) for each in given)
    found, proved = write(Path(export), path, trusted, (first, last), force=force, progress=not as_json)
    if as_json:
        told = {"output": str(path), "entries": found.entries, "holds": proved.holds}
        outcome.show_json({**told, "told": list(what_is_proved(proved))})
    else:
        show.line(f"Wrote the report of {show.counted(found.entries, 'entry', 'entries')} to {path}.")
        for line in what_is_proved(proved):
            show.line(line, err=not proved.holds)
    if not proved.holds:
        raise outcome.Ends(outcome.REFUSED)


def write(
    export: Path,
    path: Path,
    trusted: tuple[PublicKey, ...] = (),
    times: tuple[datetime | None, datetime | None] = (None, None),
    *,
    force: bool = False,
    progress: bool = False,
) -> tuple[Report, Proved]:
    """Verify the file and write the page of it. Raises as `check_file` and `written`."""
    with written(path, force=force) as file, opened(export) as source:
        proved = check_file(source, None, trusted, progress=progress)
        source.seek(0)
        found = collect(source, *times)
        file.write(report_page(found, proved).encode())
    return found, proved


def collect(source: BinaryIO, since: datetime | None = None, until: datetime | None = None) -> Report:
    """What a page tells of the file, from where it stands. What is held in memory does not grow with the file."""
    found = Report(since, until)
    while line := source.readline(_LONGEST_LINE):
        found.take(line)
    return found


def report_page(found: Report, proved: Proved) -> str:
    """The page."""
    return page.page("The record of a model registry", *_parts(found, proved))


def _parts(found: Report, proved: Proved) -> Iterator[Html]:
    yield from _verified(found, proved)
    yield page.facts(
        (
            ("record", page.code(found.origin)),
            ("asked for", _asked(found)),
            ("first and last entry (UTC)", f"{_time(found.first)} to {_time(found.last)}" if found.first else "none"),
            ("entries", f"{found.entries:,}"),
            ("without their text", f"{found.pruned:,}, removed under the rule of retention" if found.pruned else ""),
            ("exported at", found.exported_at),
            ("public keys in the file", page.code(" ".join(found.keys)) if found.keys else "none"),
        )
    )
    yield page.heading("In numbers")
    counts = [(title, found.counted[title]) for title, _ in SECTIONS if found.counted[title]]
    if found.counted[""]:
        counts.append(("Everything else (models, versions, tags, validations, …)", found.counted[""]))
    yield page.table(("what", "entries"), counts)
    for title, _ in SECTIONS:
        yield from _section(title, found)
    yield page.heading("Who acted")
    if len(found.actors) == MOST_ACTORS:
        yield page.paragraph(f"The first {MOST_ACTORS} are shown.", soft=True)
    rows = [
        (name, "yes" if verified else "no", kind, a.entries, a.first, a.last, ", ".join(sorted(a.addresses)))
        for (name, verified, kind), a in sorted(found.actors.items(), key=lambda each: -each[1].entries)
    ]
    yield page.table(("who", "verified", "kind", "entries", "since (UTC)", "until (UTC)", "from"), rows)
    yield page.heading("Every action")
    yield page.table(("action", "entries"), sorted(found.actions.items()))


def _verified(found: Report, proved: Proved) -> Iterator[Html]:
    lines = " ".join(what_is_proved(proved))
    if proved.holds:
        yield page.told(f"This file holds: {proved.entries:,} entries were checked. {lines}", "good")
    elif proved.count:
        yield page.told(f"THIS FILE DOES NOT HOLD. What it says may have been changed. {lines}", "bad")
        rows = [(f"{b.chain}#{b.number}" if b.chain else "", b.position, b.because) for b in proved.breaks]
        yield page.table(("entry", "position", "what is wrong"), rows)
    else:
        yield page.told(f"NOTHING IS PROVED BY THIS FILE. {lines}", "bad")
    if found.unreadable:
        yield page.told(f"{found.unreadable} lines could not be read, and are not in this report.", "bad")


def _section(title: str, found: Report) -> Iterator[Html]:
    entries = found.shown.get(title)
    if not entries:
        return
    yield page.heading(title)
    if found.counted[title] > len(entries):
        yield page.paragraph(f"The last {len(entries)} of {found.counted[title]:,}; the file has all.", soft=True)
    rows = [(e.at, place, e.who, e.action, _about(e), _short(e.before), _short(e.after), _short(e.why))
            for place, e in entries]  # fmt: skip
    yield page.table(("at (UTC)", "entry", "who", "action", "about", "before", "after", "reason"), rows)


def _about(entry: Entry) -> str:
    detail = entry.detail or {}
    more = [str(detail[name]) for name in ("environment", "person", "token", "asked", "times") if detail.get(name)]
    ref = entry.model if entry.version is None else f"{entry.model}@{entry.version}"
    return ", ".join(_texts((ref, *more)))


def _texts(values: Iterable[str]) -> Iterator[str]:
    return (value[:_LONGEST_TOLD] for value in values if value)


def _short(value: Any) -> Any:
    """A value as a cell bears it: its beginning where it is long."""
    told = value if isinstance(value, str) or value is None else json.dumps(value, ensure_ascii=False)
    return told if told is None or len(told) <= _LONGEST_TOLD else f"{told[:_LONGEST_TOLD]}…"


def _asked(found: Report) -> str:
    if not found.since and not found.until:
        return "all of it"
    return f"from {_time(found.since) or 'the beginning'} to {_time(found.until) or 'the end'}, UTC"


def _time(at: datetime | None) -> str:
    return at.astimezone(UTC).strftime("%Y-%m-%d %H:%M:%S") if at else ""
