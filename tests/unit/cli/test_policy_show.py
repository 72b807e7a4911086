"""How a gate is explained, and what another policy would have decided, on a terminal that is a pipe."""

from __future__ import annotations

from datetime import UTC, datetime

from lockgate.cli import policy_show
from lockgate.wire.policies import ExplainedBranch, ExplainedGate, Explanation, Rejudged, Source

AT = datetime(2026, 3, 1, 12, tzinfo=UTC)
GATES = (
    ExplainedGate("artifacts_pinned", "holds", "enforce", "every file is as it was pinned", grade="measured"),
    ExplainedGate(
        "min_accuracy",
        "fails",
        "warn",
        "accuracy is 0.8, below 0.9",
        "0.8 (claimed, from the run)",
        ">= 0.9",
        "Train a better model and register it.",
        "claimed",
        AT,
        Source("stages.Production.min_accuracy", 6, ">= 0.9", (">= 0.85 from models.*.stages (line 20)",)),
    ),
    ExplainedGate(
        "any_of:either",
        "holds",
        "enforce",
        "branch 2 holds",
        source=Source("stages.Production.any_of.either", 9, ""),
        branches=(
            ExplainedBranch((ExplainedGate("check:ci", "waits", "enforce", "nobody has reported it"),)),
            ExplainedBranch((ExplainedGate("load_test", "holds", "enforce", "it passed"),)),
        ),
    ),
    ExplainedGate("rule:long", "holds", "enforce", "it is true", "true", "metrics.a > 0.1 && " * 20, grade="claimed"),
)
FOUND = Explanation("fraud", 7, "Production", "holds", "fails", "enforce", "sha256:abcdef0123456789", False, GATES)


def test_a_gate_is_explained_by_what_it_saw_its_line_its_level_and_how_it_is_known(capsys, monkeypatch):
    monkeypatch.setenv("COLUMNS", "130")
    policy_show.explanation(FOUND)
    shown = capsys.readouterr().out

    assert shown.startswith("fraud@7 to Production would go through under policy abcdef012345 (level enforce).")
    (row,) = [line for line in shown.splitlines() if line.startswith("min_accuracy ") and ">= 0.9" in line]
    assert row.split()[-4:] == ["warn", "6", "claimed", "2026-03-01"]
    assert "accuracy is 0.8, below 0.9\n  Next: Train a better model and register it." in shown
    assert "    check:ci waits: nobody has reported it" in shown
    assert "outweighs >= 0.85 from models.*.stages (line 20)" in shown
    assert "  artifacts_pinned: always judged" in shown
    assert shown.rstrip().endswith("With every gate enforced it would be refused.")
    assert max(len(line) for line in shown.splitlines()) <= 130


def test_the_built_in_policy_is_called_so(capsys):
    policy_show.explanation(Explanation("fraud", 7, "Staging", "waits", "waits", "observe", "sha256:ab", True))

    assert capsys.readouterr().out.startswith(
        "fraud@7 to Staging would wait under the built-in policy (level observe)."
    )


def test_what_would_have_been_otherwise_is_told_with_its_reason(capsys):
    policy_show.rejudged(
        [
            Rejudged("prm-1", "fraud", 7, "Staging", AT, "holds", "fails", ("min_auc fails: auc is 0.7",)),
            Rejudged("prm-2", "fraud", 8, "Staging", AT, "holds", "unknown", (), ("the metric auc", "the tag owner")),
        ]
    )
    shown = " ".join(capsys.readouterr().out.split())

    assert "2026-03-01 12:00:00 fraud@7 Staging holds fails min_auc fails: auc is 0.7" in shown
    assert "unknown not known of that day: the metric auc, the tag owner" in shown
