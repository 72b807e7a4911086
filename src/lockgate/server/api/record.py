"""Routes that read the record and the policy, and check both."""

from __future__ import annotations

from collections.abc import Callable
from typing import Annotated

from fastapi import APIRouter

from lockgate.domain.errors import BadInput
from lockgate.domain.policy import Policy
from lockgate.server.api import translate
from lockgate.server.api.answering import Json
from lockgate.server.api.asking import Limit, body_of, described
from lockgate.usecases.ports import Ports
from lockgate.wire.requests import PolicyText
from lockgate.wire.shapes import AuditCheck, AuditList, PolicyCheck, PolicyInForce


def routes(ports: Ports, parse_policy: Callable[[str | None], Policy]) -> APIRouter:
    """The routes over these ports."""
    router = APIRouter(tags=["record"])

    @router.get("/audit", response_model=AuditList)
    def read_audit(model: str | None = None, action: str | None = None, limit: Limit = 100) -> Json:
        """Entries of the record, newest first."""
        with ports.store.reading() as work:
            found = work.record.read(model=model, action=action, limit=limit)
        return Json(AuditList(tuple(translate.recorded(each) for each in found)))

    @router.get("/audit/verify", response_model=AuditCheck)
    def verify_audit() -> Json:
        """Check every chain of the record, and name each place where one does not hold."""
        with ports.store.reading() as work:
            entries, breaks = work.record.verify()
        return Json(translate.checked(entries, breaks))

    @router.get("/policy", response_model=PolicyInForce)
    def read_policy() -> Json:
        """The policy by which gates are judged now."""
        with ports.store.reading() as work:
            policy, text = work.policies.in_force(), work.policies.text()
        return Json(PolicyInForce(policy.digest, policy.level.value, text is None, text))

    @router.post("/policy/check", response_model=PolicyCheck, openapi_extra=described(PolicyText))
    def check_policy(body: Annotated[PolicyText, body_of(PolicyText)]) -> Json:
        """Whether a policy file's text is right, without applying it. A wrong one is 200 too, with valid false."""
        try:
            policy = parse_policy(body.text)
        except BadInput as error:
            return Json(PolicyCheck(valid=False, because=error.message, hint=error.hint.strip()))
        return Json(PolicyCheck(valid=True, digest=policy.digest, level=policy.level.value))

    return router
