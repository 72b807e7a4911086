"""Evidence and rules of any kind that a property test may ask for."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

from hypothesis import strategies as st

from lockgate.domain.approvals import ApprovalRequest, Decision, RequestState
from lockgate.domain.checks import Check
from lockgate.domain.evidence import ArtifactFacts, Champion, CustomResult, Evidence, Metric, Quarantine
from lockgate.domain.grades import Grade
from lockgate.domain.identity import Who
from lockgate.domain.plans import ReleaseSettings
from lockgate.domain.policy import (
    ApprovalRule,
    Ceiling,
    Combined,
    Comparison,
    CustomRule,
    Direction,
    Group,
    RequiredCheck,
    StageRules,
    Threshold,
)
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
from lockgate.domain.verdict import Level, Standing
from lockgate.domain.versions import VersionRef
from tests.unit.domain.cases import NOW, PINNED, REF

OTHER = "sha256:" + "b" * 64
NAMES = st.sampled_from(["accuracy", "f1", "loss", "é\n'\"", "latency_test.p95_ms"])
TEXTS = st.text(st.characters(codec="utf-8"), max_size=12)
MOMENTS = st.datetimes(datetime(2020, 1, 1), datetime(2030, 1, 1), timezones=st.just(UTC))  # noqa: DTZ001 - aware by timezones
AROUND = st.timedeltas(timedelta(days=-40), timedelta(days=2)).map(lambda ago: NOW + ago)
DIGESTS = st.sampled_from([PINNED, OTHER])
GATED = st.sampled_from([Stage.STAGING, Stage.PRODUCTION])
LEVELS = st.none() | st.sampled_from(Level)
LENGTHS = st.timedeltas(timedelta(minutes=1), timedelta(days=60))
AGES = st.none() | LENGTHS
NUMBERS = st.floats(-10, 10) | st.sampled_from([0.0, -0.0, 0.9, 1e300, -1e-300])
WHO = st.builds(Who, st.sampled_from(["ann", "bea", "cem"]) | TEXTS, st.booleans(), TEXTS, address=TEXTS)

METRICS = st.builds(
    Metric,
    NUMBERS | st.floats(),
    st.sampled_from(["run", "logged model", "validation"]),
    st.sampled_from(Grade),
    st.none() | AROUND,
    st.none() | DIGESTS,
)
CHECKS = st.builds(Check, st.sampled_from(["ci", "bias"]), st.booleans(), WHO, AROUND, DIGESTS, TEXTS, TEXTS)
RESULTS = st.builds(
    TestResult,
    st.sampled_from(SUITE),
    st.booleans(),
    TEXTS,
    st.dictionaries(TEXTS, st.floats(), max_size=2),
    st.lists(TEXTS, max_size=2).map(tuple),
)
FACTS = st.builds(
    ModelFacts,
    st.booleans(),
    st.lists(st.builds(Library, TEXTS, TEXTS, st.none() | TEXTS), max_size=2).map(tuple),
    st.none() | TEXTS,
)
VALIDATIONS = st.builds(
    Validation,
    TEXTS,
    st.just(REF),
    st.sampled_from(ValidationState),
    WHO,
    AROUND,
    st.just("asked"),
    st.none() | DIGESTS,
    st.none() | st.builds(Examination, st.lists(RESULTS, max_size=3).map(tuple), st.none() | FACTS, st.floats(0, 9)),
    TEXTS,
    st.none() | AROUND,
)
DECISIONS = st.builds(Decision, st.booleans(), WHO, TEXTS, AROUND, DIGESTS, st.just("") | TEXTS, st.none() | MOMENTS)
REQUESTS = st.builds(
    ApprovalRequest,
    TEXTS,
    st.just(REF),
    GATED,
    WHO,
    TEXTS,
    AROUND,
    DIGESTS,
    st.sampled_from(RequestState),
    st.lists(DECISIONS, max_size=3).map(tuple),
    TEXTS,
    st.dictionaries(DIGESTS, st.dictionaries(TEXTS, st.none() | TEXTS, max_size=2), max_size=2),
)
CHAMPIONS = st.builds(
    Champion,
    st.integers(1, 9).map(lambda number: VersionRef("iris", number)),
    st.dictionaries(NAMES, METRICS, max_size=3),
    st.none() | DIGESTS,
)

EVIDENCE: st.SearchStrategy[Evidence] = st.builds(
    Evidence,
    ref=st.just(REF),
    target=GATED,
    stage=st.sampled_from(Stage),
    stage_since=AROUND,
    artifacts=st.builds(ArtifactFacts, st.none() | DIGESTS, st.lists(TEXTS, max_size=2).map(tuple), TEXTS),
    metrics=st.dictionaries(NAMES, METRICS, max_size=4),
    tags=st.dictionaries(st.sampled_from(["team", "risk"]) | TEXTS, st.sampled_from(["", "low"]) | TEXTS, max_size=3),
    validation=st.none() | VALIDATIONS,
    request=st.none() | REQUESTS,
    quarantine=st.none() | st.builds(Quarantine, AROUND, TEXTS),
    occupants=st.lists(st.integers(10, 20).map(lambda n: VersionRef("iris", n)), max_size=3, unique=True).map(tuple),
    archive_existing=st.booleans(),
    policy_digest=st.just(OTHER),
    now=st.just(NOW),
    roles=st.dictionaries(TEXTS, st.frozensets(st.sampled_from(["approver", "admin"])), max_size=2),
    release=st.none() | st.builds(ReleaseSettings, TEXTS, st.integers(1, 9), st.floats(0.1, 60)),
    champion=st.none() | CHAMPIONS,
    checks=st.lists(CHECKS, max_size=3).map(tuple),
    custom=st.dictionaries(
        st.sampled_from(["small", "wide"]), st.builds(CustomResult, st.booleans(), TEXTS, TEXTS), max_size=2
    ),
)

THRESHOLDS = st.builds(Threshold, NUMBERS, st.sampled_from(Grade), LEVELS, AGES)
CEILINGS = st.builds(Ceiling, NUMBERS, st.sampled_from(Grade), LEVELS, AGES)
COMPARISONS = st.builds(
    Comparison,
    st.sampled_from(Direction),
    st.sampled_from([0.0, 0.1, 3.0]),
    st.sampled_from([0.0, 0.01, 1.0]),
    st.sampled_from(Standing),
    st.sampled_from(Grade),
    LEVELS,
)


def _requirements(**more: Any) -> st.SearchStrategy[StageRules]:
    return st.builds(
        StageRules,
        alias=st.just("production"),
        metrics=st.dictionaries(NAMES, THRESHOLDS, max_size=2),
        ceilings=st.dictionaries(NAMES, CEILINGS, max_size=2),
        champion=st.dictionaries(NAMES, COMPARISONS, max_size=2),
        validation_tests=st.lists(st.sampled_from(SUITE), max_size=2, unique=True).map(tuple),
        validation_max_age=AGES,
        required_tags=st.sampled_from([(), ("team",), ("team", "risk")]),
        tag_values=st.sampled_from([{}, {"risk": ("low", "high")}]),
        previous_stage=st.none() | st.just(Stage.STAGING),
        require_signature=st.booleans(),
        soak=st.none() | LENGTHS,
        checks=st.lists(
            st.builds(RequiredCheck, st.sampled_from(["ci", "bias"]), AGES), max_size=2, unique_by=lambda c: c.name
        ).map(tuple),
        custom=st.sampled_from([(), (CustomRule("small", "metrics.loss < 0.3"),)]),
        **more,
    )


GROUPS = st.builds(
    Group,
    st.sampled_from(["one", "two"]),
    st.sampled_from(Combined),
    st.lists(_requirements(), min_size=1, max_size=2).map(tuple),
)
RULES: st.SearchStrategy[StageRules] = _requirements(
    approval=st.none() | st.builds(ApprovalRule, st.integers(1, 2), not_the_requester=st.booleans(), expires=AGES),
    max_versions=st.none() | st.integers(1, 3),
    evict_oldest=st.booleans(),
    groups=st.lists(GROUPS, max_size=1).map(tuple),
)
