"""What a prediction is expected to take decides where it runs."""

from __future__ import annotations

from lockgate.worker.invocations.costs import Costs


def test_sizes_between_two_readings_lie_on_a_line_and_larger_ones_grow_with_their_rows() -> None:
    costs = Costs(0.001, {1: 0.0001, 64: 0.0003})
    assert costs.seconds(1) == 0.0001
    assert 0.0001 < costs.seconds(16) < 0.0003
    assert costs.seconds(64) == 0.0003
    assert costs.seconds(128) == 0.0006
    assert costs.most == 255  # of 256 rows it would be 1.2 ms


def test_a_model_that_is_slow_for_one_row_is_never_quick() -> None:
    assert Costs(0.001, {1: 0.02}).most == 0


def test_estimates_follow_what_is_seen_and_one_interruption_counts_for_little() -> None:
    costs = Costs(0.001, {1: 0.0002, 64: 0.0002, 512: 0.0002})
    costs.learn(1, 5.0)
    assert costs.seconds(1) < 0.0003
    for _ in range(100):
        costs.learn(1, 0.01)
    assert costs.most == 0
    for _ in range(200):
        costs.learn(1, 0.0001)
    assert costs.most > 500


def test_any_number_of_rows_has_an_estimate() -> None:
    costs = Costs(0.001, {1: 1e-9})
    assert costs.seconds(10**12) > 0
    costs.learn(10**12, 1.0)
