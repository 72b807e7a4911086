"""kill -9 of any process in the middle of a promotion loses nothing, and endpoints go on answering."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from lockgate import Lockgate
from lockgate.sdk.errors import NotFound, Unreachable
from tests.databases.backends import NewDatabase
from tests.e2e import models
from tests.e2e.conftest import Node, node_in, until
from tests.e2e.load import Load, ask
from tests.e2e.models import Logged

pytestmark = [pytest.mark.timeout(300), pytest.mark.both_databases]
LOADS_FOR = 4.0  # seconds: long enough to kill somebody meanwhile
POLICY = """\
level: enforce
stages:
  Staging:
    requires: {min_accuracy: 0.85, validation_tests: [schema_test, inference_test]}
  Production:
    requires: {min_accuracy: 0.85}
"""
ALL_BUT_WORKERS = ("agent", "controller", "server", "up")  # `up` last: it starts nobody again within half a second


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory, database_kind: str, new_database: NewDatabase) -> Iterator[Node]:
    """A node under a policy that lets a version go to Production at once, where version after version serves."""
    with node_in(tmp_path_factory.mktemp("kills"), POLICY, new_database(database_kind)) as made:
        yield made.start()


def asked(node: Node, ask: Callable[[Lockgate], Any]) -> Any:
    """What the SDK answers; the server may be starting again meanwhile."""

    def answer() -> Any:
        with Lockgate(node.url, "ana") as client:
            try:
                return (ask(client),)
            except Unreachable:
                return None

    return until(answer, "an answer of the server", 90)[0]


def versions(node: Node, model: str) -> list[Any]:
    try:
        return list(asked(node, lambda client: client.status(model)).versions)
    except NotFound:
        return []


def served(node: Node, model: str) -> Any:
    """The production endpoint, which must be there."""
    found = asked(node, lambda client: client.endpoints())
    return next(e for e in found if (e.model, e.environment) == (model, "production"))


def next_version(node: Node, model: str, seconds: float) -> Logged:
    """A version that takes that long to load, and answers its own number."""
    logged = models.log_sleeper(node.url, model, seconds, answer=len(versions(node, model)) + 1)
    assert logged.predictions[0] == logged.version
    return logged


def blue(node: Node, model: str = "killed") -> int:
    """The port where some version of the model serves in Production."""
    if not any(version.stage == "Production" for version in versions(node, model)):
        first = next_version(node, model, 0)
        assert asked(node, lambda client: client.promote(first.ref, "production", wait=120)).state == "done"
    return int(served(node, model).port)


def two_rows() -> dict[str, Any]:
    return models.body(models.flowers()[:2])


def middle(node: Node, logged: Logged, state: str, to: str = "production") -> str:
    """Ask for the promotion and wait until it is in that state."""
    opened = asked(node, lambda client: client.promote(logged.ref, to))
    until(lambda: asked(node, lambda client: client.promotion(opened.id)).state == state, state)
    return str(opened.id)


def ends_well(node: Node, promotion: str) -> None:
    """The promotion goes on to its good end."""
    ended = until(
        lambda: (found := asked(node, lambda client: client.promotion(promotion))).is_over and found,
        f"the end of {promotion}", 150,
    )  # fmt: skip
    assert (ended.state, ended.because) == ("done", "")


def pids_behind(node: Node, release: Any) -> tuple[int, ...]:
    """The processes of that release of an endpoint, as the agent saw them."""
    found = asked(node, lambda client: client.endpoints())
    return next((group.pids for each in found for group in each.groups if group.release == release.id), ())


def serving_and_parked(node: Node, model: str) -> set[int]:
    """The processes of the release that serves and of the one before it, once the agent has seen both as that."""
    groups = {group.state: group for group in served(node, model).groups}
    return {pid for group in groups.values() for pid in group.pids} if groups.keys() == {"serving", "parked"} else set()


def kill(pid: int) -> None:
    assert pid
    os.kill(pid, signal.SIGKILL)


def kill_and_await_another(node: Node, role: str) -> None:
    before = node.pid(role)
    kill(before)
    until(lambda: node.pid(role) not in (0, before), f"another {role}")


def no_request_suffered(load: Load) -> None:
    assert not load.failed()
    assert not [answer for answer in load.answers if answer.predictions != (answer.version, answer.version)]


def everything_agrees(node: Node, model: str, version: int) -> None:
    """Stage, alias, endpoint and what answers name that one version; the record holds."""
    until(lambda: served(node, model).state == "serving", "the endpoint to be whole again")
    found = versions(node, model)
    assert [each.version for each in found if each.stage == "Production"] == [version]
    assert [each.version for each in found if "production" in each.aliases] == [version]
    assert not [each for each in found if each.open_promotion]
    endpoint = served(node, model)
    assert (endpoint.version, endpoint.generation, endpoint.candidate) == (version, endpoint.acknowledged, None)
    answer = ask(endpoint.port, two_rows())
    assert (answer.status, answer.version, answer.predictions) == (200, version, (version, version))
    with models.tracking(node.url) as mlflow:
        assert int(mlflow.get_model_version_by_alias(model, "production").version) == version
        assert mlflow.get_model_version(model, str(version)).current_stage == "Production"
    assert asked(node, lambda client: client.verify_audit()).holds


@pytest.mark.both_databases(long=True)
@pytest.mark.parametrize("role", ["server", "controller", "agent"])
def test_a_process_killed_while_green_warms_up_comes_back_and_the_promotion_ends_well(home: Node, role: str) -> None:
    port, green = blue(home), next_version(home, "killed", LOADS_FOR)
    with Load(port, two_rows()) as load:
        promotion = middle(home, green, "warming")
        kill_and_await_another(home, role)
        ends_well(home, promotion)
        load.more(20)
    no_request_suffered(load)
    everything_agrees(home, "killed", green.version)


@pytest.mark.both_databases(long=True)
def test_a_green_worker_killed_while_it_warms_up_is_started_again(home: Node) -> None:
    port, green = blue(home), next_version(home, "killed", LOADS_FOR)
    with Load(port, two_rows()) as load:
        promotion = middle(home, green, "warming")
        (pid,) = until(lambda: pids_behind(home, served(home, "killed").candidate), "a green worker")
        kill(pid)
        ends_well(home, promotion)
        load.more(20)
    no_request_suffered(load)
    everything_agrees(home, "killed", green.version)


@pytest.mark.both_databases(long=True)
@pytest.mark.parametrize("role", ["server", "controller"])
def test_a_process_killed_while_a_version_is_validated_comes_back_and_the_promotion_ends_well(
    home: Node, role: str
) -> None:
    slow = next_version(home, "examined", 2.0)
    promotion = middle(home, slow, "validating", "staging")
    validation = asked(home, lambda client: client.promotion(promotion)).validation
    until(lambda: asked(home, lambda client: client.validation(validation)).state == "running", "the validation")
    kill_and_await_another(home, role)
    ends_well(home, promotion)
    assert asked(home, lambda client: client.validation(validation)).state == "passed"
    passed = asked(home, lambda client: client.audit("examined", "validation:passed"))
    assert [entry.detail["validation"] for entry in passed].count(validation) == 1
    assert versions(home, "examined")[0].stage == "Staging"


@pytest.mark.both_databases(long=True)
def test_a_serving_worker_that_is_killed_is_started_again_and_answers(home: Node) -> None:
    port, body = blue(home), two_rows()
    (pid,) = until(lambda: pids_behind(home, served(home, "killed").release), "the serving worker on record")
    kill(pid)
    until(lambda: pid not in home.workers(), "its end")
    until(lambda: ask(port, body).status == 200, "an answer of the next worker")
    everything_agrees(home, "killed", served(home, "killed").version)


def test_with_everything_but_the_workers_killed_endpoints_answer_and_the_next_up_goes_on(
    tmp_path: Path, database_kind: str, new_database: NewDatabase
) -> None:
    with node_in(tmp_path, POLICY, new_database(database_kind)) as node:
        node.start()
        port, green = blue(node), next_version(node, "killed", LOADS_FOR)
        serving = pids_behind(node, served(node, "killed").release)
        with Load(port, two_rows()) as load:
            promotion = middle(node, green, "warming")
            for role in ALL_BUT_WORKERS:
                kill(node.pid(role))
            assert node.process is not None
            node.process.wait(10)
            load.more(40)
            assert set(serving) <= set(node.workers())
            node.start()
            ends_well(node, promotion)
            load.more(20)
        no_request_suffered(load)
        everything_agrees(node, "killed", green.version)

        # and once more where nothing is under way and `up` alone is killed, which ends all the others but the workers
        there = until(lambda: serving_and_parked(node, "killed"), "blue parked beside green")
        kill(node.pid("up"))
        node.process.wait(10)
        until(lambda: set(node.pids()) == there, "the end of everything but the workers", 30)
        assert ask(port, two_rows()).version == green.version
        node.start()
        everything_agrees(node, "killed", green.version)
        assert set(node.workers()) == there == serving_and_parked(node, "killed")
        assert node.stop() == 0
        assert not node.pids()
