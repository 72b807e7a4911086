"""How MLflow's routers are opened."""

from __future__ import annotations

import os
import threading

import pytest

from lockgate.cli import outcome
from lockgate.cli.main import cli
from lockgate.config import GATEWAYS_PASSPHRASE, Router, load, require_passphrase
from lockgate.domain.errors import BadInput
from lockgate.server import jobs
from lockgate.server.registry.environment import environment


@pytest.fixture(autouse=True)
def _nothing_told(monkeypatch):
    monkeypatch.delenv("LOCKGATE_MLFLOW_ROUTERS", raising=False)


def test_none_is_open_unless_it_is_named(monkeypatch):
    assert load().mlflow_routers == frozenset()
    monkeypatch.setenv("LOCKGATE_MLFLOW_ROUTERS", "")
    assert load().mlflow_routers == frozenset()


@pytest.mark.parametrize("written", ["gateway,mcp", " MCP , gateway,", "mcp,gateway,mcp"])
def test_several_are_named_with_commas_between(written, monkeypatch):
    assert load({"mlflow_routers": written}).mlflow_routers == {Router.GATEWAY, Router.MCP}
    monkeypatch.setenv("LOCKGATE_MLFLOW_ROUTERS", written)
    assert load().mlflow_routers == {Router.GATEWAY, Router.MCP}


def test_a_name_that_is_none_of_them_is_told_with_those_there_are():
    with pytest.raises(BadInput, match=r"^--mlflow-routers .* 'all, jbos' is no router .* assistant, gateway, .*jobs"):
        load({"mlflow_routers": "all,gateway,jbos"})


@pytest.mark.parametrize("command", ["up", "server"])
def test_the_gateway_is_not_opened_under_a_passphrase_that_everybody_knows(command, tmp_path, monkeypatch, capsys):
    monkeypatch.setenv(GATEWAYS_PASSPHRASE, "")
    assert outcome.run(cli, [command, "--home", str(tmp_path / "home"), "--mlflow-routers", "gateway,mcp"]) == 2
    assert f"{GATEWAYS_PASSPHRASE} is not set" in capsys.readouterr().err


def test_the_gateway_is_opened_with_a_passphrase_and_the_others_without():
    without_gateway, with_gateway = load({"mlflow_routers": "mcp,jobs"}), load({"mlflow_routers": "gateway"})
    require_passphrase(without_gateway, {})
    require_passphrase(with_gateway, {GATEWAYS_PASSPHRASE: "a long secret text"})


def test_mlflow_is_told_to_run_jobs_only_when_they_are_open():
    told = [
        environment("sqlite://", "a", hosts=(), workspaces=False, routers=routers)["MLFLOW_SERVER_ENABLE_JOB_EXECUTION"]
        for routers in ((), (Router.GATEWAY,), (Router.JOBS,))
    ]
    assert told == ["false", "false", "true"]


def test_nothing_is_started_for_jobs_that_are_off():
    before = threading.active_count()
    with jobs.runner(load({"mlflow_routers": "gateway"})):
        assert (threading.active_count(), jobs.QUEUES in os.environ) == (before, False)
