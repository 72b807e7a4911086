"""Many asking for the same thing at once: one version in Production, one promotion for a request that is repeated."""

from __future__ import annotations

import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest
from mlflow import MlflowClient
from mlflow.exceptions import MlflowException

from lockgate import Lockgate
from tests.databases.backends import NewDatabase
from tests.e2e.conftest import Node, node_in, until
from tests.e2e.models import Logged, log_constant, log_sleeper, register_again

pytestmark = [pytest.mark.timeout(300), pytest.mark.both_databases]

POLICY = """\
level: enforce
stages:
  Staging: {}
  Production: {}
endpoints:
  "race*": {serve: off}
  "*": {serve: auto}
"""

IMPATIENT = """\
import logging, sys
logging.basicConfig()
logging.getLogger("urllib3").setLevel(logging.DEBUG)
from mlflow import MlflowClient
version = MlflowClient().transition_model_version_stage(sys.argv[1], sys.argv[2], "Production", True)
print(version.current_stage)
"""


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory, database_kind: str, new_database: NewDatabase) -> Iterator[Node]:
    """A node that asks nothing of a version, serves no racer, and lets a client's transition wait for a second."""
    with node_in(tmp_path_factory.mktemp("races"), POLICY, new_database(database_kind)) as made:
        made.settings = {"LOCKGATE_TRANSITION_WAIT": "1"}
        yield made.start()


@pytest.fixture(scope="module")
def racers(home: Node) -> tuple[Logged, Logged]:
    first = log_constant(home.url, "race")
    return first, register_again(home.url, first, "race")


def at_once(*calls: Callable[[], object]) -> list[object]:
    """What the calls give, each started in a thread of its own at the same moment."""
    start = threading.Barrier(len(calls))

    def run(call: Callable[[], object]) -> object:
        start.wait(30)
        return call()

    with ThreadPoolExecutor(len(calls)) as pool:
        return [each.result(60) for each in [pool.submit(run, call) for call in calls]]


def promote_alone(home: Node, version: Logged) -> str:
    """The id of the promotion, asked for through a connection of its own."""
    with Lockgate(home.url, "ana") as sdk:
        return sdk.promote(version.ref).id


def test_two_promotions_at_the_same_moment_leave_one_version_in_production(
    home: Node, racers: tuple[Logged, Logged], rounds: Callable[[int, int], int]
) -> None:
    clients = [MlflowClient(home.url, home.url) for _ in racers]

    def promotes(client: MlflowClient, racer: Logged) -> Callable[[], object]:
        return lambda: client.transition_model_version_stage("race", str(racer.version), "Production", True)

    winners = []
    with Lockgate(home.url, "ana") as sdk:
        for _ in range(rounds(30, 300)):
            at_once(*(promotes(client, racer) for client, racer in zip(clients, racers, strict=True)))

            told = {version.version: version for version in sdk.status("race").versions}
            inside = [number for number, version in told.items() if version.stage == "Production"]
            assert len(inside) == 1
            assert [number for number, version in told.items() if version.primary] == inside
            assert told[inside[0]].aliases == ("production",)
            seen = {int(each.version): each.current_stage for each in clients[0].search_model_versions("name='race'")}
            assert seen == {number: version.stage for number, version in told.items()}
            assert clients[1].get_model_version_by_alias("race", "production").version == str(inside[0])
            winners.append(inside[0])
            clients[0].transition_model_version_stage("race", str(inside[0]), "Archived")
        assert sdk.verify_audit().holds
    print(f"{len(winners)} rounds, won by version 1 {winners.count(1)} times")


def test_the_same_promotion_asked_for_by_many_at_once_is_one(home: Node) -> None:
    slow = log_sleeper(home.url, "joined", 2)
    with Lockgate(home.url, "ana") as sdk:
        asked = at_once(*(lambda: promote_alone(home, slow) for _ in range(6)))
        assert [each.id for each in sdk.promotions("joined")] == list(set(asked))
        assert sdk.promote(slow.ref, wait=120).state == "done"


@pytest.mark.both_databases(long=True)
def test_a_client_that_repeats_its_request_makes_one_promotion(running: Node) -> None:
    slow = log_sleeper(running.url, "impatient", 5)
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", IMPATIENT, slow.model, str(slow.version)],
        env=running.environment(MLFLOW_HTTP_REQUEST_TIMEOUT="1", MLFLOW_HTTP_REQUEST_BACKOFF_FACTOR="1"),
        capture_output=True, text=True, timeout=240, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert done.stdout.split()[-1] == "Production"
    assert "Incremented Retry for (url='/api/2.0/mlflow/model-versions/transition-stage')" in done.stderr
    with Lockgate(running.url, "ana") as sdk:
        [promotion] = sdk.promotions(slow.model)
        asked = [entry for entry in sdk.audit(slow.model) if entry.action == "promotion:requested"]
    assert (promotion.state, promotion.stage, len(asked)) == ("done", "Production", 1)


def test_a_transition_that_takes_longer_than_a_client_waits_is_answered_with_the_way_to_follow_it(home: Node) -> None:
    slow = log_sleeper(home.url, "patience", 5)
    client = MlflowClient(home.url, home.url)
    with pytest.raises(MlflowException) as conflict:
        client.transition_model_version_stage(slow.model, str(slow.version), "Production")
    with Lockgate(home.url, "ana") as sdk:
        [promotion] = sdk.promotions(slow.model)
        assert conflict.value.error_code == "RESOURCE_CONFLICT"
        assert conflict.value.get_http_status_code() == 409
        said = conflict.value.message
        assert said.startswith(f"RESOURCE_CONFLICT: Promotion {promotion.id} of {slow.ref} to Production goes on (")
        command = said.partition("Follow it: lockgate ")[2].split()
        assert command == ["rollout", "status", slow.model]
        assert home.cli(*command).returncode in (0, 8)

        until(lambda: sdk.promotion(promotion.id).is_over, "the end of the promotion", 120)
        assert sdk.promotion(promotion.id).state == "done"
    assert client.get_model_version(slow.model, str(slow.version)).current_stage == "Production"
    assert home.cli(*command).returncode == 0
