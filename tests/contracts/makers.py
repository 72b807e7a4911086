"""Values as the use cases make them, with everything filled in that a test does not care for."""

from __future__ import annotations

import hashlib
from datetime import UTC, datetime, timedelta
from typing import Any

from lockgate.domain.approvals import ApprovalRequest, Decision, RequestState
from lockgate.domain.audit import Entry
from lockgate.domain.checks import Check
from lockgate.domain.identity import SERVICE, Who
from lockgate.domain.policy import EndpointRule, Environment, Policy, StageRules
from lockgate.domain.promotion import Kind, Promotion, PromotionState
from lockgate.domain.semver import SemanticVersion
from lockgate.domain.serving import Release
from lockgate.domain.stages import Stage
from lockgate.domain.validation import Validation, ValidationState
from lockgate.domain.verdict import Level
from lockgate.domain.versions import VersionRef
from lockgate.usecases.semver_ports import SIGNATURE, Numbered

T0 = datetime(2026, 3, 1, 12, 0, 0, 123456, tzinfo=UTC)
ANN = Who("ann", verified=False, via="cli")
BOB = Who("bob", verified=True, via="api")
CI = Who("ci", verified=True, via="api", kind=SERVICE)
FRAUD_1 = VersionRef("fraud", 1)
FRAUD_2 = VersionRef("fraud", 2)


def later(**length: float) -> datetime:
    return T0 + timedelta(**length)


class HandClock:
    """A clock that stands still until it is moved."""

    def __init__(self, at: datetime = T0) -> None:
        self.at = at

    def now(self) -> datetime:
        return self.at

    def move(self, **length: float) -> None:
        self.at += timedelta(**length)


class Parser:
    """Reads a policy text as its level, and counts how often it was asked."""

    def __init__(self) -> None:
        self.asked = 0

    def __call__(self, text: str | None) -> Policy:
        self.asked += 1
        return Policy(
            digest="sha256:" + hashlib.sha256((text or "").encode()).hexdigest(),
            level=Level(text or "observe"),
            stages={Stage.STAGING: StageRules("staging"), Stage.PRODUCTION: StageRules("production")},
            environments=(
                Environment("staging", Stage.STAGING, 5001),
                Environment("production", Stage.PRODUCTION, 5002),
                Environment("anywhere", Stage.NONE, 0),
            ),
            endpoints=(("*", EndpointRule(workers=3, timeout=timedelta(seconds=7))),),
        )


def promotion(id: str, ref: VersionRef = FRAUD_1, stage: Stage = Stage.STAGING, **changes: Any) -> Promotion:
    fields: dict[str, Any] = {
        "id": id,
        "ref": ref,
        "stage": stage,
        "kind": Kind.PROMOTE,
        "lasting": False,
        "archive_existing": True,
        "asked_by": ANN,
        "reason": "because it is better",
        "asked_at": T0,
        "state": PromotionState.JUDGING,
    }
    return Promotion(**(fields | changes))


def validation(id: str, ref: VersionRef = FRAUD_1, **changes: Any) -> Validation:
    fields: dict[str, Any] = {
        "id": id,
        "ref": ref,
        "state": ValidationState.QUEUED,
        "asked_by": ANN,
        "asked_at": T0,
        "trigger": "asked",
    }
    return Validation(**(fields | changes))


def request(id: str, ref: VersionRef = FRAUD_1, **changes: Any) -> ApprovalRequest:
    fields: dict[str, Any] = {
        "id": id,
        "ref": ref,
        "stage": Stage.PRODUCTION,
        "asked_by": ANN,
        "reason": "it is time",
        "asked_at": T0,
        "plan_digest": "sha256:plan",
        "state": RequestState.PENDING,
    }
    return ApprovalRequest(**(fields | changes))


def decision(approved: bool = True, **changes: Any) -> Decision:
    fields: dict[str, Any] = {
        "approved": approved,
        "who": BOB,
        "comment": "fine",
        "at": T0,
        "plan_digest": "sha256:plan",
    }
    return Decision(**(fields | changes))


def release(id: str, endpoint: str, ref: VersionRef = FRAUD_1, **changes: Any) -> Release:
    fields: dict[str, Any] = {
        "id": id,
        "endpoint": endpoint,
        "ref": ref,
        "digest": "sha256:files",
        "engine": "mlflow",
        "promotion": "prm-1",
        "created_at": T0,
    }
    return Release(**(fields | changes))


def entry(action: str = "version:transitioned", model: str = "fraud", **changes: Any) -> Entry:
    fields: dict[str, Any] = {"action": action, "who": ANN, "at": T0, "model": model, "version": 1 if model else None}
    return Entry(**(fields | changes))


def check(name: str, passed: bool = True, **changes: Any) -> Check:
    fields: dict[str, Any] = {
        "name": name,
        "passed": passed,
        "who": CI,
        "at": T0,
        "digest": "sha256:files",
        "url": "https://ci/1",
        "comment": "no\nbias",
    }
    return Check(**(fields | changes))


def numbered(ref: VersionRef, number: str | None, **changes: Any) -> Numbered:
    fields: dict[str, Any] = {
        "ref": ref,
        "number": None if number is None else SemanticVersion.parse(number),
        "origin": SIGNATURE,
        "because": "the first version",
        "who": ANN,
        "at": T0,
        "mlmodel": "sha256:m",
    }
    return Numbered(**(fields | changes))
