"""A version's source is checked against its run by MLflow's own rules, of a run of which only its place is read."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from mlflow.exceptions import MlflowException
from mlflow.protos.databricks_pb2 import RESOURCE_DOES_NOT_EXIST, ErrorCode
from mlflow.server import handlers


@dataclass(frozen=True, slots=True)
class _Info:
    artifact_uri: str


@dataclass(frozen=True, slots=True)
class _Run:
    info: _Info


def read_less() -> None:
    """Let MLflow's check read one row. It read the whole run (metrics, tags, inputs): half of registering a version."""
    handlers._get_source_run = _source_run


def _source_run(run_id: str, source: str) -> Any:
    store = handlers._get_tracking_store()
    try:
        with store.ManagedSessionMaker() as session:
            return _Run(_Info(store._get_run(session, run_id).artifact_uri))
    except MlflowException as error:
        if error.error_code == ErrorCode.Name(RESOURCE_DOES_NOT_EXIST):
            handlers._raise_invalid_model_version_source(source, "run_id")
        raise
