"""The governed store itself: one transaction for MLflow's change and ours, and nothing that writes is left out."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from mlflow.entities.model_registry import ModelVersionTag, RegisteredModelTag
from mlflow.exceptions import MlflowException
from mlflow.store.model_registry.abstract_store import AbstractStore
from mlflow.store.model_registry.dbmodels.models import SqlModelVersion
from sqlalchemy import text
from sqlalchemy.exc import OperationalError

from lockgate import wiring
from lockgate.adapters.mlflow import schema
from lockgate.adapters.mlflow import store as mlflow_store
from lockgate.adapters.mlflow.governance import Governance
from lockgate.config import load
from lockgate.domain.errors import Conflict
from lockgate.domain.identity import ANONYMOUS, Who
from lockgate.domain.stages import Stage
from lockgate.domain.validation import ValidationState
from lockgate.domain.versions import VersionRef
from lockgate.server.problems import explain
from lockgate.usecases import registry, validate
from tests.databases.backends import Database, on_postgresql

READS = {
    "search_registered_models", "get_registered_model", "get_latest_versions", "get_model_version",
    "get_model_version_download_uri", "search_model_versions", "get_model_version_by_alias", "search_prompts",
    "get_prompt", "get_prompt_version", "get_prompt_version_by_alias", "search_prompt_versions", "get_webhook",
    "list_webhooks", "list_webhooks_by_event", "test_webhook", "supports_workspaces",
}  # fmt: skip
GOVERNED = {
    "create_registered_model", "update_registered_model", "rename_registered_model", "delete_registered_model",
    "set_registered_model_tag", "delete_registered_model_tag", "create_model_version", "update_model_version",
    "transition_model_version_stage", "delete_model_version", "set_model_version_tag", "delete_model_version_tag",
    "set_registered_model_alias", "delete_registered_model_alias", "create_webhook", "update_webhook",
    "delete_webhook",
}  # fmt: skip
# written in MLflow by means of the governed ones, or of the tracking store
COMPOSED = {
    "copy_model_version", "create_prompt", "delete_prompt", "set_prompt_tag", "delete_prompt_tag",
    "create_prompt_version", "delete_prompt_version", "set_prompt_alias", "delete_prompt_alias",
    "set_prompt_version_tag", "delete_prompt_version_tag", "link_prompts_to_trace", "link_prompt_version_to_model",
    "link_prompt_version_to_run",
}  # fmt: skip


@pytest.fixture
def node(database: Database, tmp_path: Path) -> Iterator[wiring.Node]:
    made = wiring.Node(load({"home": tmp_path, "policy": None, "database": database.uri}), "test")
    yield made
    made.store.engine.dispose()
    if "reader" in vars(made):
        made.reader.close()


@pytest.fixture
def callers() -> list[str]:
    """Who has called; the last one does."""
    return ["ann"]


@pytest.fixture
def store(node: wiring.Node, callers: list[str]) -> Iterator[mlflow_store.Governed]:
    governance = Governance(node.ports, node.store.work_on, lambda: Who(callers[-1]), explain, node.reader)
    made = mlflow_store.Governed(node.settings.database, governance=governance)
    yield made
    made._dispose_engine()
    made._engine_map.pop(node.settings.database, None)
    node.store.engine.dispose()


def _actions(node: wiring.Node) -> list[str]:
    with node.ports.store.reading() as work:
        actions = [str(entry.plain["action"]) for entry in work.record.read(limit=1000)]
    return [action for action in actions if not action.startswith("database:")]


def test_every_method_of_mlflows_store_is_known_here():
    public = {name for name in vars(AbstractStore) if not name.startswith("_")}
    assert public == READS | GOVERNED | COMPOSED


@pytest.mark.parametrize("kind", [mlflow_store.Governed, mlflow_store.GovernedInWorkspaces])
def test_every_mutator_is_the_governed_one(kind):
    for name in GOVERNED:
        assert getattr(kind, name) is vars(mlflow_store.Governed)[name], name
    for name in COMPOSED:
        assert getattr(kind, name) is vars(AbstractStore)[name], f"{name} is MLflow's composition of governed mutators"


def test_a_write_that_is_no_known_change_is_refused(store, node):
    store.create_registered_model("fraud")
    with (
        pytest.raises(MlflowException, match="does not know this way"),
        store.ManagedSessionMaker(read_only=False) as session,
    ):
        session.add(SqlModelVersion(workspace="default", name="fraud", version=1))
    assert store.search_model_versions("name = 'fraud'") == []


def test_when_mlflows_own_body_fails_nothing_is_on_the_record(store, node):
    with pytest.raises(MlflowException, match="not found"):
        store.set_registered_model_tag("nobody", RegisteredModelTag("a", "b"))
    with pytest.raises(MlflowException, match="not found"):
        store.create_model_version("nobody", "s3://x/y")
    assert _actions(node) == []


def test_when_our_entry_cannot_be_written_mlflows_change_is_undone(store, node, monkeypatch):
    store.create_registered_model("fraud")
    monkeypatch.setattr(registry, "version_registered", _fail)
    with pytest.raises(MlflowException, match="disk"):
        store.create_model_version("fraud", "s3://x/y")
    monkeypatch.undo()
    assert store.search_model_versions("name = 'fraud'") == []
    assert store.create_model_version("fraud", "s3://x/y").version == 1


class _Deadlock(Exception):
    """As PostgreSQL's driver tells it."""

    sqlstate = "40P01"


def test_a_change_that_the_database_undid_for_another_one_is_made_again_and_recorded_once(store, node, monkeypatch):
    store.create_registered_model("fraud")
    plain, undone = registry.version_registered, list[int]()

    def be_undone_twice(*args: Any) -> None:
        plain(*args)
        if len(undone) < 2:
            undone.append(1)
            raise OperationalError("INSERT", {}, _Deadlock())

    monkeypatch.setattr(registry, "version_registered", be_undone_twice)
    assert store.create_model_version("fraud", "s3://x/y").version == 1
    assert _actions(node) == ["version:registered", "model:registered"]


BEYOND = "9" * 40  # no database holds such a number


@pytest.mark.parametrize(
    "write",
    [
        lambda s: s.update_model_version("fraud", BEYOND, "x"),
        lambda s: s.delete_model_version("fraud", BEYOND),
        lambda s: s.set_model_version_tag("fraud", BEYOND, ModelVersionTag("a", "b")),
        lambda s: s.set_model_version_tag("fraud", BEYOND, ModelVersionTag("approval_request", "{}")),
        lambda s: s.delete_model_version_tag("fraud", BEYOND, "a"),
        lambda s: s.set_registered_model_alias("fraud", "mine", BEYOND),
        lambda s: s.set_registered_model_alias("fraud", "production", BEYOND),
        lambda s: s.transition_model_version_stage("fraud", BEYOND, "Staging", False),
        lambda s: s.ask_for_stage("fraud", BEYOND, "Staging", False),
        lambda s: s.ask_for_alias("fraud", "production", BEYOND),
    ],
)
def test_a_version_of_a_number_beyond_any_database_is_not_there(store, write):
    store.create_registered_model("fraud")
    with pytest.raises(MlflowException) as refused:
        write(store)
    assert refused.value.error_code == "RESOURCE_DOES_NOT_EXIST"


@on_postgresql
def test_what_the_database_refuses_is_told_without_its_statement(store):
    store.create_registered_model("fraud")
    with pytest.raises(MlflowException) as refused:
        store.set_registered_model_tag("fraud", RegisteredModelTag("team", "a secret\0"))
    assert refused.value.error_code == "BAD_REQUEST"
    assert "NUL" in refused.value.message
    assert not any(word in refused.value.message for word in ("SQL:", "INSERT", "secret", "parameters"))


TOO_LONG = "x" * 6_000


@on_postgresql
@pytest.mark.parametrize(
    "write",
    [
        lambda s, name: s.update_registered_model(name, TOO_LONG),
        lambda s, name: s.set_registered_model_tag(name, RegisteredModelTag("team", TOO_LONG)),
        lambda s, name: s.create_model_version(name, "s3://bucket/x", description=TOO_LONG),
        lambda s, name: s.update_model_version(name, 1, TOO_LONG),
        lambda s, name: s.update_model_version("fraud", 2, TOO_LONG),
    ],
)
def test_what_is_not_there_is_told_before_what_the_database_refuses(store, write):
    store.create_registered_model("fraud")
    with pytest.raises(MlflowException) as refused:
        write(store, "nobody")
    assert refused.value.error_code == "RESOURCE_DOES_NOT_EXIST"


def test_a_version_is_of_who_registered_it_and_a_copy_keeps_that(store, callers):
    store.create_registered_model("fraud")
    store.create_registered_model("theft")
    assert store.create_model_version("fraud", "s3://x/y").user_id == "ann"
    callers.append("ben")
    assert store.create_model_version("theft", "models:/fraud/1").user_id == "ann"
    callers.append(ANONYMOUS)
    assert store.create_model_version("fraud", "s3://x/y").user_id is None
    assert store.get_model_version("fraud", 1).user_id == "ann"
    store.delete_model_version("fraud", 1)
    assert store._get_sql_model_version_including_deleted("fraud", 1).user_id is None


def test_a_model_takes_the_validations_that_wait_for_it_along(store, node):
    store.create_registered_model("fraud")
    store.create_model_version("fraud", "s3://x/y")
    asked = validate.ask(node.ports, VersionRef("fraud", 1), Who("ann"))
    store.delete_registered_model("fraud")
    store.create_registered_model("fraud")
    store.create_model_version("fraud", "s3://x/y")
    closed = validate.look(node.ports, asked.id)
    assert (closed.state, closed.because) == (ValidationState.ERROR, "its model was deleted")
    assert node.ports.queue.claim_validation("here", timedelta(seconds=9)) is None


def test_a_model_that_gets_its_own_name_again_keeps_its_history(store, node):
    store.create_registered_model("fraud")
    store.create_model_version("fraud", "s3://x/y")
    store.transition_model_version_stage("fraud", 1, "Staging", False)
    assert store.rename_registered_model("fraud", "fraud").latest_versions[0].current_stage == "Staging"
    with node.ports.store.reading() as work:
        row = work.versions.get(VersionRef("fraud", 1))
        assert (row.stage, row.provenance) == (Stage.STAGING, "registered")


def test_a_rename_carries_everything_along(store):
    store.create_registered_model("fraud", [RegisteredModelTag("a", "b")])
    store.create_model_version("fraud", "s3://x/y", tags=[ModelVersionTag("c", "d")])
    store.set_registered_model_alias("fraud", "mine", 1)
    store.create_registered_model("theft")
    with pytest.raises(MlflowException, match=r"^Registered Model \(name=theft\) already exists") as refused:
        store.rename_registered_model("fraud", "theft")
    assert refused.value.error_code == "RESOURCE_ALREADY_EXISTS"
    renamed = store.rename_registered_model("fraud", "deceit")
    assert (renamed.tags, renamed.aliases, renamed.latest_versions[0].tags) == ({"a": "b"}, {"mine": 1}, {"c": "d"})
    found = store.get_model_version_by_alias("deceit", "mine")
    assert (found.name, found.tags, found.last_updated_timestamp) == (
        "deceit", {"c": "d"}, renamed.last_updated_timestamp,
    )  # fmt: skip
    with pytest.raises(MlflowException, match="not found"):
        store.get_registered_model("fraud")


def test_each_plain_change_has_one_entry(store, node):
    store.create_registered_model("fraud")
    store.create_model_version("fraud", "s3://x/y")
    store.update_registered_model("fraud", "cards")
    store.update_model_version("fraud", 1, "first")
    store.set_registered_model_tag("fraud", RegisteredModelTag("a", "b"))
    store.delete_registered_model_tag("fraud", "a")
    store.set_model_version_tag("fraud", "1", ModelVersionTag("a", "b" * 2000))
    store.delete_model_version_tag("fraud", "1", "a")
    store.set_registered_model_alias("fraud", "mine", "1")
    store.delete_registered_model_alias("fraud", "mine")
    store.delete_model_version("fraud", "1")
    store.delete_registered_model("fraud")
    assert _actions(node)[::-1] == [
        "model:registered", "version:registered", "model:described", "version:described", "model:tagged",
        "model:untagged", "version:tagged", "version:untagged", "alias:set", "alias:deleted", "version:deleted",
        "model:deleted",
    ]  # fmt: skip


def test_a_transition_by_any_other_way_is_a_promotion_too(store, node):
    store.create_registered_model("fraud")
    store.create_model_version("fraud", "s3://x/y")
    moved = store.transition_model_version_stage("fraud", "1", "staging", False)
    assert (moved.current_stage, moved.aliases) == ("Staging", ["staging"])
    assert "version:transitioned" in _actions(node)


def test_the_server_and_the_client_code_inside_it_use_the_same_store(node):
    from mlflow.server import handlers
    from mlflow.tracking._model_registry import utils as client_side

    from lockgate.adapters.mlflow.install import install

    before = dict(handlers._model_registry_store_registry._registry), dict(client_side._get_store_registry()._registry)
    known = handlers._model_registry_store_registry, client_side._get_store_registry()
    try:
        install(Governance(node.ports, node.store.work_on, lambda: Who("ann"), explain, node.reader))
        bare, with_driver = node.settings.database, node.settings.database.replace("sqlite:", "sqlite+pysqlite:")
        for uri in (bare, with_driver.replace("postgresql:", "postgresql+psycopg:")):
            stores = [known_one.get_store_builder(uri)(uri) for known_one in known]
            assert stores[0] is stores[1]
            assert isinstance(stores[0], mlflow_store.Governed)
            stores[0]._dispose_engine()
        for known_one in known:
            with pytest.raises(RuntimeError, match="governs"):
                known_one.get_store_builder("mysql://x/y")("mysql://x/y")
    finally:
        for known_one, builders in zip(known, before, strict=True):
            known_one._registry = builders
            known_one._get_store_with_resolved_uri.cache_clear()
        node.store.engine.dispose()


def test_tables_at_another_revision_are_refused_and_left_alone(node):
    with node.store.changing() as work:
        work.connection.execute(text("UPDATE alembic_version SET version_num = 'cfd24bdc0731'"))
    node.store.engine.dispose()
    with pytest.raises(Conflict, match="cfd24bdc0731"):
        schema.prepare(node.settings.database, lambda _said: None)


def test_tables_of_mlflow_are_made_beside_ours_once(node):
    said: list[str] = []
    schema.prepare(node.settings.database, said.append)
    assert said == []
    assert list(node.settings.home.glob("*.db.*")) == []


def test_those_who_make_tables_take_turns_and_the_last_leaves_no_file(tmp_path):
    lock, inside, most = tmp_path / "new.db.prepare", list[int](), list[int]()

    def turn(number: int) -> None:
        with schema.one_at_a_time(lock):
            inside.append(number)
            most.append(len(inside))
            inside.remove(number)

    with ThreadPoolExecutor(16) as threads:
        list(threads.map(turn, range(200)))
    assert most == [1] * 200
    assert list(tmp_path.iterdir()) == []


def _fail(*_args: object, **_kwargs: object) -> None:
    raise Conflict("The disk is full.")
