"""Gives versions their semantic versions, soon after they were registered: from their signatures, in their order.

Only the small file MLmodel is read, outside any transaction. A version whose file cannot be read stays without a number
and is looked at again, at last when it is pinned; it holds up nobody else.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from lockgate.domain.audit import Entry
from lockgate.domain.canonical import Plain
from lockgate.domain.errors import BadInput, Unavailable, Unreadable
from lockgate.domain.identity import LOCKGATE
from lockgate.domain.semver import LARGEST_PART, Change, SemanticVersion, Size, difference, proposed, size_of
from lockgate.domain.signature import signature_from, signature_of, text_of
from lockgate.domain.versions import VersionRef
from lockgate.usecases import semver_tag
from lockgate.usecases.adoption_ports import BEFORE
from lockgate.usecases.ports import Ports, Work
from lockgate.usecases.recorded import short
from lockgate.usecases.semver import known_signature
from lockgate.usecases.semver_ports import SIGNATURE, TAG, Batch, Numbered

# after the first look that failed, the second and so on; after the last it waits until the version is pinned
TRY_AGAIN = tuple(timedelta(seconds=s) for s in (10, 60, 600, 3_600, 6 * 3_600))
GONE = timedelta(hours=1)
NOT_YET = timedelta(seconds=1)
MOST_TOLD = 10


@dataclass(frozen=True, slots=True)
class _Read:
    """What a look at one version's MLmodel gave: the signature's text, or why there is none to be had."""

    mlmodel: str = ""
    text: str | None = None
    unreadable: str = ""


def number(ports: Ports, batch: Batch) -> int:
    """Look at the versions of the batch, the oldest first; to how many a number was given."""
    refs = [VersionRef(batch.model, version) for version in batch.versions]
    found = [(ref, _look(ports, ref)) for ref in refs]
    given = 0
    # all in one transaction: a commit costs more than what is written in it
    with ports.store.writing(batch.model) as work:
        for ref, read in found:
            # somebody else has it where the lease is over, and has to look at it again where it was pinned meanwhile
            if work.semver.is_due(ref, batch.until):
                given += _Turn(work, ref, ports.clock.now()).take(read)
    return given


def _look(ports: Ports, ref: VersionRef) -> _Read | None:
    """What the version's file says; None for one that is gone from MLflow's tables."""
    with ports.store.reading() as work:
        known = work.catalog.version(ref)
        pinned = work.versions.manifest(ref)
    if known is None:
        return None
    try:
        file = ports.artifacts.model_file(known.location)
        text = None if file.signature is None or signature_of(file.signature) is None else text_of(file.signature)
    except (Unreadable, BadInput, Unavailable) as unreadable:
        return _Read(unreadable=unreadable.message)
    held = next((each for each in pinned.files if each.path == "MLmodel"), None) if pinned is not None else None
    if held is not None and file.sha256 != f"sha256:{held.sha256}":
        return _Read(unreadable="Its MLmodel is no longer what was pinned.")
    return _Read(file.sha256, text)


@dataclass(frozen=True, slots=True)
class _Turn:
    """One version's turn, in one transaction."""

    work: Work
    ref: VersionRef
    now: datetime

    def take(self, read: _Read | None) -> bool:
        """Whether it has got a number."""
        if read is None:
            # under another name, in a moment, or deleted past us
            self.work.semver.due(self.ref, self.now + GONE if not self.work.catalog.has_model(self.ref.model) else None)
            return False
        known = self.work.semver.get(self.ref)
        if known is None and self.work.semver.waits_before(self.ref):
            self.work.semver.due(self.ref, self.now + NOT_YET)
            return False
        if read.unreadable:
            self._leave_open(read.unreadable, known)
            return False
        signature = None if read.text is None else self.work.semver.keep_signature(read.text)
        if known is not None and known.number is not None:
            return self._look_again(known, read, signature)
        return self._give(read, signature, None)

    def _look_again(self, known: Numbered, read: _Read, signature: str | None) -> bool:
        """It has a number: what somebody set stays, and what was computed holds for the file it was computed from."""
        if known.origin == SIGNATURE and known.mlmodel != read.mlmodel and known.signature != signature:
            return self._give(read, signature, known)
        if (known.mlmodel, known.signature) != (read.mlmodel, signature):
            self.work.semver.put(replace(known, mlmodel=read.mlmodel, signature=signature))
        self.work.semver.due(self.ref, None)
        return False

    def _leave_open(self, because: str, known: Numbered | None) -> None:
        if known is not None and known.number is not None:
            self.work.semver.due(self.ref, None)
            return
        attempts = known.attempts if known is not None else 0
        again = self.now + TRY_AGAIN[attempts] if attempts < len(TRY_AGAIN) else None
        self.work.semver.put(Numbered(self.ref, None, "", because, LOCKGATE, self.now, attempts=attempts + 1))
        self.work.semver.due(self.ref, again)

    def _give(self, read: _Read, signature: str | None, was: Numbered | None) -> bool:
        """Compute the number and write it down, or why there is none."""
        semver, ref = self.work.semver, self.ref
        semver.due(ref, None)
        before, compared = semver.before(ref), semver.before(ref, was_read=True)
        changes = self._changes(before, compared, read)
        number = proposed(before.number if before else None, changes)
        if semver.find(ref.model, number) not in (None, ref):
            # given to one that was deleted: the next after all that were
            number = replace(number, patch=semver.highest_patch(ref.model, number) + 1)
        number, origin = self._from_tag(before, number) if was is None else (number, SIGNATURE)
        because = _because(before, compared, changes, read, origin)
        row = Numbered(ref, number, origin, because, LOCKGATE, self.now, signature, read.mlmodel)
        row = replace(row, compared_with=compared.ref.version if compared is not None else None)
        if why_not := self._no_room(number):
            semver.put(replace(row, number=was.number if was is not None else None, because=why_not))
            return False
        semver.put(row)
        self._tell(row, number, was, changes)
        return True

    def _changes(self, before: Numbered | None, compared: Numbered | None, read: _Read) -> tuple[Change, ...]:
        if compared is not None:
            return difference(known_signature(self.work, compared), signature_from(read.text))
        if before is not None:
            # somebody numbered it by hand, and its file could not be read: silence is no
            return (Change(Size.MAJOR, f"the signature of {before.ref} is not known"),)
        return ()

    def _from_tag(self, before: Numbered | None, computed: SemanticVersion) -> tuple[SemanticVersion, str]:
        """The number that a version brought along from before Lockgate, where it is one and fits; else the computed."""
        row, known = self.work.versions.get(self.ref), self.work.catalog.version(self.ref)
        if row is None or known is None or row.provenance != BEFORE or semver_tag.KEY not in known.tags:
            return computed, SIGNATURE
        try:
            told = SemanticVersion.parse(known.tags[semver_tag.KEY])
        except BadInput:
            return computed, SIGNATURE
        fits = before is None or before.number is None or before.number < told
        free = self.work.semver.find(self.ref.model, told) in (None, self.ref)
        return (told, TAG) if fits and free and not self._no_room(told) else (computed, SIGNATURE)

    def _no_room(self, number: SemanticVersion) -> str:
        """Why a number cannot be given though it follows; empty when it can."""
        if max(number.major, number.minor, number.patch) > LARGEST_PART:
            return f"No number follows: {number} has a part larger than {LARGEST_PART}."
        behind = self.work.semver.behind(self.ref)
        if behind is not None and behind.number is not None and behind.number <= number:
            return f"{behind.ref} is {behind.number} already, and the number that follows would not come before it."
        return ""

    def _tell(self, row: Numbered, number: SemanticVersion, was: Numbered | None, changes: tuple[Change, ...]) -> None:
        """The tag that MLflow's clients see, and the record."""
        ref, written = self.ref, str(number)
        lifecycle, known = self.work.versions.get(ref), self.work.catalog.version(ref)
        before = str(was.number) if was is not None else None
        stands = known.tags.get(semver_tag.KEY) if known is not None else None
        detail: dict[str, Plain] = {
            "origin": row.origin,
            "compared_with": row.compared_with,
            "changes": [str(change) for change in changes[:MOST_TOLD]],
            "more_changes": max(0, len(changes) - MOST_TOLD),
            "mlmodel": row.mlmodel,
        }
        ours = lifecycle is not None and lifecycle.provenance == semver_tag.REGISTERED
        if stands not in (None, before, written):
            detail["tag_left"] = short(stands or "")  # somebody's own, from before Lockgate or from past it
        elif ours or (before is not None and stands == before):
            semver_tag.write(self.work, ref, number, self.now)
        action = "version:numbered" if was is None else "version:renumbered"
        entry = Entry(action, LOCKGATE, self.now, ref.model, ref.version, before, written, row.because, detail)
        self.work.record.write(entry)


def _because(
    before: Numbered | None, compared: Numbered | None, changes: tuple[Change, ...], read: _Read, origin: str
) -> str:
    """Why it is that number, in a line."""
    if origin == TAG:
        return "it had this tag before Lockgate"
    if before is None:
        return "the first version"
    if compared is not None and not changes:
        same = "the same signature as" if read.text is not None else "no signature, and neither has"
        return f"patch: {same} {compared.ref}"
    told = [str(change) for change in changes[:MOST_TOLD]]
    more = f"; and {len(changes) - MOST_TOLD} more" if len(changes) > MOST_TOLD else ""
    return f"{size_of(changes).word}: {'; '.join(told)}{more}"
