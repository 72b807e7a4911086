"""Semantic versions as people meet them: looked up, compared, and set by hand with a reason."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from lockgate.domain.access import Act
from lockgate.domain.audit import Entry
from lockgate.domain.canonical import Plain
from lockgate.domain.errors import BadInput, Conflict, NotFound
from lockgate.domain.identity import LOCKGATE, Who
from lockgate.domain.semver import Change, SemanticVersion, difference
from lockgate.domain.signature import Signature, signature_from
from lockgate.domain.versions import VersionRef
from lockgate.usecases import semver_tag
from lockgate.usecases.authorise import authorise, require
from lockgate.usecases.gather import catalog_version
from lockgate.usecases.ports import Lifecycle, Ports, Work
from lockgate.usecases.semver_ports import PERSON, Numbered

LONGEST_REASON = 2_000


@dataclass(frozen=True, slots=True)
class Standing:
    """One version's number with what changed since the version it was compared with (None: not known)."""

    numbered: Numbered
    changes: tuple[Change, ...] | None


def give(ports: Ports, ref: VersionRef, number: SemanticVersion, reason: str, who: Who) -> Numbered:
    """Set a version's number by hand: later than that of the version before it, and earlier than that of the next.

    The number it has already is no change. Raises Forbidden, NotFound, BadInput without a reason or for a prompt, and
    Conflict for a number that does not fit or was given before.
    """
    why = _reason(reason)
    require(ports, who, Act.NUMBER, ref.model, asked=f"set the semantic version of {ref}")
    with ports.store.writing(ref.model) as work:
        authorise(work, who, Act.NUMBER, ref.model)
        catalog_version(work, ref)
        if work.catalog.is_prompt(ref.model):
            raise BadInput(f"{ref.model} is a prompt, and prompts have no semantic versions.", hint="Name a model.")
        was = work.semver.get(ref)
        if was is not None and was.number == number:
            return was
        _must_fit(work, ref, number)
        now = ports.clock.now()
        row = was or Numbered(ref, None, "", "", LOCKGATE, now)
        row = replace(row, number=number, origin=PERSON, because=why, who=who, at=now)
        work.semver.put(row)
        semver_tag.write(work, ref, number, now)
        before = str(was.number) if was is not None and was.number is not None else None
        detail: dict[str, Plain] = {"origin": PERSON}
        work.record.write(
            Entry("version:renumbered", who, now, ref.model, ref.version, before, str(number), why, detail)
        )
    return row


def of_model(ports: Ports, model: str) -> Sequence[Numbered]:
    """Every version of a model, newest first, also those that have no number yet. Raises NotFound."""
    with ports.store.reading() as work:
        if not work.catalog.has_model(model):
            raise NotFound(f"Registered Model with name={model} not found", hint="lockgate status lists the models.")
        found = {each.ref: each for each in work.semver.of_model(model)}
        return [found.get(row.ref) or _unseen(row) for row in work.versions.of_model(model)]


def of_version(ports: Ports, ref: VersionRef, against: VersionRef | None = None) -> Standing:
    """One version's number and what changed: since the version it was compared with, or since another one.

    Raises NotFound.
    """
    with ports.store.reading() as work:
        catalog_version(work, ref)
        row = work.versions.get(ref)
        found = work.semver.get(ref) or (_unseen(row) if row is not None else None)
        if found is None:
            raise NotFound(f"There is no semantic version of {ref}.", hint="Prompts have none.")
        if against is not None:
            catalog_version(work, against)
        elif found.compared_with is not None:
            against = VersionRef(ref.model, found.compared_with)
        return Standing(found, None if against is None else changes_between(work, against, ref))


def version_of(ports: Ports, model: str, number: SemanticVersion) -> VersionRef:
    """The version that bears the number. Raises NotFound."""
    with ports.store.reading() as work:
        found = work.semver.find(model, number)
        if found is None or work.versions.get(found) is None:
            raise NotFound(f"No version of {model} is {number}.", hint=f"lockgate semver list {model}")
    return found


def changes_between(work: Work, old: VersionRef, new: VersionRef) -> tuple[Change, ...] | None:
    """What changed from one version's signature to the other's; None while one of the two is not known."""
    before, after = work.semver.get(old), work.semver.get(new)
    if before is None or after is None or not before.mlmodel or not after.mlmodel:
        return None
    return difference(known_signature(work, before), known_signature(work, after))


def known_signature(work: Work, numbered: Numbered) -> Signature | None:
    """The signature of a version whose MLmodel was read; None where it has none."""
    return None if numbered.signature is None else signature_from(work.semver.signature(numbered.signature))


def _must_fit(work: Work, ref: VersionRef, number: SemanticVersion) -> None:
    before, behind = work.semver.before(ref), work.semver.behind(ref)
    if before is not None and before.number is not None and number <= before.number:
        raise Conflict(
            f"{number} is not later than {before.number}, the semantic version of {before.ref}, which came before "
            f"{ref}.",
            hint=f"Choose a later one, or renumber {before.ref} first.",
        )
    if behind is not None and behind.number is not None and number >= behind.number:
        raise Conflict(
            f"{number} is not earlier than {behind.number}, the semantic version of {behind.ref}, which came after "
            f"{ref}.",
            hint=f"Choose an earlier one, or renumber {behind.ref} first.",
        )
    bearer = work.semver.find(ref.model, number)
    if bearer is not None and bearer != ref:
        raise Conflict(
            f"{number} was given to {bearer}, which was deleted; a number is given once in a model.",
            hint="Choose another one.",
        )


def _unseen(row: Lifecycle) -> Numbered:
    because = "it is looked at in a moment"
    return Numbered(row.ref, None, "", because, LOCKGATE, row.registered_at)


def _reason(told: str) -> str:
    if not told.strip() or len(told) > LONGEST_REASON or "\0" in told:
        raise BadInput(
            f"The reason is empty, longer than {LONGEST_REASON} characters, or has a NUL in it.",
            hint="It stands on the record: say why in a few words.",
        )
    return told
