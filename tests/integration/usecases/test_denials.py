"""Refusals that repeat: on the record once, and then as a count."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta

import pytest

from lockgate.domain.audit import SYSTEM, Entry
from lockgate.domain.errors import Unavailable
from lockgate.domain.identity import Who
from lockgate.server.counting import Counting
from lockgate.usecases import denials
from lockgate.usecases.ports import Recorded
from tests.databases.backends import on_sqlite
from tests.integration.usecases.world import M, World

# no SQL of its own
pytestmark = on_sqlite

Make = Callable[[str], World]
EVE = Who("eve", verified=True, via="mlflow", address="192.0.2.7", request="req-1")


def refuse(here: World, times: int = 1, **how: str) -> None:
    for _ in range(times):
        denials.denied(here.ports, EVE, how.get("asked", "PUT /x"), "you may not", how.get("model", M))
        here.clock.forward(seconds=1)


def refusals(here: World) -> list[Recorded]:
    with here.store.reading() as work:
        assert work.record.verify()[1] == []
        return list(reversed(work.record.read(action=denials.REFUSED, limit=1000)))


def times(here: World) -> list[object]:
    return [(Entry.from_plain(entry.plain).detail or {}).get("times", 1) for entry in refusals(here)]


def test_a_loop_gets_one_entry_at_once_and_one_with_the_count_when_its_minute_is_over(world: Make) -> None:
    here = world("")
    here.register()
    refuse(here, 50)
    (first,) = refusals(here)
    assert Entry.from_plain(first.plain).detail == {"asked": "PUT /x"}
    here.clock.forward(seconds=10)
    assert denials.told(here.ports, here.clock.now()) == 1
    _, counted = refusals(here)
    entry = Entry.from_plain(counted.plain)
    assert entry.detail == {"asked": "PUT /x", "times": 49, "since": "2026-03-01T12:00:01.000000+00:00"}
    assert (entry.at.isoformat(), entry.model, entry.why) == ("2026-03-01T12:00:49+00:00", M, "you may not")
    assert (entry.who, entry.who.address, entry.who.request) == (EVE, "192.0.2.7", "req-1")


def test_another_refusal_after_the_minute_writes_down_what_was_counted_before(world: Make) -> None:
    here = world("")
    refuse(here, 3)
    here.clock.forward(minutes=2)
    refuse(here)
    assert times(here) == [1, 2, 1]


def test_a_refusal_about_no_known_model_is_in_the_systems_chain(world: Make) -> None:
    here = world("")
    refuse(here, model="no\n'such' modèle")
    (entry,) = refusals(here)
    assert entry.linked.chain == SYSTEM
    assert entry.plain["detail"] == {"asked": "PUT /x", "model": "no\n'such' modèle"}


def test_what_could_not_be_written_is_told_by_the_next_refusal(world: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    here = world("")

    def away(_model: str | None) -> None:
        raise Unavailable("The database is away.", hint="")

    with monkeypatch.context() as broken:
        broken.setattr(here.store, "writing", away)
        with pytest.raises(Unavailable):
            refuse(here)
    assert refusals(here) == []
    refuse(here)
    assert len(refusals(here)) == 1


def test_a_server_that_is_stopped_writes_down_what_it_has_counted(world: Make) -> None:
    here = world("")
    counting = Counting(here.ports)
    counting.start()
    refuse(here, 5)
    counting.stop()
    assert times(here) == [1, 4]


def test_two_workers_count_each_for_itself_and_lose_nothing_between_them(world: Make) -> None:
    here = world("")
    for owner in ("one", "two"):
        ports = here.ports_of(owner)
        for _ in range(4):
            denials.denied(ports, EVE, "PUT /x", "you may not", M)
        denials.told(ports, here.clock.now() + timedelta(minutes=1))
    assert times(here) == [1, 3, 1, 3]
