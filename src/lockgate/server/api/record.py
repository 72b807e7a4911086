"""Routes that read the record, and check it."""

from __future__ import annotations

from fastapi import APIRouter

from lockgate.server.api import translate
from lockgate.server.api.answering import Json
from lockgate.server.api.asking import Limit
from lockgate.usecases import verify_record
from lockgate.usecases.ports import Ports
from lockgate.wire.shapes import AuditCheck, AuditList
from lockgate.wiring import check_signature


def routes(ports: Ports) -> APIRouter:
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
        """Check the record's chains, tree and checkpoints, and name each place where one does not hold."""
        with ports.store.reading() as work:
            found = verify_record.verify(work, check_signature)
        return Json(translate.checked(found))

    return router
