"""What is promised about the policy in force."""

from __future__ import annotations

from lockgate.adapters.sql.store import SqlStore
from lockgate.domain.verdict import Level
from tests.contracts.makers import ANN, T0, Parser, later


def test_without_a_row_the_built_in_policy_is_in_force(store: SqlStore) -> None:
    with store.reading() as work:
        assert work.policies.in_force().level is Level.OBSERVE
        assert work.policies.text() is None


def test_the_newest_row_is_in_force_at_once_and_each_text_is_read_once(store: SqlStore, parser: Parser) -> None:
    def level() -> Level:
        with store.reading() as work:
            return work.policies.in_force().level

    with store.writing(None) as work:
        assert work.policies.in_force().level is Level.OBSERVE
        work.policies.apply("enforce", "sha256:1", ANN, T0)
        assert work.policies.in_force().level is Level.ENFORCE
    assert level() is Level.ENFORCE
    with store.writing(None) as work:
        work.policies.apply("warn", "sha256:2", ANN, later(hours=1))
        assert work.policies.text() == "warn"
    assert [level(), level()] == [Level.WARN, Level.WARN]
    with store.writing(None) as work:
        work.policies.apply("enforce", "sha256:1", ANN, later(hours=2))
    assert level() is Level.ENFORCE
    assert parser.asked == 3
