"""Draws promotions by chance, each with everything that is kept of it: what an auditor looks at closely."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from lockgate.domain.access import Act
from lockgate.domain.approvals import ApprovalRequest
from lockgate.domain.checkpoints import Check, SignedCheckpoint, proof_texts
from lockgate.domain.errors import BadInput
from lockgate.domain.evidence import Evidence
from lockgate.domain.identity import Who
from lockgate.domain.manifest import Manifest
from lockgate.domain.merkle import inclusion_ranges, places_of, proof_from
from lockgate.domain.sampling import MOST, checked_seed, draw
from lockgate.domain.validation import Validation
from lockgate.usecases import keys
from lockgate.usecases.authorise import authorise, refusals_recorded
from lockgate.usecases.export import newest_checkpoint
from lockgate.usecases.history import Behind, behind
from lockgate.usecases.ports import Ports, Recorded, Work

MOST_ENTRIES = 500


@dataclass(frozen=True, slots=True)
class Asked:
    """How many are wanted, of those that were over within which time, drawn by which seed ("": a new one)."""

    wanted: int
    since: datetime | None = None
    until: datetime | None = None
    seed: str = ""


@dataclass(frozen=True, slots=True)
class Proven:
    """An entry with its position, and where the checkpoint covers it the proof, which may be empty."""

    recorded: Recorded
    position: int | None = None
    proof: tuple[str, ...] | None = None


@dataclass(frozen=True, slots=True)
class Sampled:
    """One promotion with what is kept of it. `trouble` says what is not, or was changed behind Lockgate."""

    behind: Behind
    chain: str
    requests: Sequence[ApprovalRequest]
    validations: Sequence[Validation]
    manifest: Manifest | None
    entries: Sequence[Proven]
    evidence: Evidence | None
    trouble: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Sample:
    """What was drawn, and what it takes to draw it again: the same seed and times."""

    asked: Asked
    until: datetime
    population: int
    promotions: Sequence[Sampled]
    checkpoint: SignedCheckpoint | None
    keys: tuple[str, ...]


def sample(ports: Ports, check: Check, who: Who, asked: Asked) -> Sample:
    """Draw promotions that are over; all where there are fewer than are wanted.

    Raises BadInput for a number or a time that cannot be, Forbidden without leave to read the record of all models.
    """
    now = ports.clock.now()
    until = min(asked.until or now, now)
    if not 1 <= asked.wanted <= MOST:
        raise BadInput(f"A sample of {asked.wanted} cannot be drawn.", hint=f"Ask for 1 to {MOST}.")
    if asked.since is not None and asked.since > until:
        raise BadInput("The time ends before it begins.", hint="--since comes before --until, and before now.")
    seed = checked_seed(asked.seed or ports.ids.new("seed"))
    with refusals_recorded(ports, who, "audit sample"), ports.store.reading() as work:
        authorise(work, who, Act.READ_RECORD)
        ids = work.history.closed(asked.since, until)
        newest = newest_checkpoint(work)
        drawn = [_sampled(work, id, newest) for id in draw(ids, asked.wanted, seed)]
        public = tuple(str(each.public) for each in keys.ring(work, check).keys)
    told = Asked(asked.wanted, asked.since, until, seed)
    return Sample(told, until, len(ids), [each for each in drawn if each is not None], newest, public)


def _sampled(work: Work, id: str, newest: SignedCheckpoint | None) -> Sampled | None:
    found = behind(work, id)
    if found is None:
        return None
    story, model = found
    of, version = story.promotion, story.promotion.ref.version
    requests = [each for each in work.history.requests(model.id, version) if each.stage is of.stage]
    until = of.closed_at or of.asked_at
    trouble: list[str] = []
    entries = work.history.entries(model.chain, version, until, MOST_ENTRIES)
    if len(entries) == MOST_ENTRIES:
        trouble.append(f"only the last {MOST_ENTRIES} entries about the version are here")
    return Sampled(
        behind=story,
        chain=model.chain,
        requests=requests,
        validations=work.history.validations(model.id, version),
        manifest=work.history.manifest(model.id, version),
        entries=_proven(work, model.chain, entries, newest),
        evidence=_evidence(work, of.evidence_digest, trouble),
        trouble=tuple(trouble),
    )


def _evidence(work: Work, digest: str, trouble: list[str]) -> Evidence | None:
    if not digest:
        trouble.append("no evidence was kept: no gate was judged, or an earlier release judged it")
        return None
    try:
        found = work.evidence.get(digest)
    except BadInput as changed:
        trouble.append(changed.message)
        return None
    if found is None:
        trouble.append(f"the evidence {digest} is no longer there")
    return found


def _proven(work: Work, chain: str, entries: Sequence[Recorded], newest: SignedCheckpoint | None) -> Sequence[Proven]:
    """The entries, each with its proof where the checkpoint covers it."""
    size = newest.checkpoint.size if newest is not None else 0
    positions = work.history.positions(chain, [each.linked.number for each in entries])
    ranges = {number: inclusion_ranges(place, size) for number, place in positions.items() if place < size}
    nodes = work.tree.nodes({place for each in ranges.values() for place in places_of(each)})
    found = []
    for each in entries:
        path = ranges.get(each.linked.number)
        proof = proof_texts(proof_from(path, nodes)) if path is not None else None
        found.append(Proven(each, positions.get(each.linked.number), proof))
    return found
