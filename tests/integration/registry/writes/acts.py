"""What a client does to a registry, as plain lists that cross a process boundary, and what it is answered."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from mlflow.entities.model_registry import ModelVersionTag, RegisteredModelTag
from mlflow.exceptions import MlflowException

# a kind of act and its arguments, for example ["transition", "fraud", 1, "Staging", False]
Act = list[Any]
# ["ok", what was seen] or ["error", MLflow's code]
Answer = list[Any]

_LOCKGATES_OWN = {"staging_timestamp"}


def version_seen(version: Any) -> list[Any]:
    """Everything of a version that a client may compare, but for times."""
    tags = sorted([key, value] for key, value in version.tags.items() if key not in _LOCKGATES_OWN)
    return [int(version.version), version.current_stage, version.description, tags, sorted(version.aliases)]


def model_seen(model: Any) -> list[Any]:
    """As `version_seen`, with the newest version of each stage."""
    latest = sorted([version.current_stage, int(version.version)] for version in model.latest_versions)
    aliases = sorted([alias, int(version)] for alias, version in model.aliases.items())
    return [model.description, sorted([key, value] for key, value in model.tags.items()), aliases, latest]


_DO: dict[str, Callable[..., Any]] = {
    "create model": lambda s, m: model_seen(s.create_registered_model(m)),
    "describe model": lambda s, m, text: model_seen(s.update_registered_model(m, text)),
    "rename model": lambda s, m, new: model_seen(s.rename_registered_model(m, new)),
    "delete model": lambda s, m: s.delete_registered_model(m),
    "tag model": lambda s, m, key, value: s.set_registered_model_tag(m, RegisteredModelTag(key, value)),
    "untag model": lambda s, m, key: s.delete_registered_model_tag(m, key),
    "create version": lambda s, m: version_seen(s.create_model_version(m, "mem:/x")),
    "describe version": lambda s, m, v, text: version_seen(s.update_model_version(m, v, text)),
    "delete version": lambda s, m, v: s.delete_model_version(m, v),
    "tag version": lambda s, m, v, key, value: s.set_model_version_tag(m, v, ModelVersionTag(key, value)),
    "untag version": lambda s, m, v, key: s.delete_model_version_tag(m, v, key),
    "set alias": lambda s, m, alias, v: s.set_registered_model_alias(m, alias, v),
    "delete alias": lambda s, m, alias: s.delete_registered_model_alias(m, alias),
    "transition": lambda s, m, v, stage, archive: version_seen(s.transition_model_version_stage(m, v, stage, archive)),
    "get model": lambda s, m: model_seen(s.get_registered_model(m)),
    "get version": lambda s, m, v: version_seen(s.get_model_version(m, v)),
}


def perform(store: Any, act: Act) -> Answer:
    """Do it. Anything but MLflow's own exception is a bug, and is raised."""
    kind, *arguments = act
    try:
        return ["ok", _DO[kind](store, *arguments)]
    except MlflowException as error:
        return ["error", error.error_code]
