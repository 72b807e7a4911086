"""The columns of MLflow 3.17's tables that we read or project onto: MLflow creates and migrates them, we never do."""

from __future__ import annotations

from sqlalchemy import BigInteger, Boolean, Column, Float, Integer, MetaData, String, Table, Text

# a MetaData of their own, so that no `create_all` and no migration of ours ever touches them
metadata = MetaData()

DELETED = "Deleted_Internal"
IS_PROMPT = "mlflow.prompt.is_prompt"


def _workspace() -> Column[str]:
    return Column("workspace", String(63), primary_key=True)


def _name() -> Column[str]:
    return Column("name", String(256), primary_key=True)


def _version() -> Column[int]:
    return Column("version", Integer, primary_key=True, autoincrement=False)


registered_models = Table(
    "registered_models",
    metadata,
    _workspace(),
    _name(),
    Column("creation_time", BigInteger),
    Column("last_updated_time", BigInteger),
    Column("description", String(5000)),
)

model_versions = Table(
    "model_versions",
    metadata,
    _workspace(),
    _name(),
    _version(),
    Column("creation_time", BigInteger),
    Column("last_updated_time", BigInteger),
    Column("description", String(5000)),
    Column("user_id", String(256)),
    Column("current_stage", String(20)),
    Column("source", String(500)),
    Column("storage_location", String(500)),
    Column("run_id", String(32)),
    Column("run_link", String(500)),
    Column("status", String(20)),
    Column("status_message", String(500)),
)

registered_model_tags = Table(
    "registered_model_tags",
    metadata,
    _workspace(),
    _name(),
    Column("key", String(250), primary_key=True),
    Column("value", String(5000)),
)

model_version_tags = Table(
    "model_version_tags",
    metadata,
    _workspace(),
    _name(),
    _version(),
    Column("key", String(250), primary_key=True),
    Column("value", Text),
)

registered_model_aliases = Table(
    "registered_model_aliases",
    metadata,
    _workspace(),
    _name(),
    Column("alias", String(256), primary_key=True),
    Column("version", Integer, nullable=False),
)

latest_metrics = Table(
    "latest_metrics",
    metadata,
    Column("key", String(250), primary_key=True),
    Column("run_uuid", String(32), primary_key=True),
    Column("value", Float(precision=53), nullable=False),
    Column("timestamp", BigInteger),
    Column("is_nan", Boolean, nullable=False),
)

metrics = Table(
    "metrics",
    metadata,
    Column("key", String(250), primary_key=True),
    Column("run_uuid", String(32), primary_key=True),
    Column("timestamp", BigInteger, primary_key=True),
    Column("step", BigInteger, primary_key=True),
    Column("is_nan", Boolean, primary_key=True),
)

logged_model_metrics = Table(
    "logged_model_metrics",
    metadata,
    Column("model_id", String(36), primary_key=True),
    Column("metric_name", String(500), primary_key=True),
    Column("metric_timestamp_ms", BigInteger, primary_key=True),
    Column("metric_step", BigInteger, primary_key=True),
    Column("run_id", String(32), primary_key=True),
    Column("metric_value", Float(precision=53)),
)

runs = Table(
    "runs",
    metadata,
    Column("run_uuid", String(32), primary_key=True),
    Column("name", String(250)),
    Column("source_name", String(500)),
    Column("user_id", String(256)),
    Column("start_time", BigInteger),
    Column("artifact_uri", String(200)),
)

# of runs
tags = Table(
    "tags",
    metadata,
    Column("key", String(250), primary_key=True),
    Column("value", String(8000)),
    Column("run_uuid", String(32), primary_key=True),
)

datasets = Table(
    "datasets",
    metadata,
    Column("dataset_uuid", String(36), nullable=False),
    Column("experiment_id", Integer, primary_key=True),
    Column("name", String(500), primary_key=True),
    Column("digest", String(36), primary_key=True),
    Column("dataset_source_type", String(36), nullable=False),
)

# what went into a run, and what of a data set it was
inputs = Table(
    "inputs",
    metadata,
    Column("input_uuid", String(36), nullable=False),
    Column("source_type", String(36), primary_key=True),
    Column("source_id", String(36), primary_key=True),
    Column("destination_type", String(36), primary_key=True),
    Column("destination_id", String(36), primary_key=True),
)

input_tags = Table(
    "input_tags",
    metadata,
    Column("input_uuid", String(36), primary_key=True),
    Column("name", String(255), primary_key=True),
    Column("value", String(500), nullable=False),
)

webhooks = Table(
    "webhooks",
    metadata,
    Column("webhook_id", String(256), primary_key=True),
    Column("workspace", String(63), nullable=False),
    Column("name", String(256), nullable=False),
    Column("description", String(1000)),
    Column("url", String(500), nullable=False),
    Column("status", String(20), nullable=False),
    # as it is stored, so encrypted
    Column("secret", String(1000)),
    Column("deleted_timestamp", BigInteger),
)

webhook_events = Table(
    "webhook_events",
    metadata,
    Column("webhook_id", String(256), primary_key=True),
    Column("entity", String(50), primary_key=True),
    Column("action", String(50), primary_key=True),
)
