"""What a promotion would do and what it would be judged on, without asking for it; and whether a plan still is one."""

from __future__ import annotations

import re
from dataclasses import dataclass

from lockgate.domain.errors import BadInput, Conflict, NotFound
from lockgate.domain.evidence import Evidence
from lockgate.domain.plans import Parts, ReleaseSettings, changes, digest_of_parts, parts, told
from lockgate.domain.policy import StageRules
from lockgate.domain.rules import judge, leavers
from lockgate.domain.stages import Stage
from lockgate.domain.verdict import Verdict
from lockgate.domain.versions import VersionRef
from lockgate.usecases.custom_rules import evaluated
from lockgate.usecases.gather import gather, inspect_artifacts
from lockgate.usecases.ports import Ports, Work

_PREFIX = "sha256:"
# as many digits as the commands show, or more
_WRITTEN = re.compile(r"(?:sha256:)?([0-9a-f]{12,64})")


@dataclass(frozen=True, slots=True)
class Plan:
    """The verdict, who would leave, what serves there now, and the digest an approval would sign, with its parts."""

    ref: VersionRef
    stage: Stage
    verdict: Verdict
    digest: str
    artifacts: str | None
    leavers: tuple[VersionRef, ...]
    environment: str | None
    serves_now: VersionRef | None
    policy_digest: str
    parts: Parts
    release: ReleaseSettings | None


def plan(ports: Ports, ref: VersionRef, stage: Stage, *, archive_existing: bool = True, keep: bool = False) -> Plan:
    """Judge the move as it stands now. Pins the artifacts if that was not done yet; moves nothing.

    With `keep` the parts are kept, so that whoever acts on this plan later hears what changed since.
    Raises NotFound, and BadInput for a prompt.
    """
    facts = inspect_artifacts(ports, ref)
    with ports.store.reading() as work:
        if work.catalog.is_prompt(ref.model):
            raise BadInput(f"{ref.model} is a prompt, and prompts have no stages.", hint="Name a model.")
        policy = work.policies.in_force()
        rules = policy.rules(ref.model, stage)
        evidence = gather(work, policy, ref, stage, facts, ports.clock.now(), archive_existing=archive_existing)
        environment = policy.environment_for(stage)
        endpoint = work.endpoints.get(environment.name, ref.model) if environment else None
    evidence = evaluated(ports.custom, evidence, rules)
    named = parts(evidence, rules)
    digest = digest_of_parts(named)
    if keep:
        with ports.store.writing(ref.model) as work:
            work.approvals.keep_plan(digest, named, evidence.now)
    return Plan(
        ref=ref,
        stage=stage,
        verdict=judge(evidence, rules, policy.level_for(rules)),
        digest=digest,
        artifacts=facts.digest,
        leavers=leavers(evidence, rules),
        environment=environment.name if environment and evidence.release else None,
        serves_now=endpoint.release.ref if endpoint and endpoint.release else None,
        policy_digest=policy.digest,
        parts=named,
        release=evidence.release,
    )


def kept(ports: Ports, written: str) -> tuple[str, Parts]:
    """A plan that was kept, by its digest or the beginning of it. Raises BadInput, and NotFound."""
    beginning = digest_written(written)
    with ports.store.reading() as work:
        found = work.approvals.plan(beginning)
    if found is None:
        raise NotFound(
            f"No plan {beginning.removeprefix(_PREFIX)[:12]} is kept here.",
            hint="Make one with: lockgate plan MODEL@VERSION --output plan.json",
        )
    return digest_of_parts(found), found


def digest_written(written: str) -> str:
    """A plan's digest, or the beginning of it, as people write it. Raises BadInput."""
    found = _WRITTEN.fullmatch(written.strip().lower())
    if found is None:
        raise BadInput(
            f"{written[:80]!r} is not the digest of a plan.",
            hint="Give the plan's file, or at least 12 digits of its digest: lockgate plan shows them.",
        )
    return _PREFIX + found[1]


def refuse_other(work: Work, evidence: Evidence, rules: StageRules, wanted: str) -> None:
    """Raise Conflict, saying what changed, unless the plan as it is now is the one wanted ("" is any)."""
    if because := stale_because(work, evidence, rules, wanted):
        raise Conflict(because, hint=anew(evidence.ref, evidence.target))


def stale_because(work: Work, evidence: Evidence, rules: StageRules, wanted: str) -> str:
    """What is different now from the plan that was wanted; "" when it is the one, or any would do."""
    if not wanted:
        return ""
    now, beginning = parts(evidence, rules), digest_written(wanted)
    if digest_of_parts(now).startswith(beginning):
        return ""
    before = work.approvals.plan(beginning)
    changed = told(changes(before, now)) if before is not None else "it is not the one of this moment"
    return f"The plan {beginning.removeprefix(_PREFIX)[:12]} is stale: {changed}."


def anew(ref: VersionRef, stage: Stage) -> str:
    """What to do about a stale plan."""
    return f"Look at it anew: lockgate plan {ref} --to {stage.lower()} --output plan.json"
