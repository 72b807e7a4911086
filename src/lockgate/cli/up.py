"""`lockgate up`: everything on one machine, started in order, kept alive, and stopped without a trace."""

from __future__ import annotations

import contextlib
import http.client
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import click

from lockgate import __version__
from lockgate.cli import first_admin, identity, leftovers, options, outcome
from lockgate.cli.children import Children, environment, without_keys
from lockgate.cli.home import UP, Home
from lockgate.domain.errors import BadInput, Failed

if TYPE_CHECKING:
    from lockgate.config import Settings
    from lockgate.domain.policy import Policy

LOOK_EVERY = 0.1
START_LIMIT = 60.0
PREPARE_LIMIT = 600.0  # a large registry is adopted and indexed in it
DEATHS_BEFORE_HEALTH = 3


@click.command(short_help="Start server, controller and agent on this machine.")
@options.processes
@options.as_json
def up(as_json: bool, **told: Any) -> None:
    """Start everything on this machine and keep it running until Ctrl-C, TERM or `lockgate down`."""
    settings = options.settings(**told)
    options.refuse_known_passphrase(settings)
    options.refuse_odd_certificate(settings)
    refuse_odd_artifacts(settings)
    home = Home(settings.home)
    home.prepare()
    policy = read_policy(settings)
    say = Speaker(as_json)
    with home.held():
        leftovers.end_processes(home, say.note)
        refuse_taken_ports(settings, policy, home)
        try:
            _run(settings, policy, home, say)
        finally:
            home.forget(UP)


class Speaker:
    """What `up` tells: lines for a person, or one JSON object a line."""

    def __init__(self, as_json: bool) -> None:
        self._as_json = as_json

    def note(self, event: str, text: str, **more: Any) -> None:
        """Tell one thing as soon as it happened."""
        if self._as_json:
            import json

            click.echo(json.dumps({"event": event, "message": text, **more}, ensure_ascii=False))
        else:
            click.echo(text)
        sys.stdout.flush()


def read_policy(settings: Settings) -> Policy | None:
    """The policy of the file, None when there is no file. Raises BadInput naming line, key and what was expected."""
    if settings.policy is None:
        return None
    from lockgate.cli.policy import read

    return read(settings.policy, settings)


def refuse_odd_artifacts(settings: Settings) -> None:
    """Raise BadInput when --artifacts names no place where artifacts can be; whether it answers shows at first use."""
    from lockgate.wiring import artifact_roots

    artifact_roots(settings)


def refuse_taken_ports(settings: Settings, policy: Policy | None, home: Home) -> None:
    """Raise Failed naming the owner when a port is taken; the home's own workers may hold theirs."""
    ours = {worker.pid for worker in leftovers.workers(home)}
    for port in (settings.port, *environment_ports(settings, policy)):
        if port == 0 or _is_free(settings.host, port):
            continue
        owner = identity.listener(port)
        if owner is not None and owner.pid in ours and port != settings.port:
            continue
        whose = f"process {owner.pid} ({owner.command[:160]})" if owner else "a process that this account may not see"
        how = "--port N" if port == settings.port else "--staging-port N or --production-port N"
        raise Failed(
            f"Port {port} is taken by {whose}.", hint=f"End that process, or choose another port: lockgate up {how}"
        )


def environment_ports(settings: Settings, policy: Policy | None) -> dict[int, str]:
    """Where the environments serve: port and name."""
    if policy is None:
        return {settings.staging_port: "staging", settings.production_port: "production"}
    return {place.port: place.name for place in policy.environments}


def _is_free(host: str, port: int) -> bool:
    import socket

    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with socket.socket(family, socket.SOCK_STREAM) as trial:
        trial.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            trial.bind((host.strip("[]"), port))
        except OSError:
            return False
    return True


def _run(settings: Settings, policy: Policy | None, home: Home, say: Speaker) -> None:
    began = time.monotonic()
    home.record(UP, identity.mine(), url=settings.url)
    children = Children(home, say.note)
    with _stopping() as stop:
        try:
            told, more = _arguments(settings)
            # a server that others can reach, or that has users, does not start before they are there
            first = settings.users or bool(settings.reachable_by)
            if first:
                _prepare(settings, told, more, home, stop, say)
            if not stop.is_set():
                children.start("server", told, more)
            if not first:
                _prepare(settings, told, more, home, stop, say)
            children.start("controller", told, more)
            children.start("agent", told, without_keys(more))
            _until_healthy(settings, children, home, stop)
            if not stop.is_set():
                _banner(settings, policy, say)
            _watch(settings, children, say, stop, began)
        finally:
            if children.all:
                say.note("stopping", "Stopping…")
            children.stop()
            leftovers.end_workers(home)
    say.note("stopped", "Stopped. Nothing of it runs any more.")


def _arguments(settings: Settings) -> tuple[list[str], dict[str, str]]:
    """What the children are told: on their command lines what may be seen there, in their environment the rest."""
    told = [
        "--home", str(settings.home), "--host", settings.host, "--port", str(settings.port),
        "--workers", str(settings.workers), "--staging-port", str(settings.staging_port),
        "--production-port", str(settings.production_port),
    ]  # fmt: skip
    if settings.policy is not None:
        told += ["--policy", str(settings.policy)]
    # addresses of databases hold passwords, and command lines are public
    more = {
        "LOCKGATE_DATABASE": settings.database,
        "LOCKGATE_ARTIFACTS": settings.artifacts,
        "LOCKGATE_TRANSITION_WAIT": str(settings.transition_wait),
        "LOCKGATE_WORKSPACES": str(settings.workspaces).lower(),
        "LOCKGATE_MLFLOW_ROUTERS": ",".join(sorted(settings.mlflow_routers)),
        "LOCKGATE_USERS": "false",
        "LOCKGATE_TRUSTED_PROXIES": ",".join(settings.trusted_proxies),
        "LOCKGATE_ANCHORS": ",".join(settings.anchors),
        "LOCKGATE_EDGE": settings.edge.value,
        "LOCKGATE_SERVING_TLS_CERTIFICATE": str(settings.serving_tls_certificate or ""),
        "LOCKGATE_SERVING_TLS_KEY": str(settings.serving_tls_key or ""),
        "LOCKGATE_ALLOWED_HOSTS": ",".join(settings.allowed_hosts),
        "LOCKGATE_ALLOWED_ORIGINS": ",".join(settings.allowed_origins),
        "LOCKGATE_URL": settings.url,
        "LOCKGATE_USER": settings.user,
    }
    return told, environment(os.environ, more)


def _prepare(
    settings: Settings, told: list[str], more: dict[str, str], home: Home, stop: threading.Event, say: Speaker
) -> None:
    """Make the tables and apply the policy, in a process of its own: what it imports is not ours to keep."""
    users = ["--users"] if settings.users else []
    process = subprocess.Popen(
        [sys.executable, "-P", "-m", "lockgate.cli", "prepare", *told, *users],
        env=more, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, start_new_session=True,
    )  # fmt: skip
    end = time.monotonic() + PREPARE_LIMIT
    while process.poll() is None and not stop.is_set() and time.monotonic() < end:
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(LOOK_EVERY)
    if process.poll() is None:
        process.kill()
    said = (process.communicate()[0] or b"").decode(errors="replace").strip()
    if process.returncode == 0 and (standing := first_admin.Standing.read(said)) is not None:
        standing.tell(home.path, say.note)
    if stop.is_set() or process.returncode == 0:
        return
    home.log("prepare").write_text(said)
    if process.returncode == outcome.USAGE:
        raise BadInput(said)
    # an error is told in a line and then what to do
    what, *todo = said.splitlines() or ["it took too long"]
    story = f"The whole story is in {home.log('prepare')}."
    raise Failed(f"The database could not be prepared: {what}", hint="\n".join([*todo[-3:], story]))


def _until_healthy(settings: Settings, children: Children, home: Home, stop: threading.Event) -> None:
    end = time.monotonic() + START_LIMIT
    while not stop.wait(LOOK_EVERY):
        if answers(settings, "/health"):
            return
        children.look()
        if children.all["server"].deaths >= DEATHS_BEFORE_HEALTH or time.monotonic() > end:
            raise Failed(
                f"The server does not start. The last it said:\n{home.tail('server')}",
                hint=f"The whole story is in {home.log('server')}.",
            )


def _watch(settings: Settings, children: Children, say: Speaker, stop: threading.Event, began: float) -> None:
    ready = False
    asked = 0.0
    while not stop.wait(LOOK_EVERY):
        children.look()
        # once a second is enough to ask, ten times a second to notice a death
        if not ready and time.monotonic() - asked > (LOOK_EVERY if asked == 0 else 0.5):
            asked = time.monotonic()
            ready = answers(settings, "/ready")
            if ready:
                say.note("ready", f"Ready after {time.monotonic() - began:.1f} s. Stop with Ctrl-C or: lockgate down")


def answers(settings: Settings, path: str) -> bool:
    """Whether the server answers that path with 200 within two seconds."""
    from lockgate.config import reached_at

    connection = http.client.HTTPConnection(reached_at(settings.host), settings.port, timeout=2)
    try:
        connection.request("GET", path)
        return connection.getresponse().status == 200
    except (OSError, http.client.HTTPException):
        return False
    finally:
        connection.close()


def _banner(settings: Settings, policy: Policy | None, say: Speaker) -> None:
    ports = environment_ports(settings, policy)
    level = policy.level.value if policy else "observe"
    whose = str(settings.policy) if policy else "built in; write one with: lockgate init"
    from lockgate.config import reached_at

    host = reached_at(settings.host)
    host = f"[{host}]" if ":" in host else host
    scheme = "http" if settings.serving_tls_certificate is None else "https"
    places = [f"  {name:<11} {scheme}://{host}:{port}/invocations" for port, name in ports.items()]
    text = "\n".join(
        [
            f"Lockgate {__version__}",
            f"  server      {settings.url}",
            *places,
            f"  policy      {level} ({whose})",
            f"  home        {settings.home}",
            "Next:",
            f"  export MLFLOW_TRACKING_URI={settings.url}",
            "  then log and register a model with MLflow, and ask: lockgate status",
            "The server imports MLflow now; requests that need it wait a few seconds.",
        ]
    )
    say.note(
        "started", text, url=settings.url, home=str(settings.home), level=level, pid=os.getpid(),
        environments={name: port for port, name in ports.items()},
    )  # fmt: skip


@contextlib.contextmanager
def _stopping() -> Iterator[threading.Event]:
    """An event that Ctrl-C, TERM and a closed terminal set; further signals change nothing while it stops."""
    stop = threading.Event()
    numbers = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
    before = {number: signal.signal(number, lambda *_: stop.set()) for number in numbers}
    try:
        yield stop
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
