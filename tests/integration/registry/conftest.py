"""One server with binding rules and no endpoints, and MLflow's own client as several people."""

from __future__ import annotations

import itertools
import os
from collections.abc import Callable, Iterator

import pytest

from tests.databases.backends import NewDatabase
from tests.integration.registry.servers import Running, server

POLICY = """
level: enforce
stages:
  Staging:
    alias: staging
    requires: {required_tags: [team]}
  Production:
    alias: production
    requires: {previous_stage: Staging, approval_required: true}
endpoints: {"*": {serve: off}}
"""
_numbers = itertools.count(1)


@pytest.fixture(scope="session")
def running(
    tmp_path_factory: pytest.TempPathFactory, database_kind: str, new_database: NewDatabase
) -> Iterator[Running]:
    database = new_database(database_kind)
    more = {"LOCKGATE_DATABASE": database} if database else {}
    with server(tmp_path_factory.mktemp("governed"), policy=POLICY, more=more) as ready:
        yield ready


@pytest.fixture
def people(running: Running, monkeypatch: pytest.MonkeyPatch) -> Callable[[str], Person]:
    """`people("ann")` is MLflow's client under that name."""
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "0")
    monkeypatch.setenv("MLFLOW_TRACKING_PASSWORD", "unused")

    def person(name: str) -> Person:
        return Person(running.url, name)

    return person


class Person:
    """MLflow's client; the name is set for the length of each call, since MLflow reads it from the environment."""

    def __init__(self, url: str, name: str) -> None:
        from mlflow import MlflowClient

        self._client = MlflowClient(url, url)
        self._name = name

    def __getattr__(self, method: str) -> Callable[..., object]:
        def call(*args: object, **kwargs: object) -> object:
            os.environ["MLFLOW_TRACKING_USERNAME"] = self._name
            try:
                return getattr(self._client, method)(*args, **kwargs)
            finally:
                del os.environ["MLFLOW_TRACKING_USERNAME"]

        return call


@pytest.fixture
def model(people: Callable[[str], Person]) -> str:
    """A fresh model with two versions whose artifacts can be read."""
    ann, name = people("ann"), f"fraud-{next(_numbers)}"
    ann.create_registered_model(name)
    for _ in range(2):
        add_version(ann, name)
    return name


def add_version(who, name, **kwargs):
    """One more version, with artifacts of its own."""
    run = who.create_run("0")
    who.log_text(run.info.run_id, "flavors: {}", "model/MLmodel")
    return who.create_model_version(name, f"{run.info.artifact_uri}/model", run.info.run_id, **kwargs)
