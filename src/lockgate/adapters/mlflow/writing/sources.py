"""Where a version that is being registered comes from, found out before the transaction: it may ask other stores."""

from __future__ import annotations

import urllib.parse
from typing import Any, NamedTuple, Protocol

from mlflow.entities.model_registry import ModelVersion
from mlflow.exceptions import MlflowException
from mlflow.store.artifact.utils.models import _parse_model_uri
from mlflow.tracking.client import MlflowClient


class Origin(NamedTuple):
    """Where the artifacts lie, and the run that made them if that is known."""

    location: str
    run_id: str | None


class Store(Protocol):
    """What is asked of a registry here."""

    def get_model_version(self, name: str, version: Any) -> ModelVersion: ...
    def get_model_version_download_uri(self, name: str, version: Any) -> str | None: ...


def origin_of(store: Store, source: str, run_id: str | None, model_id: str | None) -> Origin:
    """Follow a `models:/` source to the artifacts it names, as MLflow's store does. Raises MLflow's error."""
    location: Any = source
    if urllib.parse.urlparse(source).scheme == "models":
        parsed = _parse_model_uri(source)
        try:
            if parsed.model_id is not None:
                model = MlflowClient().get_logged_model(parsed.model_id)
                location = model.artifact_location
                run_id = run_id or model.source_run_id
            else:
                location = store.get_model_version_download_uri(parsed.name, parsed.version)
        except Exception as error:
            raise MlflowException(
                f"Unable to fetch model from model URI source artifact location '{source}'.Error: {error}"
            ) from error
    if not run_id and model_id:
        run_id = MlflowClient().get_logged_model(model_id).source_run_id
    return Origin(location, run_id)


def copied_from(store: Store, source: str) -> ModelVersion | None:
    """The version that one with this source is a copy of; None where it is none, or MLflow will refuse the source."""
    if not str(source).startswith("models:/"):
        return None
    try:
        parsed = _parse_model_uri(source)
        return None if parsed.model_id else store.get_model_version(parsed.name, parsed.version)
    except MlflowException:
        return None
