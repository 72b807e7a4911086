"""What the catalog promises about MLflow's own rows."""

from __future__ import annotations

import math

import pytest

from lockgate.adapters.sql.catalog import moment
from lockgate.adapters.sql.store import SqlStore
from lockgate.domain.errors import NotFound
from lockgate.domain.evidence import Metric
from lockgate.domain.stages import Stage
from lockgate.domain.versions import VersionRef
from tests.contracts.databases import Mlflow, milliseconds
from tests.contracts.makers import FRAUD_1, FRAUD_2, T0, later

LOGGED = "m-" + "a1" * 16


def test_a_version_is_told_with_its_tags_aliases_and_location(store: SqlStore, mlflow: Mlflow) -> None:
    mlflow.model("fraud")
    mlflow.version(
        "fraud", 1, location="s3://b/1", run_id="r1", created=T0.replace(microsecond=0), tags={"team": "risk"}
    )
    mlflow.version("fraud", 2, source="/files/2", tags={"team": "other"})
    mlflow.alias("fraud", "champion", 1)
    mlflow.alias("fraud", "best", 1)
    with store.reading() as work:
        found = work.catalog.version(FRAUD_1)
        assert found is not None
        assert (found.ref, found.stage, found.location, found.run_id) == (FRAUD_1, "None", "s3://b/1", "r1")
        assert (found.tags, found.aliases) == ({"team": "risk"}, ("best", "champion"))
        assert (found.created_at, found.description) == (T0.replace(microsecond=0), "a text")
        assert [x.ref.version for x in work.catalog.versions("fraud")] == [2, 1]
        assert [x.location for x in work.catalog.versions("fraud")] == ["/files/2", "s3://b/1"]
        assert [dict(x.tags) for x in work.catalog.versions("fraud")] == [{"team": "other"}, {"team": "risk"}]


def test_a_deleted_version_is_not_there(store: SqlStore, mlflow: Mlflow) -> None:
    mlflow.model("fraud")
    mlflow.version("fraud", 1, stage="Deleted_Internal", run_id="REDACTED-RUN-ID")
    with store.reading() as work:
        assert work.catalog.version(FRAUD_1) is None
        assert work.catalog.versions("fraud") == []
        assert work.catalog.metrics(FRAUD_1) == {}
        assert work.catalog.version(VersionRef("nothing", 1)) is None


def test_prompts_are_no_models(store: SqlStore, mlflow: Mlflow) -> None:
    mlflow.model("zebra")
    mlflow.model("fraud", tags={"mlflow.prompt.is_prompt": "false"})
    mlflow.model("greeting", tags={"mlflow.prompt.is_prompt": "true"})
    with store.reading() as work:
        assert work.catalog.models() == ["fraud", "zebra"]
        assert work.catalog.is_prompt("greeting")
        assert not work.catalog.is_prompt("fraud")
        assert work.catalog.has_model("greeting")
        assert not work.catalog.has_model("nothing")


def test_the_logged_models_metric_comes_before_the_runs_each_of_the_time_its_client_said(
    store: SqlStore, mlflow: Mlflow
) -> None:
    mlflow.model("fraud")
    mlflow.run("r1", {"accuracy": 0.5, "loss": 0.1})
    mlflow.logged_model(LOGGED)
    mlflow.logged_model_metric(LOGGED, "r1", "accuracy", 0.9, timestamp=7)
    mlflow.version("fraud", 1, run_id="r1", source=f"models:/{LOGGED}")
    with store.reading() as work:
        assert work.catalog.metrics(FRAUD_1) == {
            "accuracy": Metric(0.9, "logged model", at=moment(7)),
            "loss": Metric(0.1, "run", at=moment(1)),
        }


def test_the_last_value_is_the_one_of_the_highest_step_and_then_time(store: SqlStore, mlflow: Mlflow) -> None:
    mlflow.model("fraud")
    mlflow.run("r1", {})
    mlflow.logged_model(LOGGED)
    mlflow.logged_model_metric(LOGGED, "r1", "accuracy", 0.1, step=2, timestamp=5)
    mlflow.logged_model_metric(LOGGED, "r1", "accuracy", 0.2, step=2, timestamp=6)
    mlflow.logged_model_metric(LOGGED, "r1", "accuracy", 0.3, step=1, timestamp=9)
    mlflow.version("fraud", 1, source=f"file:///mlruns/1/models/{LOGGED}/artifacts")
    with store.reading() as work:
        assert work.catalog.metrics(FRAUD_1)["accuracy"].value == 0.2


def test_nan_is_told_as_nan_and_zero_as_zero(store: SqlStore, mlflow: Mlflow) -> None:
    mlflow.model("fraud")
    mlflow.run("r1", {"of_run": None, "zero_of_run": 0.0})
    mlflow.logged_model(LOGGED)
    mlflow.logged_model_metric(LOGGED, "r1", "of_model", None)
    mlflow.logged_model_metric(LOGGED, "r1", "zero_of_model", 0.0)
    mlflow.version("fraud", 1, run_id="r1", source=f"models:/{LOGGED}")
    with store.reading() as work:
        found = {name: metric.value for name, metric in work.catalog.metrics(FRAUD_1).items()}
    assert math.isnan(found["of_run"])
    assert math.isnan(found["of_model"])
    assert (found["zero_of_run"], found["zero_of_model"]) == (0.0, 0.0)


def test_a_stage_is_written_with_both_last_updated_columns(store: SqlStore, mlflow: Mlflow, fraud: str) -> None:
    with store.writing(fraud) as work:
        work.catalog.set_stage(FRAUD_1, Stage.STAGING, later(hours=1))
    with store.changing() as work:
        sql = "SELECT last_updated_time FROM registered_models UNION ALL SELECT last_updated_time FROM model_versions"
        times = list(work.connection.exec_driver_sql(sql + " WHERE version = 1").scalars())
    assert times == [milliseconds(later(hours=1))] * 2
    assert [mlflow.stage_of("fraud", version) for version in (1, 2)] == ["Staging", "None"]
    with pytest.raises(NotFound, match="fraud@9"), store.writing(fraud) as work:
        work.catalog.set_stage(VersionRef("fraud", 9), Stage.STAGING, T0)


def test_aliases_and_tags_are_set_moved_and_removed(store: SqlStore, fraud: str) -> None:
    with store.writing(fraud) as work:
        work.catalog.set_aliases(fraud, {"production": 1})
        work.catalog.set_aliases(fraud, {"production": 2})
        work.catalog.set_aliases(fraud, {"staging": 1})
        work.catalog.set_aliases(fraud, {"staging": None})
        work.catalog.set_tag(FRAUD_1, "team", "a")
        work.catalog.set_tag(FRAUD_1, "team", "b")
        work.catalog.set_tag(FRAUD_2, "team", "c")
        work.catalog.set_tag(FRAUD_2, "team", None)
    with store.reading() as work:
        found = {x.ref: (x.aliases, dict(x.tags)) for x in work.catalog.versions(fraud)}
    assert found == {FRAUD_1: ((), {"team": "b"}), FRAUD_2: (("production",), {})}
