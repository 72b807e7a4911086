"""The options that many commands share, and how a written MODEL@VERSION, stage or duration is read."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

from lockgate.cli.home import UP, Home
from lockgate.domain.durations import parse_duration
from lockgate.domain.errors import BadInput
from lockgate.domain.stages import Stage
from lockgate.domain.versions import VersionRef, model_name

if TYPE_CHECKING:
    from lockgate.config import Settings
    from lockgate.sdk.client import Lockgate

F = TypeVar("F", bound=Callable[..., Any])

DEFAULT_HOME = ".lockgate"
_WORKSPACE = "lockgate.workspace"
DEFAULT_URL = "http://127.0.0.1:5000"


class Written(click.ParamType[Any]):
    """A parameter that a function reads; what it says about a wrong one is the usage error."""

    def __init__(self, name: str, read: Callable[[str], Any]) -> None:
        self.name = name
        self._read = read

    def convert(self, value: Any, param: Any, ctx: Any) -> Any:  # noqa: ARG002 - click's
        if not isinstance(value, str):
            return value
        try:
            return self._read(value)
        except BadInput as wrong:
            # raised as ours, not click's: --json then answers in JSON here too
            raise BadInput(wrong.message, hint=wrong.hint) from None


def _gated(written: str) -> Stage:
    stage = Stage.parse(written)
    if not stage.is_gated:
        raise BadInput(f"Nothing is promoted to {stage.value}.", hint="Promote to staging or production.")
    return stage


VERSION = Written("MODEL@VERSION", VersionRef.parse)
MODEL = Written("MODEL", model_name)
GATED_STAGE = Written("staging|production", _gated)
STAGE = Written("staging|production|archived|none", Stage.parse)
DURATION = Written("DURATION", parse_duration)


@dataclass(frozen=True, slots=True)
class Caller:
    """Where the server is, and in which of MLflow's workspaces ("" is the default one).

    `user` is a name to claim, "" where the environment says who asks.
    """

    url: str
    user: str
    workspace: str = ""

    def client(self) -> Lockgate:
        """The client; nothing is sent yet."""
        from lockgate.sdk.client import Lockgate

        return Lockgate(self.url, who=self.user or None, workspace=self.workspace, via="cli")


def as_json(command: F) -> F:
    """Add --json."""
    return click.option("--json", "as_json", is_flag=True, help="Answer with JSON on standard output, errors too.")(
        command
    )


def quiet_json(command: F) -> F:
    """Add --json to a command that answers nothing itself: only its errors are JSON then."""
    return click.option("--json", is_flag=True, expose_value=False, help="Print an error as JSON on standard output.")(
        command
    )


def asks(command: F) -> F:
    """Add --url, --as and --json: the command goes through the server, in the caller's name."""
    return _asks(command, "--url")


def asks_server(command: F) -> F:
    """As asks, for a command that means something else by --url: the server is named with --server."""
    return _asks(command, "--server")


def _asks(command: F, server: str) -> F:
    command = click.option(
        server, "url", help="The server. [LOCKGATE_URL, MLFLOW_TRACKING_URI, the one of ./.lockgate, port 5000]"
    )(command)
    command = click.option(
        "--as",
        "user",
        metavar="NAME",
        help="Act under this name, where there are no users. [LOCKGATE_USER, your login]",
    )(command)
    command = click.option(
        "--workspace", metavar="NAME", expose_value=False, callback=_keep_workspace,
        help="The workspace of MLflow's. [LOCKGATE_WORKSPACE, MLFLOW_WORKSPACE, the default one]",
    )(command)  # fmt: skip
    return as_json(command)


def caller(url: str | None, user: str | None) -> Caller:
    """Who asks whom, from options, the environment or defaults. Raises BadInput for something that is no URL."""
    tracking = os.environ.get("MLFLOW_TRACKING_URI", "")
    found = url or os.environ.get("LOCKGATE_URL") or (tracking if tracking.startswith("http") else "") or _url_of_home()
    if not found.startswith(("http://", "https://")):
        raise BadInput(f"{found!r} is not the address of a server.", hint=f"Write it like {DEFAULT_URL}.")
    return Caller(found.rstrip("/"), user or "", _workspace())


def home_folder(home: str | None) -> Home:
    """The home named by the option or the environment, else `.lockgate` here."""
    return Home(Path(home or os.environ.get("LOCKGATE_HOME") or DEFAULT_HOME).expanduser().absolute())


def home_option(command: F) -> F:
    """Add --home."""
    return click.option(
        "--home", metavar="DIR", help=f"Where everything is kept. [LOCKGATE_HOME, else ./{DEFAULT_HOME}]"
    )(command)


def processes(command: F) -> F:
    """Add the options of `up`, `server`, `controller` and `agent`, without --json."""
    for option in reversed(
        (
            click.option("--host", help="The address to listen on; beyond loopback it takes users. [127.0.0.1]"),
            click.option("--port", type=int, help="The server's port. [5000]"),
            click.option("--workers", type=int, help="Server processes. [1]"),
            click.option("--database", metavar="URI", help="The database. [sqlite:///HOME/lockgate.db]"),
            click.option("--artifacts", metavar="URI", help="Where artifacts are stored. [HOME/artifacts]"),
            click.option("--workspaces", is_flag=True, default=None, help="Switch MLflow's workspaces on. [off]"),
            click.option(
                "--mlflow-routers", metavar="NAMES", help="MLflow's routers to open: assistant,gateway,mcp,jobs. [none]"
            ),
            click.option(
                "--users", is_flag=True, default=None, help="Everybody logs in: makes the first administrator. [off]"
            ),
            click.option(
                "--trusted-proxies", metavar="CIDR,…", help="Whose X-Forwarded headers count; takes users. [none]"
            ),
            click.option(
                "--allowed-hosts", metavar="NAME,…", help="More names by which requests may call it. [loopback's]"
            ),
            click.option("--allowed-origins", metavar="URL,…", help="Pages of other origins that may ask it. [none]"),
            click.option(
                "--anchors", metavar="URI,…", help="Write signed checkpoints there too: file: git: s3: webhook: [none]"
            ),
            click.option("--edge", help="What speaks HTTP in workers: lockgate or uvicorn. [lockgate]"),
            click.option("--policy", metavar="FILE", help="The policy file to apply. [./lockgate.yaml if it is there]"),
            click.option("--staging-port", type=int, help="The port of the staging environment. [5001]"),
            click.option("--production-port", type=int, help="The port of the production environment. [5002]"),
        )
    ):
        command = option(command)
    return home_option(command)


def settings(**told: Any) -> Settings:
    """The settings of a process. Raises BadInput naming what is wrong."""
    from lockgate.config import load

    return load(told)


def refuse_known_passphrase(settings: Settings) -> None:
    """Raise BadInput when MLflow's gateway is to be open, and its secrets would be no secrets."""
    from lockgate.config import require_passphrase

    require_passphrase(settings, os.environ)


def refuse_odd_certificate(settings: Settings) -> None:
    """Raise BadInput when endpoints are to speak TLS with what is no certificate and key."""
    from lockgate.config import require_certificate

    require_certificate(settings)


def _keep_workspace(context: click.Context, _option: click.Parameter, named: str | None) -> None:
    context.meta[_WORKSPACE] = named


def _workspace() -> str:
    context = click.get_current_context(silent=True)
    named = context.meta.get(_WORKSPACE) if context else None
    return named or os.environ.get("LOCKGATE_WORKSPACE") or os.environ.get("MLFLOW_WORKSPACE") or ""


def _url_of_home() -> str:
    """The server that `up` runs for the home here, else the default: nobody should have to repeat a --port."""
    home = home_folder(None)
    url = home.told(UP).get("url")
    return url if isinstance(url, str) and home.recorded(UP) else DEFAULT_URL
