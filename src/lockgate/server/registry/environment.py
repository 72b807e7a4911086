"""The environment MLflow's application reads at its import: what `mlflow server` would set, and nothing more on."""

from __future__ import annotations

from collections.abc import Collection, Iterable

from lockgate.config import Router
from lockgate.server.limits import LOOPBACK_NAMES

ARTIFACT_ROOT = "mlflow-artifacts:/"
# left over in a shell, these would make the server process a client of another registry, or of itself
AMBIENT = (
    "MLFLOW_TRACKING_URI",
    "MLFLOW_REGISTRY_URI",
    "MLFLOW_WORKSPACE",
    "MLFLOW_WORKSPACE_STORE_URI",
    "_MLFLOW_SERVER_REGISTRY_STORE",
    "_MLFLOW_STATIC_PREFIX",
)


def environment(
    database: str, artifacts: str, *, hosts: Iterable[str], workspaces: bool, routers: Collection[Router] = ()
) -> dict[str, str]:
    """Variables and their values. Telemetry and the assistant's remote mode are off; jobs are unless opened."""
    names = sorted({*LOOPBACK_NAMES, *hosts})
    return {
        "_MLFLOW_SERVER_FILE_STORE": database,
        "_MLFLOW_SERVER_ARTIFACT_ROOT": ARTIFACT_ROOT,
        "_MLFLOW_SERVER_ARTIFACT_DESTINATION": artifacts,
        "_MLFLOW_SERVER_SERVE_ARTIFACTS": "true",
        "_MLFLOW_SGI_NAME": "uvicorn",
        "_MLFLOW_IN_JOB_EXECUTOR": "false",
        "MLFLOW_SERVER_ALLOWED_HOSTS": ",".join(pattern for name in names for pattern in _patterns(name)),
        "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "true" if Router.JOBS in routers else "false",
        "MLFLOW_ENABLE_REMOTE_ASSISTANT": "false",
        "MLFLOW_ENABLE_WORKSPACES": "true" if workspaces else "false",
        "MLFLOW_DISABLE_TELEMETRY": "true",
        "DO_NOT_TRACK": "true",
    }


def _patterns(name: str) -> tuple[str, str]:
    # MLflow matches with fnmatch where there is a `*`, and there an opening bracket has to be escaped
    if ":" in name:
        return f"[{name}]", f"[[]{name}]:*"
    return name, f"{name}:*"
