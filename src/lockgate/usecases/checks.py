"""A system outside says of a version that it passed or failed a check: evidence about the files that are pinned."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from lockgate.domain.access import Act
from lockgate.domain.audit import Entry
from lockgate.domain.canonical import Plain
from lockgate.domain.checks import Check, check_comment, check_name, check_url
from lockgate.domain.errors import BadInput, Conflict, Unreadable
from lockgate.domain.identity import Who
from lockgate.domain.versions import VersionRef
from lockgate.usecases.authorise import authorise, require
from lockgate.usecases.gather import catalog_version, inspect_artifacts, lifecycle
from lockgate.usecases.ports import Ports, Work

MOST_NAMES = 200


@dataclass(frozen=True, slots=True)
class Report:
    """A result as it comes in. `digest` is that of the artifacts that were looked at, where the reporter knows it."""

    ref: VersionRef
    name: str
    passed: bool
    url: str = ""
    comment: str = ""
    digest: str = ""


def report(ports: Ports, told: Report, who: Who) -> Check:
    """Keep the result under the digest of the version's files, which are pinned if that has not been done.

    It replaces an earlier one of the same name, and both stay. Promotions that wait look again at once. Raises
    Forbidden for who may not report, BadInput, NotFound, Unreadable where there is nothing to pin, and Conflict where
    the files are not the ones that were pinned or looked at.
    """
    ref, name = told.ref, check_name(told.name)
    url, comment = check_url(told.url), check_comment(told.comment)
    require(ports, who, Act.REPORT_CHECK, ref.model, asked=f"report check {name}")
    digest = _pinned(ports, told)
    with ports.store.writing(ref.model) as work:
        # read again: they may have been taken away while the files were read
        authorise(work, who, Act.REPORT_CHECK, ref.model)
        catalog_version(work, ref)
        if lifecycle(work, ref).digest != digest:
            raise Conflict(f"The files of {ref} changed meanwhile.", hint="Report it again.")
        check = Check(name, told.passed, who, ports.clock.now(), digest, url, comment)
        _add(work, ref, check)
        work.promotions.due(ref.model, check.at)
    return check


def listed(ports: Ports, ref: VersionRef, *, every: bool = False, limit: int = 100) -> Sequence[Check]:
    """The check that counts of each name; with `every` all that were reported, newest first. Raises NotFound."""
    with ports.store.reading() as work:
        catalog_version(work, ref)
        return work.checks.history(ref, limit) if every else work.checks.latest(ref)


def _pinned(ports: Ports, told: Report) -> str:
    """The digest of the version's files, which are as they were pinned."""
    ref = told.ref
    with ports.store.reading() as work:
        if work.catalog.is_prompt(ref.model):
            raise BadInput(f"{ref.model} is a prompt, and no check of prompts is kept.", hint="Name a model.")
    facts = inspect_artifacts(ports, ref)
    if facts.digest is None:
        raise Unreadable(
            f"A check is about the files of {ref}, and they cannot be read: {facts.unreadable}",
            hint="Make them readable from the server, or log the model again.",
        )
    if facts.differences:
        changed = ", ".join(facts.differences)
        raise Conflict(
            f"The artifacts of {ref} are no longer what was pinned: {changed}.",
            hint="What was checked may be either. Restore the files, or register the changed model as a new version.",
        )
    if told.digest and told.digest != facts.digest:
        raise Conflict(
            f"The check is about the artifacts {told.digest[:90]}, and those of {ref} are {facts.digest}.",
            hint="Check the files of this version, or report the check for the version that has those.",
        )
    return facts.digest


def _add(work: Work, ref: VersionRef, check: Check) -> None:
    known = {each.name: each for each in work.checks.latest(ref)}
    if check.name not in known and len(known) >= MOST_NAMES:
        raise Conflict(
            f"{ref} has checks of {MOST_NAMES} different names already.", hint="Report under one of those names."
        )
    earlier = known.get(check.name)
    work.checks.add(ref, check)
    detail: dict[str, Plain] = {"check": check.name, "digest": check.digest, "url": check.url}
    entry = Entry(
        "check:reported",
        check.who,
        check.at,
        ref.model,
        ref.version,
        before=_word(earlier.passed) if earlier is not None else None,
        after=_word(check.passed),
        why=check.comment,
        detail=detail,
    )
    work.record.write(entry)


def _word(passed: bool) -> str:
    return "passed" if passed else "failed"
