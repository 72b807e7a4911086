"""A forest is walked one way for a few rows and another way for many: both ways give scikit-learn's own answers."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from lockgate.worker.engines.forest import forest

FEATURES = 5


def _trained(kind: str) -> Any:
    from sklearn import ensemble, tree

    random = np.random.default_rng(1)
    rows, made = random.normal(size=(200, FEATURES)), getattr(ensemble, kind, None) or getattr(tree, kind)
    of_numbers = kind.endswith("Regressor")
    told = rows[:, 0] * 3 if of_numbers else np.array(["a", "b", "c"])[(rows[:, 0] * 2).astype(int) % 3]
    return made(random_state=1, **({} if hasattr(tree, kind) else {"n_estimators": 9})).fit(rows, told)


@pytest.mark.parametrize(
    ("kind", "method"),
    [
        ("RandomForestClassifier", "predict"),
        ("RandomForestClassifier", "predict_proba"),
        ("ExtraTreesRegressor", "predict"),
        ("DecisionTreeClassifier", "predict_proba"),
    ],
)
def test_few_rows_and_many_get_scikit_learns_own_answers(kind: str, method: str) -> None:
    trained = _trained(kind)
    ask = forest(trained, method)
    assert ask is not None
    for count in (1, 2, 63, 64, 65, 500):
        rows = np.random.default_rng(count).normal(size=(count, FEATURES))
        expected = getattr(trained, method)(rows)
        for order in ("C", "F"):
            told = ask(np.array(rows, order=order))
            assert told.dtype == expected.dtype
            assert np.array_equal(told, expected)
