"""Endpoints from their first port to their end, and what nobody may take away from under them."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from mlflow import MlflowClient
from mlflow.exceptions import MlflowException

from lockgate import Lockgate
from lockgate.wire.shapes import Endpoint
from tests.databases.backends import NewDatabase
from tests.e2e.conftest import Node, node_in, until
from tests.e2e.load import ask
from tests.e2e.models import Logged, body, log_iris, register_again

pytestmark = [pytest.mark.timeout(300), pytest.mark.both_databases(long=True)]

# nothing is asked of a version, so that no validation takes the processor from what is tried here
POLICY = "level: enforce\nstages: {Staging: {}, Production: {}}\n"
ROSES, LILIES = "roses", "wild lilies"


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory, database_kind: str, new_database: NewDatabase) -> Iterator[Node]:
    with node_in(tmp_path_factory.mktemp("endpoints"), POLICY, new_database(database_kind)) as made:
        yield made.start()


@pytest.fixture(scope="module")
def client(home: Node) -> MlflowClient:
    return MlflowClient(home.url, home.url)


@pytest.fixture(scope="module")
def roses(home: Node, client: MlflowClient) -> Logged:
    """In Production, the first model of its environment."""
    logged = log_iris(home.url, ROSES)
    client.transition_model_version_stage(ROSES, "1", "Production")
    return logged


@pytest.fixture(scope="module")
def lilies(home: Node, client: MlflowClient, roses: Logged) -> Logged:
    """In Production, the second model of its environment."""
    logged = register_again(home.url, roses, LILIES)
    client.transition_model_version_stage(LILIES, "1", "Production")
    return logged


def endpoint(home: Node, model: str, environment: str = "production") -> Endpoint:
    with Lockgate(home.url) as sdk:
        return next(each for each in sdk.endpoints() if (each.model, each.environment) == (model, environment))


def refused(call: Callable[..., Any], *args: Any) -> str:
    """The conflict as MLflow's client shows it."""
    with pytest.raises(MlflowException) as refusal:
        call(*args)
    assert refusal.value.error_code == "RESOURCE_CONFLICT"
    return refusal.value.message


def test_the_first_model_has_the_environments_port_and_the_second_the_next_free_one(
    home: Node, roses: Logged, lilies: Logged
) -> None:
    first, second = endpoint(home, ROSES), endpoint(home, LILIES)
    assert first.port == home.ports[2]
    assert second.port is not None
    assert second.port > home.ports[2]
    shown = home.cli("endpoints").stdout
    assert f"http://127.0.0.1:{first.port}" in shown
    assert f"http://127.0.0.1:{second.port}" in shown


def test_each_endpoint_answers_for_its_own_model_by_name_and_says_whose_it_is(
    home: Node, roses: Logged, lilies: Logged
) -> None:
    port = endpoint(home, LILIES).port or 0
    assert list(ask(port, body()).predictions) == lilies.predictions
    assert list(ask(port, body(), path="/models/wild%20lilies/invocations").predictions) == lilies.predictions
    # another model of the environment answers at any of its ports; one that nobody serves there does not
    assert list(ask(port, body(), path="/models/roses/invocations").predictions) == roses.predictions
    nobody = ask(port, body(), path="/models/tulips/invocations")
    assert nobody.status == 404
    assert "'tulips' is not served" in nobody.error


def test_a_version_that_is_archived_goes_on_answering_until_its_endpoint_is_retired(
    home: Node, client: MlflowClient, roses: Logged
) -> None:
    model = "tulips"
    logged = register_again(home.url, roses, model)
    client.transition_model_version_stage(model, "1", "Staging")
    serving = endpoint(home, model, "staging")
    retire = ("endpoints", "retire", model, "--environment", "staging")

    early = home.cli(*retire)
    assert early.returncode == 1
    assert f"{logged.ref} is in Staging" in early.stderr
    archive = early.stderr.partition("vacant: lockgate ")[2].split()
    assert archive == ["promote", logged.ref, "--to", "archived"]
    done = home.cli(*archive)
    assert (done.returncode, done.stderr) == (0, "")
    vacant = endpoint(home, model, "staging")
    assert (vacant.state, vacant.version, vacant.port) == ("vacant", 1, serving.port)
    assert "no version is in Staging" in vacant.because
    assert list(ask(vacant.port or 0, body()).predictions) == logged.predictions
    assert f"lockgate {' '.join(retire)}" in home.cli("endpoints").stdout

    pids = {pid for group in vacant.groups for pid in group.pids}
    assert pids
    ended = home.cli(*retire)
    assert (ended.returncode, ended.stderr) == (0, "")
    until(lambda: not pids & home.pids().keys(), "the end of its workers")
    assert ask(vacant.port or 0, body()).status == 0
    assert home.answers("/ping", endpoint(home, ROSES).port)

    # nothing holds it any more
    client.delete_model_version(model, "1")
    client.delete_registered_model(model)
    assert home.cli("audit", "verify").returncode == 0


def test_nothing_is_taken_away_from_under_an_endpoint_and_each_refusal_says_what_to_do(
    home: Node, client: MlflowClient, roses: Logged
) -> None:
    said = [
        refused(client.delete_model_version, ROSES, "1"),
        refused(client.delete_registered_model, ROSES),
        refused(client.rename_registered_model, ROSES, "thorns"),
    ]
    for message in said:
        [command] = re.findall(r"lockgate (endpoints retire \S+ --environment \S+)$", message)
        # the command exists; it is refused in turn, as the version is still in its stage
        done = home.cli(*command.split())
        assert done.returncode == 1
        assert f"{roses.ref} is in Production" in done.stderr
    said = [refused(client.delete_registered_model_alias, ROSES, "production")]
    assert said[0].endswith(f"lockgate promote {roses.ref} --to archived")

    assert client.get_model_version_by_alias(ROSES, "production").version == "1"
    assert list(ask(endpoint(home, ROSES).port or 0, body()).predictions) == roses.predictions


def test_setting_the_protected_alias_promotes_and_serves(home: Node, client: MlflowClient, roses: Logged) -> None:
    model = "asters"
    logged = register_again(home.url, roses, model)
    client.set_registered_model_alias(model, "staging", "1")
    assert client.get_model_version(model, "1").current_stage == "Staging"
    serving = endpoint(home, model, "staging")
    assert (serving.state, serving.version) == ("serving", 1)
    assert list(ask(serving.port or 0, body()).predictions) == logged.predictions
    with Lockgate(home.url) as sdk:
        assert [(each.kind, each.state) for each in sdk.promotions(model)] == [("alias", "done")]


def test_after_a_restart_every_endpoint_answers_where_it_did(home: Node, roses: Logged, lilies: Logged) -> None:
    ports = {model: endpoint(home, model).port for model in (ROSES, LILIES)}
    assert home.stop() == 0
    assert not home.pids()
    home.start()
    until(lambda: all(home.answers("/ping", port) for port in ports.values()), f"an answer on {ports}")
    assert {model: endpoint(home, model).port for model in ports} == ports
    assert list(ask(ports[LILIES] or 0, body()).predictions) == lilies.predictions
