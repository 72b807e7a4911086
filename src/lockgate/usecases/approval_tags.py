"""The two tags that older scripts read: the true state of a request for Production, mirrored on its version."""

from __future__ import annotations

import json

from lockgate.domain.approvals import ApprovalRequest, RequestState
from lockgate.domain.canonical import Plain
from lockgate.domain.stages import Stage
from lockgate.usecases import webhooks
from lockgate.usecases.ports import Work

REQUEST_TAG = "approval_request"
APPROVED_TAG = "production_approved"


def mirror(work: Work, request: ApprovalRequest) -> None:
    """Write the true state in the two tags, so that scripts that read them read the truth."""
    if request.stage is not Stage.PRODUCTION:
        return
    approved = request.state is RequestState.APPROVED
    for key, value in ((REQUEST_TAG, json.dumps(_told(request))), (APPROVED_TAG, "true" if approved else None)):
        work.catalog.set_tag(request.ref, key, value)
        if approved or value is not None:
            webhooks.tagged(work, request.ref.model, request.ref.version, key, value)


def _told(request: ApprovalRequest) -> dict[str, Plain]:
    told: dict[str, Plain] = {
        "status": request.state.value,
        "requester": request.asked_by.name,
        "justification": request.reason,
        "requested_at": request.asked_at.isoformat(),
        "approved_by": None,
        "approved_at": None,
    }
    if request.closed_because:
        told["closed_because"] = request.closed_because
    standing = [decision for decision in request.decisions if decision.withdrawn_at is None]
    if standing:
        last = standing[-1]
        if last.approved:
            told |= {"approved_by": last.who.name, "approved_at": last.at.isoformat(), "comments": last.comment}
        else:
            told |= {
                "reviewed_by": last.who.name,
                "reviewed_at": last.at.isoformat(),
                "rejection_reason": last.comment,
            }
    return told
