"""What is promised about plans, stand-ins, broken glass and proposals, and about very many requests."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta

import pytest
from sqlalchemy import event, insert

from lockgate.adapters.sql.store import SqlStore
from lockgate.adapters.sql.tables import requests
from lockgate.domain.approvals import Delegation, RequestState
from lockgate.domain.break_glass import BreakGlass
from lockgate.domain.errors import NotFound
from lockgate.domain.identity import Who
from lockgate.domain.plans import digest_of_parts
from lockgate.domain.proposals import Proposal, ProposalState
from lockgate.domain.stages import Stage
from lockgate.domain.versions import VersionRef
from lockgate.usecases.approval_ports import DataSet, Training
from tests.contracts.databases import Mlflow
from tests.contracts.makers import ANN, BOB, FRAUD_1, FRAUD_2, T0, decision, later, request

PARTS = {"version": "fraud@1", "metric Genauigkeit\n'ä'": "0.9 (claimed)", "artifacts": None}
DIGEST = digest_of_parts(PARTS)
ODD = Who('O\'Brien "模型" ☃', verified=True, via="cli")


def test_a_plan_is_kept_once_and_found_by_the_beginning_of_its_digest(store: SqlStore) -> None:
    with store.writing("fraud") as work:
        work.approvals.keep_plan(DIGEST, PARTS, T0)
        work.approvals.keep_plan(DIGEST, PARTS, later(hours=1))
        with pytest.raises(ValueError, match="not the parts"):
            work.approvals.keep_plan("sha256:" + "0" * 64, PARTS, T0)
    with store.reading() as work:
        assert work.approvals.plan(DIGEST) == PARTS
        assert work.approvals.plan(DIGEST[:19]) == PARTS
        assert work.approvals.plan("sha256:" + "0" * 12) is None
        assert work.approvals.plan("sha256:") is not None  # the only one there is


def test_a_plan_that_was_changed_behind_us_is_no_plan(store: SqlStore) -> None:
    with store.writing("fraud") as work:
        work.approvals.keep_plan(DIGEST, PARTS, T0)
        work.approvals.add(request("req-1", decisions=(decision(plan_digest=DIGEST),)))
        found = work.approvals.get("req-1")
        assert found is not None
        assert found.plans == {DIGEST: PARTS}
        work.connection.exec_driver_sql('UPDATE lockgate_plans SET parts = \'{"version":"fraud@2"}\'')
        assert work.approvals.plan(DIGEST) is None
        found = work.approvals.latest(FRAUD_1, Stage.PRODUCTION)
        assert found is not None
        assert found.plans == {}


def test_what_is_taken_back_or_voided_stays_with_its_reason(store: SqlStore) -> None:
    yes, no, other = decision(behalf="dana"), decision(False, who=ANN), decision(who=ODD)
    with store.writing("fraud") as work:
        work.approvals.add(request("req-1", decisions=(yes, no, other)))
        assert work.approvals.take_back("req-1", "dana", later(hours=1), "a mistake") == 1
        assert work.approvals.take_back("req-1", "dana", later(hours=2), "again") == 0
        assert work.approvals.void(FRAUD_2, later(hours=3), "another version") == 0
        assert work.approvals.void(FRAUD_1, later(hours=3), "rolled back") == 1
        work.approvals.close("req-1", RequestState.WITHDRAWN, "ann: no")
        with pytest.raises(NotFound):
            work.approvals.close("req-9", RequestState.WITHDRAWN, "")
    with store.reading() as work:
        found = work.approvals.get("req-1")
    assert found is not None
    assert (found.state, found.closed_because) == (RequestState.WITHDRAWN, "ann: no")
    assert found.decisions == (
        replace(yes, withdrawn_at=later(hours=1), withdrawn_because="a mistake"),
        no,
        replace(other, withdrawn_at=later(hours=3), withdrawn_because="rolled back"),
    )


def test_delegations_broken_glass_and_proposals_are_read_back_with_every_field(store: SqlStore) -> None:
    given = Delegation("dlg-1", ODD, "dana", "holiday\n'ß'", T0, later(days=7))
    glass = BreakGlass("brk-1", FRAUD_1, Stage.PRODUCTION, ANN, "the till", T0, later(hours=1), "sha256:files")
    whole = replace(
        glass, id="brk-2", ref=FRAUD_2, confirmed_by=BOB, confirmed_at=later(minutes=1), promotion="prm-1",
        used_at=later(minutes=2), reviewed_by=ODD, reviewed_at=later(days=1), review="fine", overdue_noted_at=T0,
        asked_at=later(minutes=1),
    )  # fmt: skip
    proposal = Proposal("pol-1", "sha256:new", "level: observe", "sha256:old", ANN, T0, "why")
    with store.writing("fraud") as work:
        work.delegations.add(given)
        work.glasses.add(glass)
        work.glasses.add(replace(whole, reviewed_by=None, reviewed_at=None, used_at=None))
        assert work.glasses.broken(FRAUD_1, Stage.PRODUCTION) is None
        assert work.glasses.broken(FRAUD_2, Stage.STAGING) is None
        broken = work.glasses.broken(FRAUD_2, Stage.PRODUCTION)
        assert broken is not None
        assert broken.id == "brk-2"
        assert [each.id for each in work.glasses.unreviewed()] == ["brk-2"]
        work.glasses.save(whole)
        work.proposals.add(proposal)
    with store.reading() as work:
        assert work.delegations.get("dlg-1") == given
        assert list(work.delegations.to("dana")) == list(work.delegations.of(ODD.name)) == [given]
        assert work.glasses.get("brk-1") == glass
        assert list(work.glasses.recent()) == [whole, glass]
        assert [each.id for each in work.glasses.recent(model="fraud", limit=1)] == ["brk-2"]
        assert work.glasses.of_promotion("prm-1") == whole
        assert work.glasses.of_promotion("") is None
        assert list(work.glasses.unreviewed()) == []
        assert work.proposals.open() == proposal
    decided = replace(proposal, state=ProposalState.APPROVED, decided_by=BOB, decided_at=T0, comment="yes")
    with store.writing(None) as work:
        work.delegations.end("dlg-1", later(days=1))
        work.proposals.save(decided)
        assert list(work.delegations.to("dana")) == []
        assert [each.ended_at for each in work.delegations.recent()] == [later(days=1)]
        assert work.proposals.open() is None
        assert list(work.proposals.recent()) == [decided]


def test_what_a_run_says_of_itself_is_read_from_mlflows_rows(store: SqlStore, mlflow: Mlflow) -> None:
    mlflow.run("run1", {})
    rows = (
        "INSERT INTO tags (run_uuid, key, value) VALUES ('run1', 'mlflow.user', 'zoë')",
        "INSERT INTO tags (run_uuid, key, value) VALUES ('run1', 'mlflow.source.name', 'train.py')",
        "INSERT INTO datasets (dataset_uuid, experiment_id, name, digest, dataset_source_type, dataset_source)"
        " VALUES ('d1', 1, 'rows of march', 'abc123', 's3', '{}')",
        "INSERT INTO inputs (input_uuid, source_type, source_id, destination_type, destination_id)"
        " VALUES ('i1', 'DATASET', 'd1', 'RUN', 'run1')",
        "INSERT INTO input_tags (input_uuid, name, value) VALUES ('i1', 'mlflow.data.context', 'training')",
    )
    with store.engine.begin() as connection:
        for row in rows:
            connection.exec_driver_sql(row)
    with store.reading() as work:
        found = work.trainings.of_run("run1")
        assert found == Training(
            "run1", "", "zoë", "train.py", "", None, (DataSet("rows of march", "abc123", "s3", "training"),)
        )
        assert work.trainings.of_run("run2") is None


def test_ten_thousand_requests_are_paged_through_without_reading_what_was_seen(
    store: SqlStore, fraud: str, rounds: Callable[[int, int], int]
) -> None:
    many = rounds(1_500, 10_000)
    with store.writing(fraud) as work:
        work.approvals.add(request("req-first", VersionRef(fraud, 1)))
        model = work.connection.exec_driver_sql("SELECT model_id FROM lockgate_approval_requests").scalar()
        # many at one moment: a page ends in the middle of them
        rows = [
            {
                "id": f"req-{n:06}", "model_id": model, "version": 1, "stage": "Production", "asked_by": "ann",
                "asked_by_verified": False, "asked_by_via": "cli", "reason": "r", "plan_digest": "p",
                "asked_at": T0 + timedelta(seconds=1 + n // 700), "state": "pending" if n % 4 else "approved",
                "closed_because": "",
            }
            for n in range(many)
        ]  # fmt: skip
        work.connection.execute(insert(requests), rows)
    asked: dict[str, object] = {}
    with store.reading() as work:
        assert dict(work.approvals.pending_counts()) == {fraud: 1 + many - many // 4}
        first = work.approvals.pending(300)
        assert [each.id for each in first[:3]] == ["req-first", "req-000001", "req-000002"]
        event.listen(store.engine, "before_cursor_execute", _noting(asked))
        seen = [each.id for each in first]
        while page := work.approvals.pending(300, seen[-1]):
            seen += [each.id for each in page]
        assert len(set(seen)) == len(seen) == 1 + many - many // 4
        assert seen[1:] == sorted(seen[1:])
        with pytest.raises(NotFound, match="no request for approval req-none"):
            work.approvals.pending(10, "req-none")
        if work.connection.dialect.name == "postgresql":
            work.connection.exec_driver_sql("SET LOCAL enable_seqscan = off")
        explain = "EXPLAIN" if work.connection.dialect.name == "postgresql" else "EXPLAIN QUERY PLAN"
        (paging, values) = next((s, v) for s, v in asked.items() if "ORDER BY lockgate_approval_requests.asked_at" in s)
        plan = "\n".join(str(row[-1]) for row in work.connection.exec_driver_sql(f"{explain} {paging}", values))  # type: ignore[arg-type]
    assert "lockgate_approval_requests_pending" in plan
    assert not re.search(r"(SCAN|Seq Scan on) lockgate_approval_requests($|\n)", plan)


def _noting(asked: dict[str, object]) -> Callable[..., None]:
    def note(_c: object, _k: object, statement: str, parameters: object, _x: object, _many: object) -> None:
        asked.setdefault(statement, parameters)

    return note
