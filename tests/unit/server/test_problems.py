"""Every error of ours has one row, and none of a promotion's outcomes makes MLflow's client try again."""

from __future__ import annotations

import pytest

from lockgate.domain.errors import BadInput, Conflict, Failed, LockgateError, Refused, Waits
from lockgate.domain.verdict import Gate, Standing, Verdict
from lockgate.server.problems import TABLE, explain

RETRIED_BY_MLFLOW = {408, 429, 500, 502, 503, 504}
VERDICT = Verdict((Gate("min_accuracy", Standing.FAILS, "0.81 is below 0.9", "0.81", "at least 0.9", "Train on."),))


def _all(kind: type[LockgateError]) -> list[type[LockgateError]]:
    return [found for child in kind.__subclasses__() for found in (child, *_all(child))]


def test_every_error_has_a_row():
    assert [kind for kind in _all(LockgateError) if not set(kind.__mro__) & set(TABLE)] == []


def test_an_adapters_own_kind_of_an_error_is_told_as_that_error():
    class Malformed(BadInput):
        pass

    assert explain(Malformed("No.")).status == TABLE[BadInput][0]


@pytest.mark.parametrize("kind", [Refused, Waits, Conflict, Failed])
def test_no_outcome_of_a_promotion_is_repeated_by_mlflows_client(kind):
    assert TABLE[kind][0] not in RETRIED_BY_MLFLOW


def test_a_refusal_carries_its_gates_and_its_promotion():
    error = Refused("Refused: fraud@7 to Staging.", verdict=VERDICT, promotion="prm_1", hint="\nNothing was changed.")
    told = explain(error)
    assert (told.status, told.code) == (403, "PERMISSION_DENIED")
    body = told.as_json()
    assert body["message"] == "Refused: fraud@7 to Staging.\nNothing was changed."
    assert body["lockgate"] == {
        "promotion": "prm_1",
        "standing": "fails",
        "gates": [gate.as_plain() for gate in VERDICT.gates],
        "next": "Nothing was changed.",
    }


def test_an_error_with_nothing_to_add_has_no_lockgate_object():
    assert explain(Conflict("No.", hint="Wait.")).as_json() == {
        "error_code": "RESOURCE_CONFLICT",
        "message": "No. Wait.",
    }
