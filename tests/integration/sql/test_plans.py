"""No question to our tables reads them from end to end: what is quick with ten rows stays quick with a million."""

from __future__ import annotations

import re
from collections.abc import Iterator
from datetime import timedelta

import pytest
from sqlalchemy import Connection, event

from lockgate.adapters.sql.ledger import SqlAgentLedger
from lockgate.adapters.sql.queue import SqlQueue
from lockgate.adapters.sql.semver_queue import SqlNumbering
from lockgate.adapters.sql.store import SqlStore
from lockgate.domain.evidence import Quarantine
from lockgate.domain.manifest import Manifest
from lockgate.domain.promotion import PromotionState
from lockgate.domain.semver import SemanticVersion
from lockgate.domain.serving import GroupState, ObservedGroup
from lockgate.domain.stages import Stage
from lockgate.domain.versions import VersionRef
from tests.contracts.makers import (
    ANN,
    FRAUD_1,
    T0,
    check,
    decision,
    entry,
    numbered,
    promotion,
    release,
    request,
    validation,
)

LEASE = timedelta(seconds=30)
# few rows however long Lockgate runs, or read whole on purpose
SMALL = {"lockgate_endpoints", "lockgate_groups", "lockgate_models", "lockgate_policies"}


@pytest.fixture
def asked(store: SqlStore) -> Iterator[dict[str, object]]:
    """Every statement that runs, with the values of its first run."""
    found: dict[str, object] = {}

    def note(_c, _k, statement, parameters, _x, many) -> None:
        found.setdefault(statement, parameters[0] if many else parameters)

    event.listen(store.engine, "before_cursor_execute", note)
    yield found
    event.remove(store.engine, "before_cursor_execute", note)


def _planning(connection: Connection) -> tuple[str, re.Pattern[str]]:
    """How a plan is asked for, and the words in it that say that a table of ours is read from end to end."""
    if connection.dialect.name == "sqlite":
        return "EXPLAIN QUERY PLAN", re.compile(r"^SCAN (lockgate_\w+)$")
    # among few rows it would read them all, index or not; now it does so only where no index helps
    connection.exec_driver_sql("SET LOCAL enable_seqscan = off")
    return "EXPLAIN", re.compile(r"Seq Scan on (lockgate_\w+)")


def test_no_question_scans_a_table_that_grows(store: SqlStore, queue: SqlQueue, fraud: str, asked) -> None:
    numbering = SqlNumbering(store)
    with store.writing(fraud) as work:
        work.versions.place(FRAUD_1, Stage.STAGING, T0, None)
        work.versions.elect(fraud, [Stage.STAGING, Stage.PRODUCTION])
        work.versions.in_stage(fraud, Stage.STAGING)
        work.versions.of_model(fraud)
        work.versions.pin(FRAUD_1, Manifest(()), T0)
        work.versions.manifest(FRAUD_1)
        work.versions.quarantine(FRAUD_1, Quarantine(T0, ""))
        work.versions.quarantined(fraud)
        work.promotions.add(promotion("prm-1"), due_at=T0)
        work.promotions.get("prm-1")
        work.promotions.open_for(FRAUD_1, Stage.STAGING)
        work.promotions.open_of_model(fraud)
        work.promotions.recent(fraud, 5)
        work.promotions.due(fraud, T0)
        work.approvals.add(request("req-1"))
        work.approvals.decide("req-1", decision(), "approved")
        work.approvals.latest(FRAUD_1, Stage.PRODUCTION)
        work.approvals.of_model(fraud)
        work.approvals.pending()
        work.approvals.pending(10, "req-1")
        work.approvals.pending_of(fraud)
        work.approvals.pending_counts()
        work.approvals.get("req-1")
        work.approvals.take_back("req-1", "ann", T0, "")
        work.approvals.void(FRAUD_1, T0, "")
        work.approvals.plan("sha256:0123456789ab")
        work.delegations.to("ann")
        work.delegations.of("ann")
        work.delegations.recent()
        work.glasses.of_promotion("prm-1")
        work.glasses.broken(FRAUD_1, Stage.PRODUCTION)
        work.glasses.recent(10, fraud)
        work.glasses.unreviewed()
        work.proposals.open()
        work.trainings.of_run("run1")
        work.checks.add(FRAUD_1, check("a"))
        work.checks.latest(FRAUD_1)
        work.checks.history(FRAUD_1)
        work.semver.put(numbered(FRAUD_1, "1.0.0"))
        work.semver.get(FRAUD_1)
        work.semver.of_model(fraud)
        work.semver.numbers([FRAUD_1])
        work.semver.numbers([VersionRef(fraud, number) for number in range(1, 600)])
        work.semver.find(fraud, SemanticVersion(1, 0, 0))
        work.semver.highest_patch(fraud, SemanticVersion(1, 0, 0))
        work.semver.before(FRAUD_1)
        work.semver.before(FRAUD_1, was_read=True)
        work.semver.behind(FRAUD_1)
        work.semver.keep_signature("{}")
        work.semver.is_due(FRAUD_1, T0)
        work.semver.waits_before(FRAUD_1)
        work.semver.due(FRAUD_1, T0)
        work.validations.add(validation("val-1"))
        work.validations.open_for(FRAUD_1)
        work.validations.latest(FRAUD_1, "digest")
        work.validations.of_model(fraud)
        work.endpoints.create("ep-1", "staging", fraud, T0)
        work.endpoints.warm("ep-1", release("rel-1", "ep-1"))
        work.endpoints.releases("ep-1")
        work.endpoints.all()
        work.endpoints.commit("ep-1", "rel-1", T0)
        work.record.write(entry())
        work.record.read(model=fraud)
        work.record.read(action="act")
        work.policies.in_force()
    assert numbering.claim(LEASE, 5) is not None
    for taken in (queue.claim_promotion("a", LEASE), queue.claim_validation("a", LEASE)):
        assert taken is not None
        queue.renew(taken[1], LEASE)
    ledger = SqlAgentLedger(store, "agent")
    ledger.report([ObservedGroup("ep-1", "rel-1", GroupState.READY)])
    ledger.desired()
    ledger.acknowledge("ep-1", 1)
    with store.writing(fraud) as work:
        work.promotions.close("prm-1", PromotionState.CANCELLED, "", T0)
        work.versions.delete(FRAUD_1, T0)
        work.versions.delete_model(fraud, T0)
        work.policies.apply("observe", "digest", ANN, T0)
    scanned = set()
    with store.changing() as work:
        explain, is_scan = _planning(work.connection)
        for statement, values in list(asked.items()):
            if re.match(r"\s*(SELECT|UPDATE|DELETE)", statement):
                plan = work.connection.exec_driver_sql(f"{explain} {statement}", values).all()
                scanned |= {(table, statement) for row in plan for table in is_scan.findall(row[-1])}
    assert {pair for pair in scanned if pair[0] not in SMALL} == set()
