"""MLflow's job runner beside the server, while the router `jobs` is open: started after it, ended with it.

What a job changes in the registry comes back through the server like anybody's change: under the name of the jobs, or
once there are users as the service account whose token the jobs were given.
"""

from __future__ import annotations

import contextlib
import http.client
import logging
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from typing import TYPE_CHECKING

from lockgate.config import Router, reached_at

if TYPE_CHECKING:
    from lockgate.config import Settings

NAME = "mlflow-jobs"  # who a job is on the record while there are no users
TOKEN = "LOCKGATE_JOBS_TOKEN"  # noqa: S105 - the name of the variable
QUEUES = "_MLFLOW_HUEY_STORAGE_PATH"
LOOK_EVERY = 0.5
READY_LIMIT = 300.0
GRACE = 5.0

log = logging.getLogger("lockgate.server")


@contextlib.contextmanager
def runner(settings: Settings) -> Iterator[None]:
    """Run jobs while the block runs, if they are open. The queues are new each time: the database has what is open."""
    if Router.JOBS not in settings.mlflow_routers:
        yield
        return
    queues = tempfile.mkdtemp(prefix="lockgate-jobs-")
    os.environ[QUEUES] = queues  # the server's processes inherit it
    over = threading.Event()
    keeper = threading.Thread(target=_keep, args=(settings, over), name="jobs")
    keeper.start()
    try:
        yield
    finally:
        over.set()
        keeper.join()
        os.environ.pop(QUEUES, None)
        shutil.rmtree(queues, ignore_errors=True)


def _keep(settings: Settings, over: threading.Event) -> None:
    if not _is_ready(settings, over):
        return
    # a group of its own, so that the runner's own children end with it
    process = subprocess.Popen(
        [sys.executable, "-m", "mlflow.server.jobs._job_runner"],
        env=_environment(settings),
        stdin=subprocess.DEVNULL,
        start_new_session=True,
    )
    log.info("MLflow's job runner is process %s", process.pid)
    while not over.wait(LOOK_EVERY):
        if (code := process.poll()) is not None:
            log.error("MLflow's job runner ended (%s): jobs wait until the server is started again", code)
            break
    _end(process)


def _is_ready(settings: Settings, over: threading.Event) -> bool:
    # before that the tables may not be there, and MLflow would make them its own way
    give_up = time.monotonic() + READY_LIMIT
    while time.monotonic() < give_up and not over.wait(LOOK_EVERY):
        connection = http.client.HTTPConnection(reached_at(settings.host), settings.port, timeout=5)
        with contextlib.closing(connection), contextlib.suppress(OSError, http.client.HTTPException):
            connection.request("GET", "/ready")
            if connection.getresponse().status == http.client.OK:
                return True
    return False


def _environment(settings: Settings) -> dict[str, str]:
    from lockgate.server.app import mlflow_environment
    from lockgate.server.registry.environment import AMBIENT

    inherited = {name: value for name, value in os.environ.items() if name not in AMBIENT}
    return {
        **inherited,
        **mlflow_environment(settings),
        "MLFLOW_SERVER_PID": str(os.getpid()),  # it ends by itself when this process is gone
        "_MLFLOW_SERVER_UP_TIME": str(int(time.time() * 1000)),
        "MLFLOW_BACKEND_STORE_URI": settings.database,
        "MLFLOW_TRACKING_URI": settings.url,
        "MLFLOW_GATEWAY_URI": settings.url,
        # the registry is reached through the server by whatever way a job takes: there it is governed
        "MLFLOW_REGISTRY_URI": settings.url,
        "_MLFLOW_SERVER_REGISTRY_STORE": settings.url,
        **_login(),
    }


def _login() -> dict[str, str]:
    """How a job is known to the server: by a token of a service account, without one by a name it claims."""
    token = os.environ.get(TOKEN)
    if token:
        return {"MLFLOW_TRACKING_TOKEN": token, "MLFLOW_TRACKING_USERNAME": "", "MLFLOW_TRACKING_PASSWORD": ""}
    return {"MLFLOW_TRACKING_USERNAME": NAME, "MLFLOW_TRACKING_PASSWORD": "none"}


def _end(process: subprocess.Popen[bytes]) -> None:
    for sign in (signal.SIGTERM, signal.SIGKILL):
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, sign)
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(GRACE)
