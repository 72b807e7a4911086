"""Dividing an endpoint's requests among versions: who may have a share, what is on record, and what becomes of it."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from lockgate.adapters.sql.ledger import SqlAgentLedger
from lockgate.domain.errors import BadInput, Conflict, NotFound
from lockgate.domain.serving import DesiredEndpoint
from lockgate.domain.stages import Stage
from lockgate.domain.traffic import Share, Split
from lockgate.domain.versions import VersionRef
from lockgate.usecases import split
from tests.integration.usecases.world import ANA, PRODUCTION, M, World

Make = Callable[[str], World]
SEVERAL = "level: enforce\nstages: {Staging: {}, Production: {}}\ngovernance: {max_production_versions: 3}\n"
TENTH = Split((Share(1, 10.0),))


def _two(world: Make) -> tuple[World, VersionRef, VersionRef]:
    """A world with two versions in Production, of which the second is primary."""
    here = world(SEVERAL)
    first, second = here.register(), here.register()
    for ref in (first, second):
        here.done(ref, PRODUCTION, archive_existing=False)
        here.clock.forward(seconds=1)
    return here, first, second


def _wanted(here: World) -> DesiredEndpoint:
    return next(w for w in SqlAgentLedger(here.store, "here").desired() if w.endpoint.environment == "production")


def test_a_share_is_on_record_and_an_agent_hears_of_it(world: Make) -> None:
    here, first, second = _two(world)
    assert [release.ref for release in _wanted(here).beside] == [first]
    with here.records("endpoint:split"):
        told = split.divide(here.ports, "production", M, TENTH, ANA, "a first look")
    assert (told.primary, told.in_force) == (second.version, TENTH)
    assert split.shown(here.ports) == split.shown(here.ports, M, "production") == [told]
    assert _wanted(here).split == TENTH
    entry = here.recorded("endpoint:split")[0].plain
    assert (entry["before"], entry["after"], entry["reason"]) == (None, TENTH.plain(), "a first look")
    assert isinstance(entry["after"], dict)
    assert Split.of(entry["after"]) == TENTH


def test_another_split_takes_its_place_and_removing_it_gives_all_to_the_primary(world: Make) -> None:
    here, _, _ = _two(world)
    split.divide(here.ports, "production", M, TENTH, ANA)
    other = Split((), header="X-Use", key="X-User", shadow=1, shadow_percent=12.5)
    with here.records("endpoint:split"):
        split.divide(here.ports, "production", M, other, ANA)
    assert here.recorded("endpoint:split")[1].plain["before"] == TENTH.plain()
    assert _wanted(here).split == other
    with here.records("endpoint:split-removed"):
        assert split.undivide(here.ports, "production", M, ANA).split == other
    assert split.shown(here.ports) == []
    assert _wanted(here).split is None
    with here.records(), pytest.raises(NotFound, match="not divided"):
        split.undivide(here.ports, "production", M, ANA)


def test_who_does_not_hold_the_stage_gets_no_share_and_a_share_that_was_given_ends_with_it(world: Make) -> None:
    here, first, _ = _two(world)
    third = here.register()
    for version, why in ((third.version, "is not in Production"), (2, "is the primary version"), (9, "is not in")):
        with here.records(), pytest.raises(Conflict, match=why):
            split.divide(here.ports, "production", M, Split((Share(version, 5.0),)), ANA)
    split.divide(here.ports, "production", M, TENTH, ANA)
    here.done(first, Stage.ARCHIVED)
    (shown,) = split.shown(here.ports)
    assert shown.in_force.shares == ()
    assert _wanted(here).beside == ()


def test_a_share_of_what_became_primary_is_its_no_more(world: Make) -> None:
    here, first, second = _two(world)
    split.divide(here.ports, "production", M, TENTH, ANA)
    here.done(first, PRODUCTION, archive_existing=False)
    here.clock.forward(seconds=1)
    (shown,) = split.shown(here.ports)
    if shown.primary == first.version:
        assert shown.in_force.shares == ()
        assert [release.ref for release in _wanted(here).beside] == [second]


def test_what_cannot_be_is_refused_and_changes_nothing(world: Make) -> None:
    here, _, _ = _two(world)
    for wrong in (
        Split(),
        Split((Share(1, 0.0),)),
        Split((Share(1, float("nan")),)),
        Split((Share(1, 60.0), Share(3, 60.0))),
        Split((Share(1, 10.0), Share(1, 10.0))),
        Split((Share(1, 10.0),), shadow=1),
        Split((Share(1, 10.0),), key="a", cookie="b"),
        Split((Share(1, 10.0),), key="a b"),
        Split((Share(1, 10.0),), cookie="x" * 65),
        Split(tuple(Share(n, 1.0) for n in range(1, 11))),
    ):
        with here.records(), pytest.raises(BadInput):
            split.divide(here.ports, "production", M, wrong, ANA)
    with here.records(), pytest.raises(BadInput, match="no environment 'moon'"):
        split.divide(here.ports, "moon", M, TENTH, ANA)
    with here.records(), pytest.raises(NotFound, match="is not served in staging"):
        split.divide(here.ports, "staging", M, TENTH, ANA)
    assert split.shown(here.ports) == []
