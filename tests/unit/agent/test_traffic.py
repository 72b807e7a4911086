"""What workers are told of one another follows from what is committed and what is seen, and from nothing else."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from lockgate.agent.apart import must_be_apart
from lockgate.agent.decide import Drain, Ensure, Stop, decide
from lockgate.agent.traffic import MOST_BESIDE, divisions, neighbours, set_apart
from lockgate.domain.serving import DesiredEndpoint, Endpoint, EndpointState, GroupState, Release
from lockgate.domain.traffic import Neighbour, Share, Split
from lockgate.domain.versions import VersionRef
from lockgate.usecases.serving_ports import Division, GroupSeen, WorkerSeen

PORTS = {"e1": 5002, "e2": 5003}
OWN_PORT = {"e1": 5002}


def _release(number: int, endpoint: str = "e1", model: str = "fraud") -> Release:
    made = datetime(2026, 1, number, tzinfo=UTC)
    return Release(
        f"{endpoint}-r{number}", endpoint, VersionRef(model, number), f"sha256:{number}", "native", "p", made
    )


def _want(id: str = "e1", model: str = "fraud", environment: str = "production", **told: Any) -> DesiredEndpoint:
    kept = Endpoint(id, environment, model, PORTS[id], _release(1, id, model), 1, 1, EndpointState.SERVING)
    return DesiredEndpoint(kept, "127.0.0.1", PORTS[id], False, **told)


def _group(release: Release, state: GroupState = GroupState.SERVING, workers: int = 1) -> GroupSeen:
    names = tuple(WorkerSeen(f"{release.id}-w{n}", 100 + n, state) for n in range(workers))
    return GroupSeen(release.endpoint, release.id, names, workers)


def _folder(digest: str) -> Path:
    return Path("/a") / digest


def test_endpoints_of_one_environment_are_introduced_to_each_other_by_those_who_accept() -> None:
    wants = [_want(), _want("e2", "credit")]
    seen = [_group(_release(1), workers=2), _group(_release(1, "e2", "credit"))]
    told = neighbours(wants, seen, PORTS)
    fraud = Neighbour("e1", "fraud", "127.0.0.1", 5002, ("e1-r1-w0", "e1-r1-w1"))
    credit = Neighbour("e2", "credit", "127.0.0.1", 5003, ("e2-r1-w0",))
    assert told == {"e1": (fraud, credit), "e2": (fraud, credit)}


@pytest.mark.parametrize("apart", [{"environment": "staging"}, {"workspace": "elsewhere"}])
def test_other_environments_and_workspaces_have_nothing_to_do_with_it(apart: dict[str, str]) -> None:
    wants = [_want(), _want("e2", "credit", **apart)]
    seen = [_group(_release(1)), _group(_release(1, "e2", "credit"))]
    assert neighbours(wants, seen, PORTS) == {"e1": (), "e2": ()}


def test_in_a_cutover_the_committed_release_is_where_others_are_sent() -> None:
    wants = [_want(), _want("e2", "credit")]
    blue, green = _group(_release(9, "e2", "credit")), _group(_release(1, "e2", "credit"))
    told = neighbours(wants, [_group(_release(1)), blue, green], PORTS)
    assert [place.workers for place in told["e1"]] == [("e1-r1-w0",), ("e2-r1-w0",)]
    told = neighbours(wants, [_group(_release(1)), blue], PORTS)
    assert [place.workers for place in told["e1"]] == [("e1-r1-w0",), ("e2-r9-w0",)]


def test_a_model_whose_workers_died_stays_known_and_one_that_never_served_or_was_retired_does_not() -> None:
    wants = [_want(), _want("e2", "credit")]
    told = neighbours(wants, [_group(_release(1))], PORTS)
    assert [(place.model, place.workers) for place in told["e1"]] == [("fraud", ("e1-r1-w0",)), ("credit", ())]
    for change in ({"release": None}, {"state": EndpointState.RETIRED}):
        gone = replace(wants[1], endpoint=replace(wants[1].endpoint, **change))
        assert neighbours([wants[0], gone], [_group(_release(1))], PORTS)["e1"] == ()


def test_the_committed_release_is_told_of_the_versions_beside_it_and_the_others_of_none() -> None:
    split = Split((Share(2, 10.0), Share(7, 10.0)), shadow=3)
    want = _want(beside=(_release(3), _release(2)), split=split)
    own = set_apart(want, lambda _want, _release: False)
    assert own == {"e1-r3"}, "a shadow never takes the time of the process that answers"
    shadow = _group(_release(3), GroupState.READY)
    told = divisions(want, [_group(_release(1)), shadow, _group(_release(9), GroupState.READY)], own, _folder)
    assert told["e1-r9"] == Division()
    assert told["e1-r3"] == Division(shares=True)
    here, there = sorted(told["e1-r1"].beside, key=lambda order: order.release.ref.version)
    assert (here.release, here.apart, here.workers) == (_release(2), False, ())
    assert (there.release, there.apart, there.workers) == (_release(3), True, ("e1-r3-w0",))
    assert told["e1-r1"].split == Split((Share(2, 10.0),), shadow=3), "version 7 does not hold the stage"


def test_a_version_whose_files_are_not_here_gets_no_share_yet() -> None:
    want = _want(beside=(_release(2),), split=Split((Share(2, 10.0),)))
    told = divisions(want, [_group(_release(1))], frozenset(), lambda _: None)
    assert told == {"e1-r1": Division((), Split(()))}


def test_those_that_a_split_names_come_first_where_there_are_too_many() -> None:
    beside = tuple(_release(number) for number in range(12, 1, -1))
    want = _want(beside=beside, split=Split((Share(3, 10.0),)))
    told = divisions(want, [_group(_release(1))], frozenset(), _folder)["e1-r1"].beside
    assert [order.release.ref.version for order in told] == [3, 12, 11, 10]
    assert len(told) == MOST_BESIDE


def test_a_release_with_workers_of_its_own_is_started_kept_silent_and_ended_with_its_share() -> None:
    other = _release(2)
    want = _want(beside=(other,), split=Split((Share(2, 10.0),)))
    serving = _group(_release(1))
    assert decide([want], [serving], OWN_PORT, apart=frozenset({other.id})) == [Ensure(want, other)]
    warm = _group(other, GroupState.READY)
    assert decide([want], [serving, warm], OWN_PORT, apart=frozenset({other.id})) == []
    accepts = _group(other, GroupState.SERVING)
    assert decide([want], [serving, accepts], OWN_PORT, apart=frozenset({other.id})) == [
        Drain("e1", other.id, forward=True, park=True)
    ]
    assert decide([want], [serving, warm], OWN_PORT) == [Stop("e1", other.id)]
    retired = replace(want, endpoint=replace(want.endpoint, state=EndpointState.RETIRED))
    assert divisions(retired, [serving, warm], frozenset(), _folder)["e1-r1"] == Division()


def test_versions_share_a_process_only_when_they_ask_for_the_same_packages_and_bring_no_modules(tmp_path: Path) -> None:
    folders = [tmp_path / name for name in ("one", "same", "other", "code")]
    for folder in folders:
        folder.mkdir()
        (folder / "requirements.txt").write_text("scikit-learn==1.9\n")
    one, same, other, code = folders
    (other / "requirements.txt").write_text("scikit-learn==1.8\n")
    (code / "code").mkdir()
    assert [must_be_apart(one, folder) for folder in (same, other, code)] == [False, True, True]
    assert must_be_apart(code, one)
