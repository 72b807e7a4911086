"""What is read out of a LightGBM booster's text form answers as the booster does, in every bit."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from lockgate.worker.engines import lightgbm, lightgbm_leaves
from lockgate.worker.engines.lightgbm_leaves import Leaves, leaves_of

READ: dict[str, dict[str, Any]] = {
    "two classes": {"objective": "binary"},
    "a steeper slope": {"objective": "binary", "sigmoid": 2.5},
    "three classes": {"objective": "multiclass", "num_class": 3},
    "64 leaves": {"objective": "regression", "num_leaves": 64, "min_data_in_leaf": 1},
    "dart": {"objective": "regression_l1", "boosting": "dart"},
    "a rank": {"objective": "lambdarank"},
    "missing numbers": {"objective": "huber", "use_missing": True},
}
LEFT: dict[str, dict[str, Any]] = {
    "poisson": {"objective": "poisson"},
    "roots": {"objective": "regression", "reg_sqrt": True},
    "one against all": {"objective": "multiclassova", "num_class": 3},
    "zero is missing": {"objective": "regression", "zero_as_missing": True},
    "linear trees": {"objective": "regression", "linear_tree": True},
    "an average": {"objective": "regression", "boosting": "rf", "bagging_fraction": 0.5, "bagging_freq": 1},
    "categories": {"objective": "regression", "categories": [0]},
    "large trees": {"objective": "regression", "num_leaves": 90, "min_data_in_leaf": 1},
}
FEATURES = 7


def _trained(options: dict[str, Any]) -> Any:
    import lightgbm as library

    random = np.random.default_rng(3)
    rows = random.normal(size=(600, FEATURES)).round(2)
    rows[:, 0] = random.integers(0, 9, size=600)
    if options.get("use_missing"):
        rows[::7, 2] = np.nan
    told = (rows[:, 1] > 0).astype(int) + (rows[:, 0] > 4)
    if options["objective"] == "binary":
        told %= 2
    elif "num_leaves" in options:
        told = np.sin(rows @ np.arange(FEATURES))
    group = [60] * 10 if options["objective"] == "lambdarank" else None
    options = dict(options)
    categories = options.pop("categories", "auto")
    quiet = {"verbosity": -1, "num_threads": 1, "seed": 5}
    data = library.Dataset(rows, told, group=group, categorical_feature=categories, params=quiet)
    return library.train({**quiet, **options}, data, 25)


def _read(booster: Any) -> Leaves | None:
    return leaves_of(booster, -1, FEATURES, booster.num_model_per_iteration())


@pytest.mark.parametrize("kind", READ)
def test_answers_are_the_boosters_at_every_threshold(kind: str) -> None:
    booster = _trained(READ[kind])
    leaves = _read(booster)
    assert leaves is not None
    rows = np.concatenate([leaves.rows_at_thresholds(700), np.random.default_rng(1).normal(size=(50, FEATURES)) * 1e6])

    for count in (1, 3, 750):
        told = leaves(rows[:count])
        assert np.array_equal(told.reshape(count, -1), booster.predict(rows[:count]).reshape(count, -1))


@pytest.mark.parametrize("kind", LEFT)
def test_what_does_more_than_compare_numbers_is_left_to_lightgbm(kind: str) -> None:
    booster = _trained(LEFT[kind])
    assert _read(booster) is None
    candidate = lightgbm.of_booster(booster)
    assert candidate is not None
    assert candidate.how == "LightGBM's own trees on one thread"
    rows = np.abs(np.random.default_rng(2).normal(size=(40, FEATURES)))
    assert np.array_equal(candidate.predict(rows), booster.predict(rows))


def test_a_number_that_is_missing_or_too_large_goes_lightgbms_way() -> None:
    for kind in ("missing numbers", "two classes"):
        booster = _trained(READ[kind])
        candidate = lightgbm.of_booster(booster)
        assert candidate is not None
        rows = np.random.default_rng(4).normal(size=(30, FEATURES))
        for value in (np.nan, np.inf, -np.inf, 1.7e308):
            rows[::3, 2] = value
            rows[::4, 5] = value
            with np.errstate(over="ignore"):
                assert np.array_equal(candidate.predict(rows), booster.predict(rows))


def test_leaves_that_are_not_lightgbms_are_not_used(monkeypatch: pytest.MonkeyPatch) -> None:
    booster = _trained(READ["two classes"])
    read = leaves_of(booster, -1, FEATURES, 1)
    assert read is not None
    rows = np.random.default_rng(6).normal(size=(30, FEATURES))

    def slightly_wrong(*_: Any) -> Any:
        right = leaves_of(booster, -1, FEATURES, 1)
        assert right is not None
        right._bits._held += 1e-9
        return right

    monkeypatch.setattr(lightgbm_leaves, "leaves_of", slightly_wrong)
    candidate = lightgbm.of_booster(booster)
    assert candidate is not None
    assert candidate.how == "LightGBM's own trees on one thread"
    assert np.array_equal(candidate.predict(rows), booster.predict(rows))
