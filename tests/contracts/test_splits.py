"""What splits promise: one of each model in each environment, which stays with them and is told to agents."""

from __future__ import annotations

from lockgate.adapters.sql.ledger import SqlAgentLedger
from lockgate.adapters.sql.store import SqlStore
from lockgate.domain.serving import EndpointState
from lockgate.domain.traffic import SetSplit, Share, Split
from tests.contracts.databases import Mlflow
from tests.contracts.makers import T0, later

ONE = SetSplit("staging", "fraud", Split((Share(2, 12.5),), key="X-User"), "ann", T0)
OTHER = SetSplit("production", "fraud", Split(header="X-Version", shadow=3), "ann", later(hours=1))


def _made(store: SqlStore) -> None:
    with store.writing("fraud") as work:
        work.splits.put(ONE)
        work.splits.put(OTHER)
        work.endpoints.create("ep-1", "staging", "fraud", T0)


def _told(store: SqlStore) -> dict[str, Split | None]:
    return {want.endpoint.id: want.split for want in SqlAgentLedger(store, "agent-1").desired()}


def test_they_are_read_as_they_were_put_and_a_later_one_takes_the_place(store: SqlStore, fraud: str) -> None:
    _made(store)
    with store.reading() as work:
        assert work.splits.of() == work.splits.of(fraud) == [OTHER, ONE]
        assert work.splits.get("staging", fraud) == ONE
        assert work.splits.get("staging", "nothing") is None
    later_one = SetSplit("staging", fraud, Split(shadow=5, shadow_percent=0.001), "bob", later(hours=2))
    with store.writing(fraud) as work:
        work.splits.put(later_one)
        work.splits.remove("production", fraud)
        work.splits.remove("nowhere", fraud)
    with store.reading() as work:
        assert work.splits.of() == [later_one]


def test_an_agent_hears_the_one_of_its_endpoint_also_of_one_that_comes_again(store: SqlStore, fraud: str) -> None:
    _made(store)
    assert _told(store) == {"ep-1": ONE.split}
    with store.writing(fraud) as work:
        work.endpoints.set_state("ep-1", EndpointState.RETIRED, "")
        work.endpoints.create("ep-2", "staging", fraud, T0)
    assert _told(store) == {"ep-2": ONE.split}


def test_they_go_along_when_the_model_is_renamed(store: SqlStore, fraud: str, mlflow: Mlflow) -> None:
    _made(store)
    with store.writing(fraud, "credit") as work:
        work.versions.rename_model(fraud, "credit")
    with store.reading() as work:
        assert [found.model for found in work.splits.of()] == ["credit", "credit"]
    assert _told(store) == {"ep-1": ONE.split}


def test_another_workspace_sees_none_of_them(store: SqlStore, fraud: str) -> None:
    _made(store)
    with store.within("elsewhere"), store.reading() as work:
        assert work.splits.of() == []
