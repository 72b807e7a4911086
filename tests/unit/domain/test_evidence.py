"""Evidence is written down and read back exactly, and who changes what is stored is found out."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import timedelta, timezone
from typing import Any

import pytest
from hypothesis import given

from lockgate.domain.canonical import digest_of
from lockgate.domain.errors import BadInput
from lockgate.domain.evidence import Evidence, Metric, evidence_of, figures
from lockgate.domain.grades import Grade
from lockgate.domain.validation import ValidationState
from tests.unit.domain.cases import EVIDENCE, NOW, PINNED, examination, validation
from tests.unit.domain.generated import EVIDENCE as ANY


def test_a_better_grade_is_more() -> None:
    claimed, attested, measured = Grade

    assert claimed < attested < measured
    assert measured > attested > claimed
    assert attested <= attested >= attested
    assert not measured <= claimed
    assert max(Grade) is measured
    assert sorted([measured, claimed, attested]) == [claimed, attested, measured]


@given(ANY)
def test_evidence_is_read_back_exactly_as_it_was(evidence: Evidence) -> None:
    back = evidence_of(evidence.text, evidence.digest)

    # NaN is unlike itself, so the texts are compared: they hold every field
    assert back.text == evidence.text
    assert back.as_plain() == evidence.as_plain()
    assert back.request == evidence.request
    assert back.checks == evidence.checks


@given(ANY)
def test_what_is_stored_holds_no_floats(evidence: Evidence) -> None:
    def floats(value: object) -> list[object]:
        if isinstance(value, dict):
            return [found for inner in value.values() for found in floats(inner)]
        if isinstance(value, list):
            return [found for inner in value for found in floats(inner)]
        return [value] if isinstance(value, float) else []

    assert floats(json.loads(evidence.text)) == []


def test_the_same_moment_in_another_time_zone_is_the_same_evidence() -> None:
    elsewhere = replace(EVIDENCE, now=NOW.astimezone(timezone(timedelta(hours=5))))

    assert elsewhere.digest == EVIDENCE.digest


def test_a_number_is_one_text_however_it_was_written() -> None:
    whole, decimal = (replace(EVIDENCE, metrics={"m": Metric(value, "run")}) for value in (1, 1.0))

    assert whole.digest == decimal.digest


def test_evidence_written_before_a_field_was_there_is_the_same_text_today() -> None:
    # a default is not written, so what a later release adds changes no digest
    assert "champion" not in EVIDENCE.text
    assert "custom" not in EVIDENCE.text


class TestChangedBehindTheServer:
    def test_a_changed_text_is_found_by_its_digest(self) -> None:
        changed = EVIDENCE.text.replace("0.93", "0.99")

        with pytest.raises(BadInput, match="was changed after it was written"):
            evidence_of(changed, EVIDENCE.digest)

    @pytest.mark.parametrize(
        "change",
        [
            {"format": 2},
            {"metrics": {"accuracy": {"value": 0.93, "source": "run"}}},
            {"metrics": {"accuracy": {"value": "0.93", "source": "run", "trust": "me"}}},
            {"metrics": []},
            {"stage": "Nowhere"},
            {"now": "2026-05-01T12:00:00"},
            {"now": 5},
            {"archive_existing": "no"},
            {"unheard_of": 1},
            {"ref": {"model": "iris"}},
            {"occupants": {}},
        ],
    )
    def test_what_was_never_written_so_is_refused(self, change: dict[str, Any]) -> None:
        text = json.dumps({**EVIDENCE.as_plain(), **change})

        with pytest.raises(BadInput):
            evidence_of(text, digest_of(text.encode()))


class TestFigures:
    def test_what_a_test_measured_is_a_measured_metric_about_what_it_ran_on(self) -> None:
        found = examination()
        timed = replace(found, results=(replace(found.results[2], measured={"p95_ms": 3.5}),))

        assert figures(validation(found=timed)) == {
            "latency_test.p95_ms": Metric(3.5, "validation", Grade.MEASURED, NOW, PINNED)
        }

    def test_a_validation_that_is_not_over_has_none(self) -> None:
        assert figures(None) == {}
        assert figures(validation(ValidationState.RUNNING, examination())) == {}
