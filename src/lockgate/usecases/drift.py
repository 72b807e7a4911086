"""What was changed past Lockgate: found, shown, put on the record once, and accepted only when somebody says so."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from lockgate.domain.access import Act
from lockgate.domain.audit import Entry
from lockgate.domain.canonical import Plain
from lockgate.domain.drift import DELETIONS, Difference, Kind
from lockgate.domain.errors import BadInput, Conflict, NotFound
from lockgate.domain.identity import LOCKGATE, Who
from lockgate.domain.places import DEFAULT_WORKSPACE
from lockgate.domain.serving import EndpointState
from lockgate.domain.stages import GATED
from lockgate.domain.versions import VersionRef
from lockgate.usecases import stages
from lockgate.usecases.authorise import authorise, refusals_recorded
from lockgate.usecases.ports import Lifecycle, Ports, Work

FOUND, ENDED, ACCEPTED, MENDED = "drift:found", "drift:ended", "drift:accepted", "drift:mended"
# of the entries about differences: enough to know every one that is open
_LATEST = 20_000


@dataclass(frozen=True, slots=True)
class Noted:
    """What one look put on the record: differences that are new, and how many ended."""

    found: tuple[Difference, ...]
    ended: int


def look(ports: Ports, model: str | None = None) -> Sequence[Difference]:
    """Every difference in the workspace, or in one model. Raises NotFound for a model neither side knows."""
    with ports.store.reading() as work:
        found = work.drift.differences(model)
        if model is not None and not found and not work.catalog.has_model(model):
            raise NotFound(f"Registered Model with name={model} not found", hint="lockgate status lists the models.")
    return found


def look_everywhere(ports: Ports) -> Sequence[Difference]:
    """Every difference in every workspace."""
    with ports.store.reading() as work:
        workspaces = work.drift.workspaces()
    found: list[Difference] = []
    for workspace in workspaces:
        with ports.store.within(workspace):
            found += look(ports)
    return found


def note(ports: Ports, *, why: str = "") -> Noted:
    """Put each difference on the record once, in all workspaces: when it is first seen, and when it is gone again.

    Safe to repeat, and by many at once.
    """
    found: list[Difference] = []
    ended = 0
    with ports.store.reading() as work:
        workspaces = work.drift.workspaces()
    for workspace in workspaces:
        with ports.store.within(workspace):
            news = _note_workspace(ports, workspace, why)
        found += news.found
        ended += news.ended
    return Noted(tuple(found), ended)


def accept(ports: Ports, model: str, who: Who, reason: str) -> Sequence[Difference]:
    """Let our rows follow what was deleted past Lockgate in this model: the model, its versions; what was accepted.

    A stage or an alias is never accepted here: a version enters a stage by being promoted.
    Raises BadInput without a reason, Forbidden, NotFound when nothing was deleted, Conflict while a deleted version
    serves.
    """
    if not reason.strip():
        raise BadInput("A deletion is accepted for a reason.", hint="Give it with --reason.")
    with refusals_recorded(ports, who, "accept what was deleted", model), ports.store.writing(model) as work:
        authorise(work, who, Act.OPERATE, model)
        deletions = [each for each in work.drift.differences(model) if each.kind in DELETIONS]
        if not deletions:
            hint = f"lockgate status {model} shows what stands open."
            raise NotFound(f"Nothing of {model} was deleted past Lockgate.", hint=hint)
        _refuse_while_it_serves(work, model, deletions)
        for each in deletions:
            _follow(ports, work, each, who, reason)
    return deletions


def mend(ports: Ports, work: Work, ref: VersionRef, who: Who) -> Sequence[Difference]:
    """Write MLflow's stage and alias of this version anew as Lockgate holds them; what differed, nothing if nothing.

    Raises Conflict where the model is another one of the same name: what is held is not about it.
    """
    row = work.versions.get(ref)
    if row is None or _agrees(work, row):
        return ()
    found = work.drift.differences(ref.model)
    if any(each.kind is Kind.MODEL_REPLACED for each in found):
        raise Conflict(found[0].because, hint=f"Accept that first: {found[0].accept}")
    wrong = [each for each in found if _is_about(each, ref)]
    if not wrong:
        return ()
    now = ports.clock.now()
    work.catalog.set_stage(ref, row.stage, now)
    if row.stage in GATED and row.primary:
        alias = work.policies.in_force().rules(ref.model, row.stage).alias
        work.catalog.set_aliases(ref.model, {alias: ref.version})
    for each in wrong:
        detail: dict[str, Plain] = {"kind": each.kind.value, "key": each.key}
        work.record.write(
            Entry(MENDED, who, now, ref.model, ref.version, each.found, each.held, each.because, detail=detail)
        )
    return wrong


def _agrees(work: Work, row: Lifecycle) -> bool:
    """Whether MLflow says the same of this one version: looking for differences reads all of its model's."""
    theirs = work.catalog.version(row.ref)
    if theirs is None or theirs.stage != row.stage:
        return False
    protected = {work.policies.in_force().rules(row.ref.model, stage).alias for stage in GATED}
    here = (
        {work.policies.in_force().rules(row.ref.model, row.stage).alias}
        if row.stage in GATED and row.primary
        else set()
    )
    return protected & set(theirs.aliases) == here - {""}


def _is_about(difference: Difference, ref: VersionRef) -> bool:
    return difference.kind in (Kind.STAGE, Kind.ALIAS) and difference.version == ref.version


def _note_workspace(ports: Ports, workspace: str, why: str) -> Noted:
    with ports.store.reading() as work:
        now = _by_model(work.drift.differences())
        open_before = _open(work, workspace, None)
    found: list[Difference] = []
    ended = 0
    for model in sorted({*now, *open_before}):
        seen = {each.key: each for each in now.get(model, ())}
        if seen.keys() == open_before.get(model, frozenset()):
            continue  # nothing new: nobody's row is locked for it
        news = _note_model(ports, workspace, model, why)
        found += news.found
        ended += news.ended
    return Noted(tuple(found), ended)


def _note_model(ports: Ports, workspace: str, model: str, why: str) -> Noted:
    with ports.store.writing(model) as work:
        seen = {each.key: each for each in work.drift.differences(model)}
        known, at = _open(work, workspace, model).get(model, frozenset()), ports.clock.now()
        new = [each for key, each in seen.items() if key not in known]
        for each in new:
            detail: dict[str, Plain] = {"kind": each.kind.value, "key": each.key}
            told = f"{each.because} ({why})" if why else each.because
            entry = Entry(FOUND, LOCKGATE, at, model, each.version, each.held, each.found, told, detail)
            work.record.write(entry)
        gone = sorted(known - seen.keys())
        for key in gone:
            work.record.write(Entry(ENDED, LOCKGATE, at, model, detail={"key": key}))
    return Noted(tuple(new), len(gone))


def _open(work: Work, workspace: str, model: str | None) -> Mapping[str, frozenset[str]]:
    """By model, the keys of the differences that were found and have not ended, in that workspace."""
    last: dict[tuple[str, str], tuple[int, str]] = {}
    entries = [
        entry for action in (FOUND, ENDED) for entry in work.record.read(model=model, action=action, limit=_LATEST)
    ]
    for entry in entries:
        detail = entry.plain["detail"]
        # an entry of the default workspace names none
        if not isinstance(detail, dict) or detail.get("workspace", DEFAULT_WORKSPACE) != workspace:
            continue
        about = (str(entry.plain["model"]), str(detail.get("key", "")))
        place = (entry.linked.number, str(entry.plain["action"]))
        last[about] = max(last.get(about, place), place)
    found = defaultdict(set)
    for (named, key), (_, action) in last.items():
        if action == FOUND:
            found[named].add(key)
    return {named: frozenset(keys) for named, keys in found.items()}


def _by_model(found: Sequence[Difference]) -> Mapping[str, Sequence[Difference]]:
    grouped = defaultdict(list)
    for each in found:
        grouped[each.model].append(each)
    return grouped


def _refuse_while_it_serves(work: Work, model: str, deletions: Sequence[Difference]) -> None:
    whole = any(each.version is None for each in deletions)
    gone = {each.version for each in deletions}
    for endpoint in work.endpoints.of_model(model):
        if endpoint.state is EndpointState.RETIRED or endpoint.release is None:
            continue
        if whole or endpoint.release.ref.version in gone:
            raise Conflict(
                f"{endpoint.release.ref} was deleted past Lockgate and still serves at the {endpoint.environment} "
                f"endpoint of {model}.",
                hint="Promote another version first, or stop it: "
                f"lockgate endpoints retire {model} --environment {endpoint.environment}",
            )


def _follow(ports: Ports, work: Work, difference: Difference, who: Who, reason: str) -> None:
    now, model = ports.clock.now(), difference.model
    detail: dict[str, Plain] = {"kind": difference.kind.value, "key": difference.key}
    work.record.write(
        Entry(ACCEPTED, who, now, model, difference.version, difference.held, difference.found, reason, detail)
    )
    if difference.version is None:
        work.versions.delete_model(model, now)
        return
    ref = VersionRef(model, difference.version)
    work.versions.delete(ref, now)
    if difference.stage is not None:
        stages.follow(work, work.policies.in_force(), model, {difference.stage})
