"""A difference says what is held, what was found, and the command that settles it."""

from __future__ import annotations

import pytest

from lockgate.domain.drift import DELETIONS, Difference, Kind
from lockgate.domain.stages import Stage

MOVED = Difference(Kind.STAGE, "fraud", 7, Stage.PRODUCTION, held="Production", found="Archived")
ALIAS_MOVED = Difference(Kind.ALIAS, "fraud", 7, Stage.PRODUCTION, "champion", "7", "8")
ALIAS_GONE = Difference(Kind.ALIAS, "fraud", 7, Stage.PRODUCTION, "champion", "7", "")
ALIAS_EXTRA = Difference(Kind.ALIAS, "fraud", None, Stage.STAGING, "staging", "", "3")
DELETED = Difference(Kind.VERSION_DELETED, "fraud", 7, Stage.PRODUCTION, held="Production")
GONE = Difference(Kind.MODEL_GONE, "fraud", held="fraud")
REPLACED = Difference(Kind.MODEL_REPLACED, "fraud", held="fraud")

SAID = [
    (MOVED, "Lockgate holds fraud@7 in stage Production, MLflow's column says Archived."),
    (
        ALIAS_MOVED,
        "Lockgate holds fraud@7 as the primary of Production, MLflow's alias champion of fraud names fraud@8.",
    ),
    (ALIAS_GONE, "Lockgate holds fraud@7 as the primary of Production, MLflow's alias champion of fraud is gone."),
    (ALIAS_EXTRA, "Lockgate holds no primary of Staging, MLflow's alias staging of fraud names fraud@3."),
    (DELETED, "Lockgate holds fraud@7 in stage Production, MLflow's version was deleted."),
    (GONE, "Lockgate holds the model fraud, MLflow has none of that name: deleted or renamed."),
    (REPLACED, "MLflow's model fraud is another one than Lockgate holds: deleted and made anew."),
]
ACCEPT = "lockgate drift fraud --accept --reason …"
SETTLED = [
    (MOVED, "lockgate promote fraud@7 --to production", "lockgate promote fraud@7 --to archived"),
    (ALIAS_MOVED, "lockgate promote fraud@7 --to production", "lockgate promote fraud@8 --to production"),
    (ALIAS_GONE, "lockgate promote fraud@7 --to production", "lockgate promote fraud@7 --to archived"),
    (
        ALIAS_EXTRA,
        "client.delete_registered_model_alias('fraud', 'staging')",
        "lockgate promote fraud@3 --to staging",
    ),
    (DELETED, "", ACCEPT),
    (GONE, "", ACCEPT),
    (REPLACED, "", ACCEPT),
]


@pytest.mark.parametrize(("difference", "said"), SAID)
def test_a_difference_is_a_sentence(difference: Difference, said: str) -> None:
    assert difference.because == said


@pytest.mark.parametrize(("difference", "restore", "accept"), SETTLED)
def test_a_difference_names_the_commands_that_settle_it(difference: Difference, restore: str, accept: str) -> None:
    assert (difference.restore, difference.accept) == (restore, accept)


def test_every_kind_is_told_and_the_same_difference_has_the_same_key() -> None:
    assert {difference.kind for difference, _ in SAID} == set(Kind)
    assert {difference.kind for difference, _, accept in SETTLED if accept == ACCEPT} == DELETIONS
    assert len({difference.key for difference, _ in SAID}) == len(SAID)


def test_a_word_that_is_no_stage_is_nothing_to_promote_to() -> None:
    odd = Difference(Kind.STAGE, "fraud", 7, Stage.NONE, held="None", found="Live")

    assert odd.restore == "lockgate promote fraud@7 --to none"
    assert odd.accept == ""
