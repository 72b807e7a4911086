"""Gathers the facts a transition is judged on: the slow part before the transaction, the rest inside it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime

from lockgate.domain import custom
from lockgate.domain.audit import Entry
from lockgate.domain.canonical import Plain
from lockgate.domain.errors import NotFound, Unreadable
from lockgate.domain.evidence import ArtifactFacts, Champion, Evidence, Metric, figures
from lockgate.domain.gates.metrics import is_figure
from lockgate.domain.identity import LOCKGATE
from lockgate.domain.manifest import Manifest
from lockgate.domain.policy import Policy, StageRules
from lockgate.domain.stages import Stage
from lockgate.domain.validation import Validation
from lockgate.domain.versions import VersionRef
from lockgate.usecases.consent_facts import release_settings, roles_of
from lockgate.usecases.ports import CatalogVersion, Lifecycle, Ports, Work

MOST_OTHERS = 20  # metrics that no rule looks at, kept so that an answer can say which there are


@dataclass(frozen=True, slots=True)
class Looked:
    """What one look at a version's files gave. `fresh` is their manifest where it is still to be pinned."""

    facts: ArtifactFacts
    fresh: Manifest | None = None


def inspect_artifacts(ports: Ports, ref: VersionRef) -> ArtifactFacts:
    """Pin the version's files if that has not been done, else compare them with what was pinned.

    Reads every byte, so it runs outside any transaction. Raises NotFound.
    """
    looked = look_at_artifacts(ports, *where_artifacts_lie(ports, ref))
    if looked.fresh is None:
        return looked.facts
    with ports.store.writing(ref.model) as work:
        return keep_pin(ports, work, ref, looked)


def where_artifacts_lie(ports: Ports, ref: VersionRef) -> tuple[str, Manifest | None]:
    """Where the version's files are, and what was pinned of them. Raises NotFound."""
    with ports.store.reading() as work:
        return catalog_version(work, ref).location, work.versions.manifest(ref)


def look_at_artifacts(ports: Ports, location: str, manifest: Manifest | None) -> Looked:
    """Read the files: compare them with what was pinned, or copy and hash them. Touches no database."""
    try:
        if manifest is None:
            fresh = ports.artifacts.pin(location)
            return Looked(ArtifactFacts(fresh.digest), fresh)
        told = ports.artifacts.check(location, manifest)
        if not told and not ports.artifacts.is_cached(manifest.digest):
            ports.artifacts.pin(location)
        return Looked(ArtifactFacts(manifest.digest, told))
    except Unreadable as unreadable:
        if manifest is None:
            return Looked(ArtifactFacts(None, unreadable=str(unreadable)))
        return Looked(ArtifactFacts(manifest.digest, (f"unreadable: {unreadable.message}",)))


def keep_pin(ports: Ports, work: Work, ref: VersionRef, looked: Looked) -> ArtifactFacts:
    """Pin what was read fresh, in this transaction; what somebody else pinned meanwhile holds. Raises NotFound."""
    manifest = looked.fresh
    if manifest is None:
        return looked.facts
    already = lifecycle(work, ref).digest
    if already is not None:
        return ArtifactFacts(already)
    now = ports.clock.now()
    work.versions.pin(ref, manifest, now)
    detail: dict[str, Plain] = {"digest": manifest.digest, "files": len(manifest.files), "bytes": manifest.size}
    entry = Entry("version:pinned", LOCKGATE, now, ref.model, ref.version, None, manifest.digest, detail=detail)
    work.record.write(entry)
    return looked.facts


def gather(
    work: Work,
    policy: Policy,
    ref: VersionRef,
    target: Stage,
    artifacts: ArtifactFacts,
    now: datetime,
    *,
    archive_existing: bool,
) -> Evidence:
    """The evidence for one transition, as this transaction sees it. Raises NotFound.

    What no rule of the target stage reads is left out: a stage may hold thousands of versions.
    """
    rules = policy.rules(ref.model, target)
    reads = _reads(rules)
    row, known = lifecycle(work, ref), catalog_version(work, ref)
    validation = _validation(work, ref, artifacts, rules, now)
    asks_who_is_there = target.is_gated and (archive_existing or rules.max_versions is not None)
    there = work.versions.in_stage(ref.model, target) if asks_who_is_there else ()
    asks_for_approval = rules.approval is not None or row.quarantine is not None
    request = work.approvals.latest(ref, target) if asks_for_approval else None
    return Evidence(
        ref=ref,
        target=target,
        stage=row.stage,
        stage_since=row.since,
        artifacts=artifacts,
        metrics=_metrics(work, ref, reads, validation),
        tags={key: value for key, value in known.tags.items() if reads.all_tags or key in reads.tags},
        validation=validation,
        request=request,
        quarantine=row.quarantine,
        occupants=tuple(other for other in there if other != ref),
        archive_existing=archive_existing,
        policy_digest=policy.digest,
        now=now,
        roles=roles_of(work, request),
        release=release_settings(work, policy, ref, artifacts.digest, target),
        champion=_champion(work, ref, reads, rules),
        checks=tuple(work.checks.latest(ref)) if reads.checks else (),
    )


@dataclass(frozen=True, slots=True)
class _Reads:
    """What the rules of a stage look at, so that nothing else is read. `None`: whatever there is."""

    metrics: frozenset[str] | None
    compared: frozenset[str] | None
    tags: frozenset[str]
    all_tags: bool
    checks: bool


def _reads(rules: StageRules) -> _Reads:
    asked, expressions = rules.everywhere, custom.asked(rules).values()
    names = custom.names_in(expressions)
    compared = frozenset(name for each in asked for name in each.champion)
    bounded = frozenset(name for each in asked for name in (*each.metrics, *each.ceilings))
    tags = {key for each in asked for key in each.required_tags}
    if "model" in names:
        tags.add(custom.SEMANTIC_VERSION)
    return _Reads(
        metrics=None if "metrics" in names else compared | bounded,
        compared=None if "champion" in names else compared,
        tags=frozenset(tags),
        all_tags="tags" in names,
        checks="checks" in names or any(each.checks for each in asked),
    )


def _validation(
    work: Work, ref: VersionRef, artifacts: ArtifactFacts, rules: StageRules, now: datetime
) -> Validation | None:
    """The last one of these very files; one that is on its way where there is none, or where that one is too old."""
    latest = work.validations.latest(ref, artifacts.digest) if artifacts.digest is not None else None
    ages = [each.validation_max_age for each in rules.everywhere if each.validation_max_age is not None]
    if latest is None or (ages and latest.finished_at is not None and now - latest.finished_at > min(ages)):
        return work.validations.open_for(ref) or latest
    return latest


def _metrics(work: Work, ref: VersionRef, reads: _Reads, validation: Validation | None) -> Mapping[str, Metric]:
    """Those that rules look at; where one of them is not there, a few others too, so that the answer can name them.

    What Lockgate measures itself nobody can claim: what was logged under the name of a figure counts for nothing.
    """
    if reads.metrics is not None and not reads.metrics:
        return {}
    there = _known_metrics(work, ref, validation)
    if reads.metrics is None:
        return there
    found = {name: metric for name, metric in there.items() if name in reads.metrics}
    if len(found) == len(reads.metrics):
        return found
    others = sorted(there.keys() - found.keys())[:MOST_OTHERS]
    return {**found, **{name: there[name] for name in others}}


def _known_metrics(work: Work, ref: VersionRef, validation: Validation | None) -> dict[str, Metric]:
    claimed = {name: metric for name, metric in work.catalog.metrics(ref).items() if not is_figure(name)}
    return {**claimed, **figures(validation)}


def _champion(work: Work, ref: VersionRef, reads: _Reads, rules: StageRules) -> Champion | None:
    """The primary of the stage that is compared with, and of its metrics those that are."""
    if reads.compared is not None and not reads.compared:
        return None
    number = work.versions.newest_in_stage(ref.model, rules.champion_stage)
    row = work.versions.get(VersionRef(ref.model, number)) if number is not None else None
    if row is None:
        return None
    measured = work.validations.latest(row.ref, row.digest) if row.digest is not None else None
    there = _known_metrics(work, row.ref, measured)
    kept = {name: metric for name, metric in there.items() if reads.compared is None or name in reads.compared}
    return Champion(row.ref, kept, row.digest)


def stored_facts(work: Work, ref: VersionRef) -> ArtifactFacts:
    """What is known of the artifacts without reading them again."""
    return ArtifactFacts(lifecycle(work, ref).digest)


def catalog_version(work: Work, ref: VersionRef) -> CatalogVersion:
    """MLflow's row. Raises NotFound in MLflow's own words."""
    found = work.catalog.version(ref)
    if found is None:
        raise no_version(ref)
    return found


def lifecycle(work: Work, ref: VersionRef) -> Lifecycle:
    """Our row. Raises NotFound in MLflow's own words."""
    found = work.versions.get(ref)
    if found is None:
        raise no_version(ref)
    return found


def no_version(ref: VersionRef) -> NotFound:
    """That there is no such version, in MLflow's own words."""
    return NotFound(f"Model Version (name={ref.model}, version={ref.version}) not found")
