"""The tag by which MLflow's clients see a version's semantic version."""

from __future__ import annotations

from datetime import datetime

from lockgate.domain.semver import SemanticVersion
from lockgate.domain.versions import VersionRef
from lockgate.usecases import webhooks
from lockgate.usecases.ports import Lifecycle, Work

KEY = "model_version"
REGISTERED = "registered"


def write(work: Work, ref: VersionRef, number: SemanticVersion, at: datetime) -> None:
    """Set the tag, and tell who listens."""
    work.catalog.set_tag(ref, KEY, str(number))
    webhooks.tagged(work, ref.model, ref.version, KEY, str(number), at)


def follow(work: Work, row: Lifecycle, at: datetime) -> None:
    """A version that came to us without the tag gets it with the first move that somebody makes with it.

    Until then nothing of MLflow's is changed by itself. A tag of somebody's own stays.
    """
    if row.provenance == REGISTERED:
        return
    numbered, known = work.semver.get(row.ref), work.catalog.version(row.ref)
    if numbered is not None and numbered.number is not None and known is not None and KEY not in known.tags:
        write(work, row.ref, numbered.number, at)
