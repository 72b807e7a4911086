"""Logged predictions are for those with a role on their model: inputs may be about people."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, date, datetime

import pytest

from lockgate.domain.access import Grant, Person, Role
from lockgate.domain.audit import Entry
from lockgate.domain.errors import BadInput, Forbidden, NotFound
from lockgate.domain.identity import PERSON, Who
from lockgate.usecases import denials, predictions
from lockgate.usecases.prediction_ports import Asked, LoggedPrediction, NothingLogged, Page
from tests.integration.usecases.world import ANA, M, World

ASKED = Asked(date(2026, 11, 23), 20)
GRANTS = {
    "vera": [Grant(Role.VIEWER)],
    "april": [Grant(Role.APPROVER)],
    "carl": [Grant(Role.CONTRIBUTOR, "churn-*")],
    "cora": [Grant(Role.CONTRIBUTOR, f"{M}*")],
    "olaf": [Grant(Role.OPERATOR)],
}


class OnePrediction:
    """A log that holds one prediction of every model."""

    def read(self, environment: str, model: str, asked: Asked) -> Page:
        now = datetime(2026, 11, 23, tzinfo=UTC)
        return Page([LoggedPrediction(now, environment, model, 1, "r", "native", 200, 1, 0.1, "", "{}", "{}")])


def _who(name: str) -> Who:
    return Who(name, verified=True, via="api")


@pytest.fixture
def peopled(quick: Callable[[str], World]) -> World:
    world = quick("level: observe\n")
    world.register()
    with world.store.writing(None) as work:
        for name, grants in GRANTS.items():
            work.people.add(Person(name, PERSON, world.clock.now(), "ana", tuple(grants)), ANA)
    return world


def test_it_takes_a_role_on_the_model_and_a_no_is_on_the_record(peopled: World) -> None:
    may: set[str] = set()
    for name in GRANTS:
        try:
            (found,) = predictions.read(peopled.ports, OnePrediction(), _who(name), "staging", M, ASKED).predictions
        except Forbidden:
            continue
        assert (found.model, found.request_id) == (M, "staging")
        may.add(name)
    assert may == {"cora", "olaf"}
    with peopled.store.reading() as work:
        denied = {
            Entry.from_plain(entry.plain).who.name for entry in work.record.read(action=denials.REFUSED, limit=100)
        }
    assert denied == {"vera", "april", "carl"}


def test_what_is_not_there_is_told(peopled: World) -> None:
    with pytest.raises(NotFound, match="nothing"):
        predictions.read(peopled.ports, OnePrediction(), _who("olaf"), "staging", "nothing", ASKED)
    with pytest.raises(BadInput, match="no environment 'moon'"):
        predictions.read(peopled.ports, OnePrediction(), _who("olaf"), "moon", M, ASKED)
    page = predictions.read(peopled.ports, NothingLogged(), _who("olaf"), "staging", M, ASKED)
    assert (page.predictions, page.after) == ((), "")
