"""What a plan and its approvals are judged on beside the version itself: people's roles now, and how it would serve."""

from __future__ import annotations

from collections.abc import Mapping

from lockgate.domain.approvals import ApprovalRequest
from lockgate.domain.engines import Engine, engine_for
from lockgate.domain.plans import ReleaseSettings
from lockgate.domain.policy import EndpointRule, EngineKind, Policy
from lockgate.domain.stages import Stage
from lockgate.domain.versions import VersionRef
from lockgate.usecases.ports import Work


def roles_of(work: Work, request: ApprovalRequest | None) -> Mapping[str, frozenset[str]]:
    """The roles that everybody who has a part in the request has on its model now.

    Nobody is left out once there are users: who has gone has no role. Empty while there are none.
    """
    if request is None or not work.people.any():
        return {}
    names = sorted(request.people)
    found = work.people.roles_of(names, request.ref.model)
    return {name: frozenset(role.value for role in found.get(name, ())) for name in names}


def release_settings(
    work: Work, policy: Policy, ref: VersionRef, digest: str | None, stage: Stage
) -> ReleaseSettings | None:
    """How a version with these artifacts would be served in the stage; None where it would not be."""
    rule = policy.endpoint_rule(ref.model)
    if policy.environment_for(stage) is None or not rule.serve:
        return None
    engine = release_engine(work, rule, ref, digest)
    return ReleaseSettings(str(engine), rule.workers, rule.timeout.total_seconds())


def release_engine(work: Work, rule: EndpointRule, ref: VersionRef, digest: str | None) -> Engine:
    """What would compute for a release of a version with these artifacts, under the rule and what was measured."""
    wanted = rule.engine is EngineKind.ONNX
    return engine_for(rule, digest, work.measurements.latest(ref) if wanted else None)
