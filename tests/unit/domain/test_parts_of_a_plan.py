"""What makes an approval stale: every fact that some rule reads, wherever the rule stands, and no other."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import pytest

from lockgate.domain.checks import Check
from lockgate.domain.evidence import Champion, CustomResult, Evidence, Metric
from lockgate.domain.plans import changes, parts
from lockgate.domain.policy import (
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
from lockgate.domain.versions import VersionRef
from tests.unit.domain.cases import ANN, BEA, EVIDENCE, NOW, PINNED

RULES = StageRules(
    "production",
    ceilings={"loss": Ceiling(0.3)},
    champion={"f1": Comparison(Direction.HIGHER)},
    checks=(RequiredCheck("ci"),),
    groups=(Group("g", Combined.ANY_OF, (StageRules("", metrics={"auc": Threshold(0.9)}, required_tags=("risk",)),)),),
)
CHECK = Check("ci", True, BEA, NOW, PINNED)
CHAMPION = Champion(VersionRef("iris", 3), {"f1": Metric(0.9, "run"), "auc": Metric(0.5, "run")}, "sha256:3")
SEEN = replace(
    EVIDENCE,
    metrics={name: Metric(0.9, "run") for name in ("loss", "f1", "auc", "other")},
    tags={"risk": "low", "note": "a"},
    champion=CHAMPION,
    checks=(CHECK,),
)


def changed(after: Evidence, rules: StageRules = RULES, before: Evidence = SEEN) -> list[str]:
    return [change.part for change in changes(parts(before, rules), parts(after, rules))]


@pytest.mark.parametrize(
    ("after", "told"),
    [
        (replace(SEEN, metrics={**SEEN.metrics, "loss": Metric(0.2, "run")}), ["metric loss"]),
        (replace(SEEN, metrics={**SEEN.metrics, "f1": Metric(0.2, "run")}), ["metric f1"]),
        (replace(SEEN, metrics={**SEEN.metrics, "auc": Metric(0.2, "run")}), ["metric auc"]),
        (replace(SEEN, tags={"risk": "high"}), ["tag risk"]),
        (replace(SEEN, checks=(replace(CHECK, passed=False),)), ["check ci"]),
        (replace(SEEN, checks=(replace(CHECK, digest="sha256:other"),)), ["check ci"]),
        (replace(SEEN, checks=()), ["check ci"]),
        (replace(SEEN, champion=replace(CHAMPION, digest="sha256:x")), ["champion's artifacts"]),
        (replace(SEEN, champion=replace(CHAMPION, metrics={"f1": Metric(0.8, "run")})), ["champion's metric f1"]),
        (replace(SEEN, champion=None), ["champion", "champion's artifacts", "champion's metric f1"]),
    ],
)
def test_what_a_rule_reads_is_part_of_the_plan(after: Evidence, told: list[str]) -> None:
    assert changed(after) == told


@pytest.mark.parametrize(
    "after",
    [
        replace(SEEN, metrics={**SEEN.metrics, "other": Metric(0.2, "run")}),
        replace(SEEN, tags={"risk": "low", "note": "b"}),
        replace(SEEN, checks=(replace(CHECK, at=NOW + timedelta(days=1), who=ANN),)),
        replace(SEEN, champion=replace(CHAMPION, metrics={**CHAMPION.metrics, "auc": Metric(0.8, "run")})),
    ],
)
def test_what_no_rule_reads_and_the_same_answer_given_again_are_not(after: Evidence) -> None:
    assert changed(after) == []


class TestCustomRules:
    @staticmethod
    def asking(cel: str) -> StageRules:
        return StageRules("production", custom=(CustomRule("a", cel),))

    def test_what_they_read_is_part_of_the_plan(self) -> None:
        rules = self.asking("metrics.f1 > champion.metrics.f1")

        assert changed(replace(SEEN, metrics={"f1": Metric(0.95, "run")}), rules) == [
            "read metrics.f1",
            "read metrics.loss",
            "read metrics.auc",
            "read metrics.other",
        ]
        assert "read champion.version" in changed(replace(SEEN, champion=None), rules)

    def test_their_results_are_not_for_they_follow_from_it(self) -> None:
        rules = self.asking("hours_in_stage > 1.0")
        judged = replace(SEEN, custom={"a": CustomResult(True, "it is true")}, now=NOW + timedelta(days=1))

        assert changed(judged, rules) == []

    @pytest.mark.parametrize(
        ("cel", "told"),
        [
            ("tags.note == 'a'", ["read tags.note"]),
            ('tags["note"] == "a"', ["read tags.note"]),
            ("tags['note'] == 'a'", ["read tags.note"]),
            ("has(tags.note)", ["read tags.note"]),
            ("tags.risk == 'low'", []),
            ("tags.exists(key, key == 'x')", ["read tags.note"]),
            ("tags.exists (key, key == 'x')", ["read tags.note"]),
            ("tags['no' + 'te'] == 'a'", ["read tags.note"]),
            ("tags.risk == 'low' && size(tags) < 5", ["read tags.note"]),
            ("metrics.f1 > 0.5", []),
        ],
    )
    def test_of_the_tags_those_count_that_a_rule_may_look_at(self, cel: str, told: list[str]) -> None:
        after = replace(SEEN, tags={"risk": "low", "note": "b"})

        assert changed(after, self.asking(cel)) == told

    def test_the_tags_that_an_approval_writes_make_it_not_stale(self) -> None:
        after = replace(SEEN, tags={**SEEN.tags, "approval_request": "{}", "production_approved": "true"})

        assert changed(after, self.asking("size(tags) < 5")) == []
