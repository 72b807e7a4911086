"""What is promised about results from outside, about semantic versions, and about what is still to be numbered."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import pytest
from sqlalchemy import Engine, text

from lockgate.adapters.sql.semver_queue import SqlNumbering
from lockgate.adapters.sql.store import SqlStore
from lockgate.domain.identity import SERVICE
from lockgate.domain.manifest import Manifest, PinnedFile
from lockgate.domain.semver import SemanticVersion
from lockgate.domain.versions import VersionRef
from lockgate.usecases.semver_ports import Batch
from tests.contracts.databases import Mlflow
from tests.contracts.makers import ANN, CI, FRAUD_1, FRAUD_2, T0, HandClock, check, later, numbered

LEASE = timedelta(seconds=60)
FRAUD_3 = VersionRef("fraud", 3)


# --- results from outside ---------------------------------------------------------------------------------------------


def test_of_each_name_the_last_check_counts_and_all_stay(store: SqlStore, fraud: str) -> None:
    told = [check("b"), check("a"), check("b", passed=False, at=later(hours=-1)), check("größe'\"", comment="")]
    with store.writing(fraud) as work:
        for each in told:
            work.checks.add(FRAUD_1, each)
        work.checks.add(FRAUD_2, check("other"))

    with store.reading() as work:
        assert work.checks.latest(FRAUD_1) == [told[1], told[2], told[3]]
        assert work.checks.history(FRAUD_1) == list(reversed(told))
        assert work.checks.history(FRAUD_1, 2) == [told[3], told[2]]
        assert work.checks.latest(FRAUD_1)[0].who.kind == SERVICE
        assert work.checks.latest(VersionRef("nobody", 1)) == []


def test_a_model_made_under_an_old_name_has_none_of_its_checks(store: SqlStore, fraud: str, mlflow: Mlflow) -> None:
    with store.writing(fraud) as work:
        work.checks.add(FRAUD_1, check("a"))
        work.semver.put(numbered(FRAUD_1, "1.0.0"))
        work.versions.delete_model(fraud, T0)
    mlflow.delete(fraud)
    mlflow.model(fraud)
    mlflow.version(fraud, 1)

    with store.writing(fraud) as work:
        assert work.checks.latest(FRAUD_1) == []
        assert work.semver.get(FRAUD_1) is None


# --- semantic versions ------------------------------------------------------------------------------------------------


def test_a_semantic_version_is_read_as_it_was_written(store: SqlStore, fraud: str) -> None:
    first = numbered(FRAUD_1, "1.0.0")
    with store.writing(fraud) as work:
        digest = work.semver.keep_signature('{"inputs":[{"name":"größe"}]}')
        assert work.semver.keep_signature('{"inputs":[{"name":"größe"}]}') == digest
        work.versions.of_model(fraud)
        work.semver.put(first)
        work.semver.put(replace(first, number=None, because="unreadable", attempts=1))
        work.semver.put(second := replace(first, signature=digest, compared_with=7, who=CI))

    with store.reading() as work:
        assert work.semver.get(FRAUD_1) == second
        assert work.semver.of_model(fraud) == [second]
        assert work.semver.signature(digest) == '{"inputs":[{"name":"größe"}]}'
        assert work.semver.get(FRAUD_2) is None


def test_the_neighbours_of_a_version_are_those_with_a_number_that_are_not_deleted(
    store: SqlStore, mlflow: Mlflow, fraud: str
) -> None:
    for version in range(3, 8):
        mlflow.version(fraud, version)
    refs = [VersionRef(fraud, version) for version in range(1, 8)]
    with store.writing(fraud) as work:
        work.versions.of_model(fraud)
        for ref, number in zip(refs, ("1.0.0", "1.9.0", None, None, "1.10.0", "2.0.0", "2.0.1"), strict=True):
            work.semver.put(numbered(ref, number, mlmodel="" if number == "1.9.0" else "sha256:m"))
        work.versions.delete(refs[4], T0)

    with store.reading() as work:
        found = work.semver
        around = (found.before(refs[3]), found.before(refs[3], was_read=True), found.behind(refs[3]))
        assert [each.ref.version for each in around if each is not None] == [2, 1, 6]
        assert found.before(refs[0]) is found.behind(refs[6]) is None
        # the number of a deleted version stays given
        assert found.find(fraud, SemanticVersion(1, 10, 0)) == refs[4]
        assert found.find(fraud, SemanticVersion(1, 1, 0)) is None
        assert found.highest_patch(fraud, SemanticVersion(2, 0, 0)) == 1
        assert found.highest_patch(fraud, SemanticVersion(2, 1, 0)) == -1
        assert [each.ref.version for each in found.of_model(fraud)] == [7, 6, 4, 3, 2, 1]
        numbers = found.numbers([refs[0], refs[3], refs[6], VersionRef("nobody", 1)])
        assert {str(ref): str(number) for ref, number in numbers.items()} == {"fraud@1": "1.0.0", "fraud@7": "2.0.1"}


def test_many_numbers_are_told_in_one_question_of_each_model(store: SqlStore, fraud: str) -> None:
    with store.writing(fraud) as work:
        work.semver.put(numbered(FRAUD_1, "1.0.0"))
        refs = [VersionRef(fraud, version) for version in range(1, 2_000)]
        assert list(work.semver.numbers(refs)) == [FRAUD_1]


# --- what is still to be numbered -------------------------------------------------------------------------------------


@pytest.fixture
def queue(store: SqlStore) -> SqlNumbering:
    return SqlNumbering(store)


def registered(store: SqlStore, *refs: VersionRef) -> None:
    with store.writing(refs[0].model) as work:
        for ref in refs:
            work.versions.register(ref, ANN, T0)


def claimed(batch: Batch | None) -> tuple[str, tuple[int, ...], bool]:
    assert batch is not None
    return batch.model, batch.versions, batch.urgent


def test_what_was_just_registered_is_claimed_once_the_oldest_first(
    store: SqlStore, queue: SqlNumbering, fraud: str, clock: HandClock
) -> None:
    assert queue.claim(LEASE, 10) is None
    registered(store, FRAUD_1, FRAUD_2)

    assert claimed(queue.claim(LEASE, 1)) == ("fraud", (1,), True)
    assert claimed(queue.claim(LEASE, 10)) == ("fraud", (2,), True)
    assert queue.claim(LEASE, 10) is None

    clock.move(seconds=61)
    assert claimed(queue.claim(LEASE, 10)) == ("fraud", (1, 2), True)


def test_a_claim_that_is_over_or_was_settled_no_longer_stands(
    store: SqlStore, queue: SqlNumbering, fraud: str, clock: HandClock
) -> None:
    registered(store, FRAUD_1, FRAUD_2)
    lost = queue.claim(LEASE, 10)
    clock.move(seconds=61)
    held = queue.claim(LEASE, 10)
    assert lost is not None
    assert held is not None

    with store.writing(fraud) as work:
        assert not work.semver.is_due(FRAUD_1, lost.until)
        assert work.semver.is_due(FRAUD_1, held.until)
        assert work.semver.waits_before(FRAUD_2)
        work.semver.put(numbered(FRAUD_1, None, mlmodel=""))
        assert not work.semver.waits_before(FRAUD_2)
        work.semver.due(FRAUD_1, None)
        work.semver.due(FRAUD_2, later(hours=5))
        assert not work.semver.is_due(FRAUD_1, held.until)
    clock.move(hours=1)
    assert queue.claim(LEASE, 10) is None
    clock.move(hours=5)
    assert claimed(queue.claim(LEASE, 10))[1] == (2,)


def test_a_version_that_is_pinned_is_looked_at_again_and_a_deleted_one_is_not(
    store: SqlStore, queue: SqlNumbering, fraud: str
) -> None:
    registered(store, FRAUD_1, FRAUD_2)
    with store.writing(fraud) as work:
        for ref in (FRAUD_1, FRAUD_2):
            work.semver.due(ref, None)
        work.versions.pin(FRAUD_1, Manifest.of([PinnedFile("MLmodel", 3, "abc")]), T0)
        work.versions.pin(FRAUD_2, Manifest.of([PinnedFile("MLmodel", 3, "abc")]), T0)
        work.versions.delete(FRAUD_2, T0)

    assert claimed(queue.claim(LEASE, 10)) == ("fraud", (1,), True)
    assert queue.claim(LEASE, 10) is None


def test_what_was_there_before_us_comes_last_and_a_new_version_takes_its_own_model_along(
    store: SqlStore, queue: SqlNumbering, fraud: str, mlflow: Mlflow, engine: Engine
) -> None:
    mlflow.model("other")
    for version in (1, 2):
        mlflow.version("other", version)
    with store.writing(None) as work:
        work.adoption.take_over(work.policies.in_force())
    mlflow.version("other", 3)
    registered(store, VersionRef("other", 3))

    assert claimed(queue.claim(LEASE, 2)) == ("other", (1, 2), True)
    assert claimed(queue.claim(LEASE, 2)) == ("other", (3,), True)
    assert claimed(queue.claim(LEASE, 2)) == ("fraud", (1, 2), False)
    with engine.connect() as connection:
        assert connection.execute(text("SELECT count(*) FROM lockgate_versions WHERE semver_due < 2")).scalar() == 0
