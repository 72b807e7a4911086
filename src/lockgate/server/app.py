"""What stands behind the front once MLflow is loaded: our API, the native routes, the gatekeeper and MLflow."""

from __future__ import annotations

import gc
import logging
import os
import re
import warnings
from pathlib import Path
from typing import TYPE_CHECKING

from lockgate.config import FIRST_USER, Router, require_people
from lockgate.domain.errors import BadInput, Forbidden
from lockgate.server import counting, identity
from lockgate.server.authorise import Leaves, Refused
from lockgate.server.problems import explain
from lockgate.server.registry.environment import AMBIENT, environment
from lockgate.server.replies import App, Receive, Scope, Send
from lockgate.wire.requests import PREFIX

if TYPE_CHECKING:
    from lockgate.config import Settings
    from lockgate.domain.identity import Who
    from lockgate.server.logins import Logins
    from lockgate.usecases.ports import Ports
    from lockgate.wiring import Node

_URI = re.compile(r"^[a-z][a-z0-9+.-]*://", re.IGNORECASE)

log = logging.getLogger("lockgate.server")
_MOST_TOLD = 10


def build(settings: Settings) -> App:
    """Load MLflow, make its tables on a fresh database, and put everything together: seconds, so in a thread.

    Raises LockgateError where a person can do something about it.
    """
    from lockgate import wiring

    told = mlflow_environment(settings)
    for name in AMBIENT:
        os.environ.pop(name, None)
    # MLflow reads its settings from the environment while it is imported, so this comes before anything that does so
    os.environ.update(told)
    os.environ.update(wiring.webhook_environment(settings))
    with warnings.catch_warnings():
        # MLflow still mounts its Flask part with starlette's deprecated bridge, which is nothing an operator can mend
        warnings.simplefilter("ignore")
        from lockgate.server.registry import mlflow_app, reads, workspaces

    node = wiring.Node(settings, "server")
    wiring.govern_registry(node, who=identity.caller, workspace=workspaces.active, explain=explain, say=log.info)
    logins = _logins(node, settings)
    _tell_drift(node.ports)
    counting.start(node.ports)
    inner = mlflow_app.load(settings.database, assistant=Router.ASSISTANT in settings.mlflow_routers)
    routes = Routes(_api(node, settings), _governed(inner, node.ports, settings))
    served = workspaces.Workspaces(reads.NativeReads(routes))
    # a million objects of MLflow's that live as long as the process: walking them costs pauses, and seconds at the stop
    gc.freeze()
    return identity.Identity(served, logins, Leaves(_put_on_record(node.ports)))


def mlflow_environment(settings: Settings) -> dict[str, str]:
    """What MLflow's code is told by its environment. Raises BadInput when the artifacts' folder cannot be made."""
    return environment(
        settings.database,
        _artifacts(settings.artifacts),
        hosts=(settings.host, *settings.allowed_hosts),
        workspaces=settings.workspaces,
        routers=settings.mlflow_routers,
    )


def _logins(node: Node, settings: Settings) -> Logins:
    """Who logs in, and how. Raises BadInput on a server that others can reach and on which nobody has to."""
    from lockgate.server.logins import Logins, proofs_of
    from lockgate.usecases import people

    there_are = people.any_people(node.ports)
    require_people(settings, there_are=there_are)
    if not there_are:
        log.warning(
            "open mode: nobody has to log in, and every name is taken as it is claimed and marked unverified on the "
            "record. To change that make the first user: %s",
            FIRST_USER,
        )
    return Logins(proofs_of(node.ports, node.passwords))


def _put_on_record(ports: Ports) -> Refused:
    from lockgate.usecases import registry

    def refused(who: Who, asked: str, model: str, why: Forbidden) -> None:
        registry.refused(ports, model, asked, who, why)

    return refused


def _tell_drift(ports: Ports) -> None:
    """Log what was changed past Lockgate while it did not run."""
    from lockgate.usecases import drift

    found = drift.look_everywhere(ports)
    for each in found[:_MOST_TOLD]:
        log.warning("changed past Lockgate: %s", each.because)
    if len(found) > _MOST_TOLD:
        log.warning("and %d more differences: lockgate drift", len(found) - _MOST_TOLD)


class Routes:
    """Our API beneath its prefix, MLflow everywhere else."""

    def __init__(self, api: App, mlflow: App) -> None:
        self._api = api
        self._mlflow = mlflow

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        path: str = scope["path"]
        if path == PREFIX or path.startswith(f"{PREFIX}/"):
            scope = {**scope, "root_path": scope.get("root_path", "") + PREFIX}
            await self._api(scope, receive, send)
        else:
            await self._mlflow(scope, receive, send)


def _governed(mlflow_app: App, ports: Ports, settings: Settings) -> App:
    from lockgate.server.registry.gatekeeper import Gatekeeper
    from lockgate.server.registry.routes import NativeRoutes
    from lockgate.usecases import registry

    def refused(route: str, error: Forbidden) -> None:
        registry.refused(ports, "", route, identity.caller(), error)

    def called(router: str, route: str) -> None:
        registry.router_called(ports, router, route, identity.caller())

    native = NativeRoutes(_door(mlflow_app, ports, settings), ports, settings.transition_wait)
    return Gatekeeper(native, refused=refused, called=called, opened=settings.mlflow_routers)


def _door(mlflow_app: App, ports: Ports, settings: Settings) -> App:
    from lockgate import wiring
    from lockgate.server.registry import s3_repository, traces
    from lockgate.server.registry.artifacts import ArtifactDoor
    from lockgate.usecases import protect

    s3_repository.install(settings.artifacts, direct=settings.direct_transfers)
    protect.adopt(ports.store)
    roots = wiring.artifact_roots(settings)

    def judge(route: str, places: list[str], deletes: bool) -> Forbidden | None:
        return protect.refusal(ports, protect.Act(route, identity.caller(), places, deletes), roots)

    traces.guard(judge)
    return ArtifactDoor(mlflow_app, judge, limit=settings.artifact_limit)


def _api(node: Node, settings: Settings) -> App:
    from lockgate.server.api.app import create_api

    return create_api(
        node.ports,
        node.passwords,
        parse_policy=node.check_policy,
        trial=node.trial,
        prediction_log=node.prediction_log,
        served_at=settings.served_at,
    )


def _artifacts(written: str) -> str:
    if _URI.match(written):
        return written
    folder = Path(written).absolute()
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    except OSError as error:
        raise BadInput(
            f"{folder} cannot hold artifacts: {error.strerror}.", hint="Name a folder you own with --artifacts."
        ) from None
    return folder.as_uri()
