"""Which of MLflow's models are prompts, as a condition in a statement: they have no stages."""

from __future__ import annotations

from typing import Any

from sqlalchemy import ColumnElement, exists, func

from lockgate.adapters.sql import mlflow_tables as mlflow


def prompts(columns: Any) -> ColumnElement[bool]:
    """Whether the model that the columns `workspace` and `name` tell of is a prompt."""
    tags = mlflow.registered_model_tags.c
    return exists().where(
        tags.workspace == columns.workspace,
        tags.name == columns.name,
        tags.key == mlflow.IS_PROMPT,
        func.lower(tags.value) == "true",
    )
