"""Sets the gates aside in an emergency: one person asks, a second confirms, a third reviews it within two days.

What no emergency opens: who may do it, the digest of the files, how many versions a stage may hold, reserved tags.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from datetime import datetime, timedelta

from lockgate.domain.access import Act
from lockgate.domain.approvals import same_person
from lockgate.domain.audit import Entry
from lockgate.domain.break_glass import DEFAULT_LENGTH, LONGEST, SHORTEST, BreakGlass, GlassState
from lockgate.domain.canonical import Plain
from lockgate.domain.durations import spoken
from lockgate.domain.errors import BadInput, Conflict, Forbidden, LockgateError, NotFound
from lockgate.domain.identity import ANONYMOUS, LOCKGATE, Who
from lockgate.domain.promotion import Kind, Promotion
from lockgate.domain.stages import Stage
from lockgate.domain.versions import VersionRef
from lockgate.usecases import promote
from lockgate.usecases.authorise import authorise
from lockgate.usecases.gather import catalog_version, inspect_artifacts
from lockgate.usecases.people import logged_in
from lockgate.usecases.ports import Ports, Work


def ask(
    ports: Ports, ref: VersionRef, who: Who, reason: str, stage: Stage, length: timedelta = DEFAULT_LENGTH
) -> BreakGlass:
    """Ask to set the gates aside for one version on its way into one stage; a second person has to confirm it.

    Raises BadInput without a reason, a name, or a sensible length, NotFound, Forbidden, and Conflict for files that
    cannot be read or have changed: no emergency makes up for those.
    """
    _named(who)
    if not stage.is_gated:
        raise BadInput(f"Moving to {stage} has no gates to set aside.", hint="Name staging or production.")
    if not reason.strip():
        raise BadInput("Breaking the glass needs a reason.", hint="--reason says why; it stays on the record.")
    if not SHORTEST <= length <= LONGEST:
        raise BadInput(
            f"The glass stays broken for {spoken(SHORTEST)} to {spoken(LONGEST)}, not for {spoken(length)}.",
            hint="Give it with --expires, for example 1h.",
        )
    digest = _files(ports, ref)
    with _refusals_recorded(ports, ref, who, stage), ports.store.writing(ref.model) as work:
        _may(work, who, ref)
        now = ports.clock.now()
        glass = BreakGlass(ports.ids.new("brk"), ref, stage, who, reason, now, now + length, digest)
        work.glasses.add(glass)
        _record(work, glass, "breakglass:asked", who, now, reason)
    return glass


def confirm(ports: Ports, id: str, who: Who) -> tuple[BreakGlass, Promotion]:
    """As the second person set the gates aside, and make the move. Confirming again goes on with the same move.

    Raises NotFound, Forbidden for whoever asked and without the role, and Conflict once it has expired or was used,
    or when the files have changed since.
    """
    _named(who)
    seen = look(ports, id)
    digest = _files(ports, seen.ref)
    with _refusals_recorded(ports, seen.ref, who, seen.stage), ports.store.writing(seen.ref.model) as work:
        _may(work, who, seen.ref)
        now, glass = ports.clock.now(), work.glasses.get(id) or seen
        if same_person(glass.asked_by.name, who.name):
            raise Forbidden(
                f"{who.name} asked to break the glass, and a second person has to confirm it.",
                hint=f"Somebody else: lockgate break-glass {glass.ref} --to {glass.stage.lower()} --confirm {id}",
            )
        _refuse_over(glass, now)
        # whoever asked may have left since
        _may(work, glass.asked_by, seen.ref)
        if digest != glass.artifacts:
            raise Conflict(f"The artifacts of {glass.ref} are not those that {glass.asked_by} asked for.", hint=_ANEW)
        if glass.confirmed_at is None:
            # a clock that was set back makes nobody confirm before it was asked for
            glass = replace(glass, confirmed_by=who, confirmed_at=max(now, glass.asked_at))
            work.glasses.save(glass)
            _record(work, glass, "breakglass:confirmed", who, now, glass.reason)
        work.promotions.due(glass.ref.model, now)
    asked = promote.Ask(
        glass.ref, glass.stage, Kind.BREAK_GLASS, glass.asked_by, lasting=True, archive_existing=True,
        reason=f"glass broken ({id}): {glass.reason}",
    )  # fmt: skip
    promotion = promote.ask(ports, asked)
    return look(ports, id), promotion


def review(ports: Ports, id: str, who: Who, comment: str) -> BreakGlass:
    """As a third person write down what the look at it afterwards gave.

    Raises NotFound, BadInput without a comment, Forbidden for the two who broke it and without the role, and Conflict
    when it was never confirmed or is reviewed already.
    """
    _named(who)
    if not comment.strip():
        raise BadInput("A review says what was found.", hint="Give it with --comment '…'.")
    seen = look(ports, id)
    with _refusals_recorded(ports, seen.ref, who, seen.stage), ports.store.writing(seen.ref.model) as work:
        _may(work, who, seen.ref)
        now, glass = ports.clock.now(), work.glasses.get(id) or seen
        if glass.took_part(who.name):
            raise Forbidden(f"{who.name} took part in it, and a third person has to review it.", hint=_THIRD)
        if glass.confirmed_at is None or glass.reviewed_at is not None:
            state = "reviewed" if glass.reviewed_at else "never confirmed"
            raise Conflict(f"{id} was {state}, so there is nothing to review.", hint="Nothing was changed.")
        glass = replace(glass, reviewed_by=who, reviewed_at=now, review=comment)
        work.glasses.save(glass)
        _record(work, glass, "breakglass:reviewed", who, now, comment)
    return glass


def look(ports: Ports, id: str) -> BreakGlass:
    """One of them. Raises NotFound."""
    with ports.store.reading() as work:
        found = work.glasses.get(id)
    if found is None:
        raise NotFound(f"There is no broken glass {id}.", hint="lockgate break-glass list shows them.")
    return found


def listed(ports: Ports, limit: int = 100, model: str | None = None) -> Sequence[BreakGlass]:
    """The latest of one model or of all, newest first."""
    with ports.store.reading() as work:
        return work.glasses.recent(limit, model)


def to_review(ports: Ports) -> Sequence[BreakGlass]:
    """Those that wait for the third person, the one due first first."""
    with ports.store.reading() as work:
        return work.glasses.unreviewed()


def note_overdue(ports: Ports) -> int:
    """Put each review that nobody made in time on the record, once; how many there were."""
    now = ports.clock.now()
    late = [glass for glass in to_review(ports) if glass.overdue(now) and glass.overdue_noted_at is None]
    return sum(_note_overdue(ports, glass.id, now, glass.ref.model) for glass in late)


def _note_overdue(ports: Ports, id: str, now: datetime, model: str) -> bool:
    with ports.store.writing(model) as work:
        glass = work.glasses.get(id)
        if glass is None or not glass.overdue(now) or glass.overdue_noted_at is not None:
            return False
        glass = replace(glass, overdue_noted_at=now)
        work.glasses.save(glass)
        due = f"{glass.review_due:%Y-%m-%d %H:%M} UTC"
        _record(work, glass, "breakglass:overdue", LOCKGATE, now, f"nobody reviewed it by {due}")
    return True


def _files(ports: Ports, ref: VersionRef) -> str:
    """The digest of the version's files. Raises NotFound, and Conflict where they are not as they were pinned."""
    facts = inspect_artifacts(ports, ref)
    if facts.digest is None or facts.differences:
        told = ", ".join(facts.differences) or facts.unreadable
        raise Conflict(
            f"The files of {ref} are not what was pinned, or cannot be read: {told}.",
            hint="No emergency sets that aside. Restore the files, or roll back.",
        )
    return facts.digest


def _named(who: Who) -> None:
    if who.name == ANONYMOUS:
        raise BadInput("Breaking the glass takes a name.", hint="Say who you are: --as NAME, or log in.")


def _may(work: Work, who: Who, ref: VersionRef) -> None:
    logged_in(work, who)
    authorise(work, who, Act.BREAK_GLASS, ref.model)
    catalog_version(work, ref)
    if work.catalog.is_prompt(ref.model):
        raise BadInput(f"{ref.model} is a prompt, and prompts have no stages.", hint="Name a model.")


def _refuse_over(glass: BreakGlass, now: datetime) -> None:
    state = glass.state(now)
    if state is GlassState.EXPIRED:
        raise Conflict(f"{glass.id} was not confirmed before {glass.expires_at:%Y-%m-%d %H:%M} UTC.", hint=_ANEW)
    if state not in (GlassState.ASKED, GlassState.BROKEN):
        raise Conflict(
            f"{glass.id} is over: it was {'used' if glass.used_at else 'confirmed and not used'}.", hint=_ANEW
        )


@contextmanager
def _refusals_recorded(ports: Ports, ref: VersionRef, who: Who, stage: Stage) -> Iterator[None]:
    """A refusal of such an act is as loud as the act."""
    try:
        yield
    except (Forbidden, Conflict) as refusal:
        _put_refusal(ports, ref, who, stage, refusal)
        raise


def _put_refusal(ports: Ports, ref: VersionRef, who: Who, stage: Stage, refusal: LockgateError) -> None:
    with ports.store.writing(ref.model) as work:
        now = ports.clock.now()
        entry = Entry("breakglass:refused", who, now, ref.model, ref.version, "", stage, refusal.message)
        work.record.write(entry)


def _record(work: Work, glass: BreakGlass, action: str, who: Who, now: datetime, why: str) -> None:
    detail: dict[str, Plain] = {
        "glass": glass.id,
        "asked by": str(glass.asked_by),
        "confirmed by": str(glass.confirmed_by) if glass.confirmed_by else None,
        "expires": glass.expires_at.isoformat(timespec="seconds"),
        "artifacts": glass.artifacts,
        "unverified": not (glass.asked_by.verified and who.verified),
    }
    ref = glass.ref
    work.record.write(Entry(action, who, now, ref.model, ref.version, "", glass.stage, why, detail))


_ANEW = "Ask anew: lockgate break-glass MODEL@VERSION --to STAGE --reason …"
_THIRD = "Somebody else: lockgate break-glass review ID --comment '…'"
