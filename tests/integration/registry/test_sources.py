"""A version's source is judged as stock MLflow judges it, though less of its run is read."""

from __future__ import annotations

from mlflow.exceptions import MlflowException
from mlflow.server import handlers
from mlflow.store.tracking.sqlalchemy_store import SqlAlchemyStore

from lockgate.server.registry import sources
from tests.databases.backends import SqliteBackend, on_sqlite
from tests.databases.templates import Template


@on_sqlite
def test_every_source_is_judged_as_by_mlflow(backend: SqliteBackend, monkeypatch):
    tracking = SqlAlchemyStore(backend.fresh(Template.MLFLOW).uri, "mlflow-artifacts:/")
    run = tracking.create_run(tracking.create_experiment("trials"), "somebody", 0, [], "one").info
    places = [f"{run.artifact_uri}{rest}" for rest in ("", "/model", "/../other")]
    asked = [
        (source, run_id)
        for source in (
            *places,
            "mlflow-artifacts:/elsewhere/model",
            "s3://elsewhere/model",
            f"runs:/{run.run_id}/model",
        )
        for run_id in (run.run_id, "", "0" * 32)
    ]
    monkeypatch.setattr(handlers, "_get_tracking_store", lambda: tracking)

    stock = [told(*each) for each in asked]
    monkeypatch.setattr(handlers, "_get_source_run", sources._source_run)

    assert [told(*each) for each in asked] == stock
    assert stock[:3] == ["registered", stock[1], stock[1]], (
        "a source in its run's folder, then without and with another"
    )


def told(source: str, run_id: str) -> str:
    try:
        handlers._validate_source_run(source, run_id)
    except MlflowException as refused:
        return f"{refused.error_code}: {refused.message}"
    return "registered"
