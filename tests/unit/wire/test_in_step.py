"""The wire says the domain's words again without importing it; here the two are held against each other."""

from __future__ import annotations

from dataclasses import fields

import pytest

from lockgate.domain import (
    approvals,
    audit,
    checks,
    errors,
    evidence,
    identity,
    promotion,
    semver,
    serving,
    validation,
    verdict,
)
from lockgate.sdk.http import _BY_KIND
from lockgate.server.api.faults import kind_of
from lockgate.server.problems import TABLE
from lockgate.usecases import plan, semver_ports, status
from lockgate.wire import semver as wire
from lockgate.wire import shapes


def names(of: type) -> set[str]:
    return {each.name for each in fields(of)}


@pytest.mark.parametrize(
    ("inside", "outside", "kept_inside"),
    [
        (identity.Who, shapes.Who, set()),
        (verdict.Gate, shapes.Gate, set()),
        (promotion.Promotion, shapes.Promotion, {"candidate", "judgements"}),
        (plan.Plan, shapes.Plan, set()),
        (approvals.Decision, shapes.Decision, set()),
        (approvals.ApprovalRequest, shapes.ApprovalRequest, {"plans"}),
        (validation.TestResult, shapes.TestResult, set()),
        (validation.Library, shapes.Library, set()),
        (validation.Validation, shapes.Validation, {"examination"}),
        (serving.Release, shapes.Release, {"endpoint"}),
        (serving.ObservedGroup, shapes.Group, {"endpoint"}),
        (serving.Endpoint, shapes.Endpoint, {"id"}),
        (checks.Check, shapes.Check, set()),
        (semver.Change, wire.Change, set()),
        (semver_ports.Numbered, wire.Numbered, {"number", "signature", "mlmodel", "attempts"}),
        (evidence.Quarantine, shapes.Quarantine, set()),
        (status.VersionStatus, shapes.VersionStatus, {"numbered"}),
        (status.ModelStatus, shapes.ModelStatus, set()),
        (status.ModelSummary, shapes.ModelSummary, set()),
        (status.Overview, shapes.Overview, set()),
        (audit.Break, shapes.AuditBreak, set()),
    ],
    ids=lambda value: value.__name__ if isinstance(value, type) else "",
)
def test_nothing_that_is_known_inside_is_forgotten_on_the_wire(inside, outside, kept_inside):
    assert names(inside) - {"ref"} - kept_inside <= names(outside)


def test_the_same_states_count_as_over():
    assert {state.value for state in promotion.OVER} == shapes.OVER
    assert {state.value for state in validation.ValidationState if state.is_over} == shapes.VALIDATION_OVER


def test_the_client_has_an_error_for_each_of_the_servers():
    inside = [
        each for each in vars(errors).values() if isinstance(each, type) and issubclass(each, errors.LockgateError)
    ]
    kinds = {kind_of(each) for each in inside if each is not errors.LockgateError}

    assert kinds == set(_BY_KIND)
    assert kinds == {kind_of(each) for each in TABLE}
