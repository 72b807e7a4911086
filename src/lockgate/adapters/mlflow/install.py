"""Puts the governed store wherever MLflow's code looks one up, and MLflow's application into this process."""

from __future__ import annotations

from functools import partial
from typing import Any

from mlflow.environment_variables import MLFLOW_ENABLE_WORKSPACES
from mlflow.server import handlers
from mlflow.tracking._model_registry import utils as client_side
from mlflow.tracking._workspace import registry as workspaces

from lockgate.adapters.mlflow import webhooks
from lockgate.adapters.mlflow.governance import Governance
from lockgate.adapters.mlflow.store import Governed, GovernedInWorkspaces
from lockgate.adapters.mlflow.workspaces import GovernedWorkspaces

# MLflow knows more databases; on those it would run ungoverned, so their schemes get a store that is never built
SCHEMES = ("sqlite", "postgresql")


def install(governance: Governance) -> None:
    """Make every registry store this process opens a governed one.

    There are two look-ups: the server's handlers have one, and the client code that runs inside the server (prompts,
    demo data, copies) has another. A store in only one of them is a way past the gates.
    """
    stores: dict[str, Governed] = {}

    def governed(store_uri: str) -> Governed:
        if store_uri not in stores:
            kind = GovernedInWorkspaces if MLFLOW_ENABLE_WORKSPACES.get() else Governed
            stores[store_uri] = kind(store_uri, governance=governance)
        return stores[store_uri]

    for known in (handlers._model_registry_store_registry, client_side._get_store_registry()):
        for scheme in list(known._registry):
            known.register(scheme, governed if scheme in SCHEMES else _refused)
        known._get_store_with_resolved_uri.cache_clear()
    handlers._model_registry_store = None
    webhooks.install()
    known_workspaces = workspaces._get_workspace_store_registry()
    for scheme in list(known_workspaces._registry):
        governs = scheme in SCHEMES
        known_workspaces.register(scheme, partial(_workspaces, governance) if governs else _refused_workspaces)
    known_workspaces._get_store_with_resolved_uri.cache_clear()


def registry_store() -> Any:
    """The governed store the server's handlers use."""
    return handlers._get_model_registry_store()


def _workspaces(governance: Governance, workspace_uri: str) -> GovernedWorkspaces:
    return GovernedWorkspaces(workspace_uri, governance=governance)


def _refused_workspaces(workspace_uri: str) -> Any:
    return _refused(workspace_uri)


def _refused(store_uri: str) -> Any:
    raise RuntimeError(
        f"Lockgate governs {' and '.join(SCHEMES)} registries; {store_uri.partition(':')[0]} is none of them"
    )
