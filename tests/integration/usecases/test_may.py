"""Who may do what to a model: asked in the transaction of the deed; whoever may not changes nothing but the record."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import pytest

from lockgate.domain.access import Act, Grant, Person, Role
from lockgate.domain.errors import BadInput, Conflict, Forbidden, NotFound
from lockgate.domain.identity import LOCKGATE, PERSON, SERVICE, Who
from lockgate.domain.promotion import Kind
from lockgate.domain.traffic import Split
from lockgate.usecases import drift, endpoint_tokens, promote, retire, roll_back, split, validate, webhooks
from lockgate.usecases.authorise import authorise, authorise_one, require
from lockgate.usecases.login import secret_digest
from tests.integration.usecases.world import ANA, STAGING, M, World

POLICY = "level: observe\nendpoints: {'*': {serve: auto}}\n"
GRANTS = {
    "vera": [Grant(Role.VIEWER)],
    "carl": [Grant(Role.CONTRIBUTOR, "churn-*")],
    "cora": [Grant(Role.CONTRIBUTOR, f"{M}*")],
    "olaf": [Grant(Role.OPERATOR)],
}


def _who(name: str) -> Who:
    return Who(name, verified=True, via="api")


@pytest.fixture
def peopled(quick: Callable[[str], World]) -> World:
    """A version in Production that serves, and people who may this and that."""
    world = quick(POLICY)
    world.served(world.register(), world.register())
    with world.store.writing(None) as work:
        for name, grants in GRANTS.items():
            work.people.add(Person(name, PERSON, world.clock.now(), "ana", tuple(grants)), ANA)
    return world


def _deeds(world: World) -> dict[str, Callable[[Who], object]]:
    ports = world.ports
    third = world.register()
    return {
        "ask": lambda who: promote.ask(ports, promote.Ask(third, STAGING, Kind.PROMOTE, who)),
        "validate": lambda who: validate.ask(ports, third, who),
        "roll back": lambda who: roll_back.ask(ports, M, who, "it is bad"),
        "retire": lambda who: retire.retire(ports, "production", M, who),
        "accept": lambda who: drift.accept(ports, M, who, "fine"),
        "split": lambda who: split.divide(ports, "production", M, Split(header="X-Use"), who),
        "token": lambda who: endpoint_tokens.create(ports, "production", M, who),
        "redeliver": lambda who: webhooks.redeliver(ports, "dlv-1", who),
    }


def test_a_deed_takes_its_role_on_its_model(peopled):
    asks = {"ask", "validate"}
    operates = {"roll back", "retire", "accept", "split", "token", "redeliver"}
    deeds = _deeds(peopled)
    did = {name: {deed for deed, do in deeds.items() if _may(do, _who(name))} for name in GRANTS}
    assert did == {"vera": set(), "carl": set(), "cora": asks, "olaf": asks | operates}


def _may(do: Callable[[Who], object], who: Who) -> bool:
    try:
        do(who)
    except Forbidden:
        return False
    except (Conflict, NotFound):
        pass  # they may, and something else is in the way
    return True


def test_whoever_may_not_changes_nothing_but_the_record(peopled):
    deeds = _deeds(peopled)
    before, stages = len(peopled.recorded()), peopled.stages()
    for do in deeds.values():
        with pytest.raises(Forbidden):
            do(_who("vera"))
    with peopled.store.reading() as work:
        refused = work.record.read(action="access:refused")
    assert len(refused) == len(deeds)
    assert {each.plain["who"]["name"] for each in refused} == {"vera"}
    about_it = [each for each in refused if each.plain["model"] == M]
    assert len(peopled.recorded()) - before == len(about_it) == len(deeds) - 1
    assert peopled.stages() == stages


def test_a_promotion_is_withdrawn_by_who_could_ask_for_it_or_operates(peopled):
    ref = peopled.register()
    for name in ("cora", "olaf"):
        opened = promote.ask(peopled.ports, promote.Ask(ref, STAGING, Kind.PROMOTE, _who("cora"), lasting=True))
        with pytest.raises(Forbidden):
            promote.cancel(peopled.ports, opened.id, _who("carl"))
        assert promote.cancel(peopled.ports, opened.id, _who(name)).state == "cancelled"


def test_what_was_taken_away_a_moment_ago_is_gone(peopled):
    with peopled.store.reading() as work:
        authorise(work, _who("cora"), Act.WRITE, M)
    with peopled.store.writing(None) as work:
        work.people.revoke("cora", Grant(Role.CONTRIBUTOR, f"{M}*"))
    with pytest.raises(Forbidden, match="Yours: none"):
        require(peopled.ports, _who("cora"), Act.WRITE, M)
    with peopled.store.writing(None) as work:
        work.people.set_disabled("olaf", peopled.clock.now())
    with pytest.raises(Forbidden), peopled.store.reading() as work:
        authorise(work, _who("olaf"), Act.OPERATE, M)


def test_somebody_who_is_not_there_and_a_token_that_is_anothers_may_nothing(peopled):
    for who in (_who("nobody"), replace(_who("olaf"), token="tok-of-somebody")):
        with pytest.raises(Forbidden), peopled.store.reading() as work:
            authorise(work, who, Act.READ, M)


def test_any_of_several_acts_will_do(peopled):
    with peopled.store.reading() as work:
        authorise_one(work, _who("cora"), (Act.OPERATE, Act.ASK), M)
        with pytest.raises(Forbidden, match="To operate what serves"):
            authorise_one(work, _who("vera"), (Act.OPERATE, Act.ASK), M)


def test_lockgate_itself_is_not_asked_and_nobody_can_be_taken_for_it(peopled):
    with peopled.store.reading() as work:
        authorise(work, LOCKGATE, Act.OPERATE, M)
        for via in ("api", "mlflow", "cli", "sdk"):
            with pytest.raises(Forbidden):
                authorise(work, Who("lockgate", verified=True, via=via, kind=SERVICE), Act.READ, M)


def test_while_there_is_nobody_a_claimed_name_may_everything(quick):
    world = quick(POLICY)
    with world.store.reading() as work:
        for act in Act:
            authorise(work, Who("whoever"), act, M)


def test_a_token_of_an_endpoint_is_made_shown_once_and_revoked(peopled):
    made = endpoint_tokens.create(peopled.ports, "production", M, _who("olaf"), " the shop ")
    assert (made.token.label, made.secret[:4]) == ("the shop", "lge_")
    assert endpoint_tokens.listed(peopled.ports, M) == [made.token]
    gone = endpoint_tokens.revoke(peopled.ports, made.token.id, _who("olaf"), "it leaked")
    again = endpoint_tokens.revoke(peopled.ports, made.token.id, _who("olaf"))
    assert gone.revoked_at is not None
    assert again == gone
    created, revoked = peopled.recorded("endpoint:token-created"), peopled.recorded("endpoint:token-revoked")
    assert (len(created), len(revoked), revoked[0].plain["reason"]) == (1, 1, "it leaked")
    told = "".join(each.linked.text for each in [*created, *revoked])
    assert made.secret not in told
    assert secret_digest(made.secret) not in told


def test_a_token_of_an_endpoint_that_cannot_be_is_refused(peopled, monkeypatch):
    with pytest.raises(BadInput, match="no environment 'moon'"):
        endpoint_tokens.create(peopled.ports, "moon", M, _who("olaf"))
    with pytest.raises(NotFound):
        endpoint_tokens.create(peopled.ports, "staging", "nothing", _who("olaf"))
    with pytest.raises(NotFound):
        endpoint_tokens.revoke(peopled.ports, "ept-9", _who("olaf"))
    for label in ("x" * 101, "a\nb"):
        with pytest.raises(BadInput, match="label"):
            endpoint_tokens.create(peopled.ports, "staging", M, _who("olaf"), label)
    monkeypatch.setattr(endpoint_tokens, "MOST", 1)
    endpoint_tokens.create(peopled.ports, "staging", M, _who("olaf"))
    with pytest.raises(Conflict, match="1 tokens"):
        endpoint_tokens.create(peopled.ports, "staging", M, _who("olaf"))
    endpoint_tokens.create(peopled.ports, "production", M, _who("olaf"))
