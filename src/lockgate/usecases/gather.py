"""Gathers the facts a transition is judged on: the slow part before the transaction, the rest inside it."""

from __future__ import annotations

from datetime import datetime

from lockgate.domain.audit import Entry
from lockgate.domain.canonical import Plain
from lockgate.domain.errors import NotFound, Unreadable
from lockgate.domain.evidence import ArtifactFacts, Evidence
from lockgate.domain.identity import LOCKGATE
from lockgate.domain.policy import Policy
from lockgate.domain.stages import Stage
from lockgate.domain.versions import VersionRef
from lockgate.usecases.ports import CatalogVersion, Lifecycle, Ports, Work


def inspect_artifacts(ports: Ports, ref: VersionRef) -> ArtifactFacts:
    """Pin the version's files if that has not been done, else compare them with what was pinned.

    Reads every byte, so it runs outside any transaction. Raises NotFound.
    """
    with ports.store.reading() as work:
        location = catalog_version(work, ref).location
        manifest = work.versions.manifest(ref)
    try:
        if manifest is None:
            return ArtifactFacts(_pin(ports, ref, location))
        told = ports.artifacts.check(location, manifest)
        if not told and not ports.artifacts.is_cached(manifest.digest):
            ports.artifacts.pin(location)
        return ArtifactFacts(manifest.digest, told)
    except Unreadable as unreadable:
        if manifest is None:
            return ArtifactFacts(None, unreadable=str(unreadable))
        return ArtifactFacts(manifest.digest, (f"unreadable: {unreadable.message}",))


def _pin(ports: Ports, ref: VersionRef, location: str) -> str:
    manifest = ports.artifacts.pin(location)
    now = ports.clock.now()
    with ports.store.writing(ref.model) as work:
        already = work.versions.manifest(ref)
        if already is not None:
            return already.digest
        work.versions.pin(ref, manifest, now)
        detail: dict[str, Plain] = {"digest": manifest.digest, "files": len(manifest.files), "bytes": manifest.size}
        work.record.write(Entry("version:pinned", LOCKGATE, now, ref.model, ref.version, detail=detail))
    return manifest.digest


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
    """The evidence for one transition, as this transaction sees it. Raises NotFound."""
    row, known = lifecycle(work, ref), catalog_version(work, ref)
    others = [other.ref for other in work.versions.in_stage(ref.model, target) if other.ref != ref]
    validation = work.validations.open_for(ref)
    if artifacts.digest is not None:
        validation = work.validations.latest(ref, artifacts.digest) or validation
    return Evidence(
        ref=ref,
        target=target,
        stage=row.stage,
        stage_since=row.since,
        artifacts=artifacts,
        metrics=work.catalog.metrics(ref),
        tags=known.tags,
        validation=validation,
        request=work.approvals.latest(ref, target),
        quarantine=row.quarantine,
        occupants=tuple(others),
        archive_existing=archive_existing,
        policy_digest=policy.digest,
        now=now,
    )


def stored_facts(work: Work, ref: VersionRef) -> ArtifactFacts:
    """What is known of the artifacts without reading them again."""
    return ArtifactFacts(lifecycle(work, ref).digest)


def catalog_version(work: Work, ref: VersionRef) -> CatalogVersion:
    """MLflow's row. Raises NotFound in MLflow's own words."""
    found = work.catalog.version(ref)
    if found is None:
        raise NotFound(
            f"Model Version (name={ref.model}, version={ref.version}) not found", hint="See lockgate status."
        )
    return found


def lifecycle(work: Work, ref: VersionRef) -> Lifecycle:
    """Our row. Raises NotFound."""
    found = work.versions.get(ref)
    if found is None:
        raise NotFound(
            f"Model Version (name={ref.model}, version={ref.version}) not found", hint="See lockgate status."
        )
    return found
