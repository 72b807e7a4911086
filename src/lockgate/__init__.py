"""Lockgate: a governed model registry and deployment control plane for MLflow."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from lockgate.sdk.client import Lockgate

__all__ = ["Lockgate", "__version__"]

__version__ = "0.1.0"


def __getattr__(name: str) -> object:
    # the client is looked up on first use: every process imports this package, few of them speak HTTP
    if name == "Lockgate":
        from lockgate.sdk.client import Lockgate

        return Lockgate
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
