"""What a promotion would do and what it would be judged on, without asking for it."""

from __future__ import annotations

from dataclasses import dataclass

from lockgate.domain.errors import BadInput
from lockgate.domain.evidence import plan_digest
from lockgate.domain.rules import judge, leavers
from lockgate.domain.stages import Stage
from lockgate.domain.verdict import Verdict
from lockgate.domain.versions import VersionRef
from lockgate.usecases.custom_rules import evaluated
from lockgate.usecases.gather import gather, inspect_artifacts
from lockgate.usecases.ports import Ports


@dataclass(frozen=True, slots=True)
class Plan:
    """The verdict, who would leave, what serves there now, and the digest an approval would sign."""

    ref: VersionRef
    stage: Stage
    verdict: Verdict
    digest: str
    artifacts: str | None
    leavers: tuple[VersionRef, ...]
    environment: str | None
    serves_now: VersionRef | None
    policy_digest: str


def plan(ports: Ports, ref: VersionRef, stage: Stage, *, archive_existing: bool = True) -> Plan:
    """Judge the move as it stands now. Pins the artifacts if that was not done yet; moves nothing.

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
        serves = bool(environment) and policy.endpoint_rule(ref.model).serve
        endpoint = work.endpoints.get(environment.name, ref.model) if environment else None
    evidence = evaluated(ports.custom, evidence, rules)
    return Plan(
        ref=ref,
        stage=stage,
        verdict=judge(evidence, rules, policy.level_for(rules)),
        digest=plan_digest(evidence, rules),
        artifacts=facts.digest,
        leavers=leavers(evidence, rules),
        environment=environment.name if environment and serves else None,
        serves_now=endpoint.release.ref if endpoint and endpoint.release else None,
        policy_digest=policy.digest,
    )
