"""One version that clears every gate, to be spoiled by a test in exactly one way."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from lockgate.domain.approvals import ApprovalRequest, Decision, RequestState
from lockgate.domain.evidence import ArtifactFacts, Evidence, Metric
from lockgate.domain.identity import Who
from lockgate.domain.policy import ApprovalRule, StageRules, Threshold
from lockgate.domain.stages import Stage
from lockgate.domain.validation import (
    SUITE,
    Examination,
    Library,
    ModelFacts,
    TestResult,
    Validation,
    ValidationState,
)
from lockgate.domain.versions import VersionRef

NOW = datetime(2026, 5, 1, 12, tzinfo=UTC)
REF = VersionRef("iris", 7)
ANN, BEA, CEM = Who("ann"), Who("bea"), Who("cem")
PINNED = "sha256:" + "a" * 64

RULES = StageRules(
    alias="production",
    metrics={"accuracy": Threshold(0.9)},
    validation_tests=("schema_test", "load_test"),
    required_tags=("team",),
    previous_stage=Stage.STAGING,
    approval=ApprovalRule(),
    soak=timedelta(hours=24),
    require_signature=True,
    max_versions=1,
)


def examination(
    *, failed: tuple[str, ...] = (), signature: bool = True, installed: str | None = "1.5.2"
) -> Examination:
    results = tuple(TestResult(name, name not in failed, f"{name} was run") for name in SUITE)
    facts = ModelFacts(signature, (Library("scikit-learn", "1.5.2", installed),), "input_example")
    return Examination(results, facts, seconds=1.5)


def validation(
    state: ValidationState = ValidationState.PASSED,
    found: Examination | None = None,
    digest: str | None = PINNED,
    because: str = "",
) -> Validation:
    return Validation("val-1", REF, state, ANN, NOW, "asked", digest, found, because, NOW)


EVIDENCE = Evidence(
    ref=REF,
    target=Stage.PRODUCTION,
    stage=Stage.STAGING,
    stage_since=NOW - timedelta(days=2),
    artifacts=ArtifactFacts(PINNED),
    metrics={"accuracy": Metric(0.93, "run")},
    tags={"team": "ml"},
    validation=validation(found=examination()),
    request=None,
    quarantine=None,
    occupants=(),
    archive_existing=False,
    policy_digest="sha256:policy",
    now=NOW,
)


def decision(who: Who, plan: str, *, approved: bool = True, at: datetime = NOW, comment: str = "fine") -> Decision:
    return Decision(approved, who, comment, at, plan)


def request(*decisions: Decision, state: RequestState = RequestState.PENDING, at: datetime = NOW) -> ApprovalRequest:
    """Asked for by ann."""
    return ApprovalRequest("req-1", REF, Stage.PRODUCTION, ANN, "better recall", at, "plan", state, decisions)
