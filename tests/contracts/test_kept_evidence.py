"""What a verdict was based on is kept once under its digest, and a policy is found by its."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import replace

import pytest
from sqlalchemy import text

from lockgate.adapters.sql.store import SqlStore
from lockgate.domain.checks import Check
from lockgate.domain.errors import BadInput
from lockgate.domain.evidence import Evidence, Metric
from tests.contracts.makers import ANN, T0, later
from tests.unit.domain.cases import EVIDENCE

STRANGE = replace(
    EVIDENCE,
    metrics={"é'\"\n": Metric(float("nan"), "run", at=T0), "x": Metric(-0.0, "run")},
    tags={"note": 'O\'Brien\n"naïve" 漢字 \\ \u2028'},
    checks=(Check("ci", True, ANN, T0, "sha256:1", "https://ci/1", "ok\n"),),
)


@pytest.mark.parametrize("evidence", [EVIDENCE, STRANGE], ids=["usual", "strange"])
def test_evidence_is_read_back_as_it_was_kept(store: SqlStore, evidence: Evidence) -> None:
    with store.writing(None) as work:
        digest = work.evidence.keep(evidence, T0)
    with store.reading() as work:
        found = work.evidence.get(digest)
        assert work.evidence.get("sha256:nothing") is None

    assert found is not None
    assert found.text == evidence.text
    assert found.digest == digest == evidence.digest


def test_the_same_evidence_is_kept_once(store: SqlStore) -> None:
    with store.writing(None) as work:
        work.evidence.keep(EVIDENCE, T0)
        work.evidence.keep(EVIDENCE, later(hours=1))
        work.evidence.keep(STRANGE, T0)
    with store.engine.connect() as connection:
        assert connection.execute(text("SELECT count(*) FROM lockgate_evidence")).scalar_one() == 2


def test_what_is_undone_keeps_nothing(store: SqlStore) -> None:
    with suppress(RuntimeError), store.writing(None) as work:
        work.evidence.keep(EVIDENCE, T0)
        raise RuntimeError
    with store.reading() as work:
        assert work.evidence.get(EVIDENCE.digest) is None


def test_what_was_changed_in_the_table_is_refused(store: SqlStore) -> None:
    with store.writing(None) as work:
        work.evidence.keep(EVIDENCE, T0)
    with store.engine.begin() as connection:
        connection.execute(text("UPDATE lockgate_evidence SET text = replace(text, '0.93', '0.94')"))
    with store.reading() as work, pytest.raises(BadInput, match="was changed after it was written"):
        work.evidence.get(EVIDENCE.digest)
