"""What the tokens of endpoints promise: they stay with model and environment, and only good ones reach an agent."""

from __future__ import annotations

from collections.abc import Mapping

import pytest
from sqlalchemy.exc import IntegrityError

from lockgate.adapters.sql.ledger import SqlAgentLedger
from lockgate.adapters.sql.store import SqlStore
from lockgate.domain.serving import EndpointState, EndpointToken
from tests.contracts.databases import Mlflow
from tests.contracts.makers import T0, later

ONE = EndpointToken("ept-1", "staging", "fraud", "the shop", T0, "ann")
TWO = EndpointToken("ept-2", "staging", "fraud", "", later(hours=1), "ann")
OTHER = EndpointToken("ept-3", "production", "fraud", "", later(hours=2), "ann")


def _digest(number: int) -> str:
    return f"sha256:{number:064x}"


@pytest.fixture
def tokens(store: SqlStore, fraud: str) -> SqlStore:
    """Three tokens, and an endpoint in staging."""
    with store.writing(fraud) as work:
        for number, token in enumerate((ONE, TWO, OTHER)):
            work.endpoint_tokens.add(token, _digest(number))
        work.endpoints.create("ep-1", "staging", fraud, T0)
    return store


def _told(store: SqlStore) -> Mapping[str, tuple[str, ...]]:
    return {want.endpoint.id: want.tokens for want in SqlAgentLedger(store, "agent-1").desired()}


def test_they_are_read_as_they_were_added_the_newest_first(tokens: SqlStore) -> None:
    with tokens.reading() as work:
        assert work.endpoint_tokens.of() == [OTHER, TWO, ONE]
        assert work.endpoint_tokens.of("fraud", "staging") == [TWO, ONE]
        assert work.endpoint_tokens.of("nothing") == []
        assert work.endpoint_tokens.get("ept-1") == ONE
        assert work.endpoint_tokens.get("ept-9") is None


def test_an_agent_hears_the_digests_of_the_good_ones_of_its_endpoint(tokens: SqlStore) -> None:
    assert _told(tokens) == {"ep-1": (_digest(0), _digest(1))}
    with tokens.writing("fraud") as work:
        work.endpoint_tokens.revoke("ept-1", later(hours=3))
        revoked = work.endpoint_tokens.get("ept-1")
    assert revoked is not None
    assert revoked.revoked_at == later(hours=3)
    assert _told(tokens) == {"ep-1": (_digest(1),)}


def test_an_endpoint_that_comes_again_takes_the_same_ones(tokens: SqlStore) -> None:
    with tokens.writing("fraud") as work:
        work.endpoints.set_state("ep-1", EndpointState.RETIRED, "")
        work.endpoints.create("ep-2", "staging", "fraud", T0)
    assert _told(tokens) == {"ep-2": (_digest(0), _digest(1))}


def test_they_go_along_when_the_model_is_renamed_and_are_not_those_of_a_later_model_of_its_name(
    tokens: SqlStore, mlflow: Mlflow
) -> None:
    with tokens.writing("fraud", "credit") as work:
        work.versions.rename_model("fraud", "credit")
    with tokens.writing("fraud") as work:
        work.versions.add_model("fraud")
        work.endpoints.create("ep-2", "staging", "fraud", T0)
    with tokens.reading() as work:
        assert [token.model for token in work.endpoint_tokens.of()] == ["credit"] * 3
        assert work.endpoint_tokens.of("fraud") == []
    assert _told(tokens) == {"ep-1": (_digest(0), _digest(1)), "ep-2": ()}


def test_no_two_have_one_secret(tokens: SqlStore) -> None:
    with pytest.raises(IntegrityError), tokens.writing("fraud") as work:
        work.endpoint_tokens.add(EndpointToken("ept-4", "staging", "fraud", "", T0, "ann"), _digest(0))


def test_another_workspace_sees_none_of_them(tokens: SqlStore) -> None:
    with tokens.within("elsewhere"), tokens.reading() as work:
        assert work.endpoint_tokens.of() == []
        assert work.endpoint_tokens.get("ept-1") is None
