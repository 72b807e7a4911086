"""What a plan and its approvals are judged on beside the version itself: people's roles now, and how it would serve."""

from __future__ import annotations

from collections.abc import Mapping

from lockgate.domain.approvals import ApprovalRequest
from lockgate.domain.plans import ReleaseSettings
from lockgate.domain.policy import Policy
from lockgate.domain.stages import Stage
from lockgate.usecases.ports import Work

ENGINE = "mlflow"


def roles_of(work: Work, request: ApprovalRequest | None) -> Mapping[str, frozenset[str]]:
    """The roles that everybody who has a part in the request has on its model now.

    Nobody is left out once there are users: who has gone has no role. Empty while there are none.
    """
    if request is None or not work.people.any():
        return {}
    names = sorted(request.people)
    found = work.people.roles_of(names, request.ref.model)
    return {name: frozenset(role.value for role in found.get(name, ())) for name in names}


def release_settings(policy: Policy, model: str, stage: Stage) -> ReleaseSettings | None:
    """How a version of this model would be served in the stage; None where it would not be."""
    rule = policy.endpoint_rule(model)
    if policy.environment_for(stage) is None or not rule.serve:
        return None
    return ReleaseSettings(ENGINE, rule.workers, rule.timeout.total_seconds())
