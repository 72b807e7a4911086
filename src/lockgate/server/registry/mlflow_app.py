"""MLflow's own application, imported into this process: the environment must be set before this module is."""

from __future__ import annotations

import asyncio
import logging
from typing import Any

from mlflow.server import app as flask_app
from mlflow.server import handlers
from mlflow.server.fastapi_app import app

from lockgate.server.registry import graphql, sources, stumbles
from lockgate.server.registry.environment import ARTIFACT_ROOT

# MLflow gives its loggers handlers of their own; in our process every line goes the way of ours
for _name in ("mlflow", "mlflow.server", "mlflow.store", "alembic"):
    logging.getLogger(_name).handlers.clear()
    logging.getLogger(_name).propagate = True
logging.getLogger("alembic").setLevel(logging.WARNING)


def load(database: str, *, assistant: bool = False) -> Any:
    """MLflow's ASGI application on its opened stores. The registry must be governed before.

    Its lifespan only takes away what an assistant of an earlier server left behind, so it is run when there is one.
    """
    handlers.initialize_backend_stores(
        backend_store_uri=database, registry_store_uri=database, default_artifact_root=ARTIFACT_ROOT
    )
    graphql.close_mutations(flask_app)
    stumbles.explain(flask_app)
    sources.read_less()
    if assistant:
        asyncio.run(_tidy())
    return app


async def _tidy() -> None:
    async with app.router.lifespan_context(app):
        pass
