"""The settings of every process on one machine: options, else `LOCKGATE_…` in the environment, else a default."""

from __future__ import annotations

import getpass
import ipaddress
import os
import re
import ssl
from collections.abc import Mapping
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any

from pydantic import BaseModel, ByteSize, ConfigDict, Field, ValidationError, field_validator

from lockgate.domain.anchors import parse_place
from lockgate.domain.errors import BadInput
from lockgate.wire.traces import collector

PREFIX = "LOCKGATE_"
POLICY_FILE = "lockgate.yaml"
MLFLOWS_WORKSPACES = "MLFLOW_ENABLE_WORKSPACES"
GATEWAYS_PASSPHRASE = "MLFLOW_CRYPTO_KEK_PASSPHRASE"  # noqa: S105 - the name of the variable
# what the commands have an option for; everything else is told in the environment alone
OPTIONS = frozenset(
    {
        *("home", "host", "port", "workers", "database", "artifacts", "policy", "staging_port", "production_port"),
        *("workspaces", "mlflow_routers"),
        *("users", "trusted_proxies", "allowed_hosts", "allowed_origins", "anchors", "edge"),
    }
)
FIRST_USER = "lockgate users add NAME"
_HOST = re.compile(r"[A-Za-z0-9]([A-Za-z0-9.:_-]*[A-Za-z0-9.])?|::[0-9A-Fa-f:.]*")
_ORIGIN = re.compile(r"https?://[A-Za-z0-9.-]+(:[0-9]+)?|https?://\[[0-9A-Fa-f:.]+\](:[0-9]+)?")
# in an address, and as an option after it: postgresql://me:secret@host/name?password=secret
_PASSWORDS = re.compile(r"(?P<before>[\w+]+://[^\s:@/]*:)[^\s@]*(?=@)|(?P<option>[?&](?:ssl)?password=)[^\s&]*")
# how MLflow's users write that it is a PostgreSQL, and others; the driver is ours to choose
_POSTGRESQL = re.compile(r"(postgresql\+psycopg2?|postgres(\+psycopg2?)?)(?=://)")
Port = Annotated[int, Field(ge=1, le=65535)]


class Router(StrEnum):
    """What MLflow mounts beside tracking and registry, and what is off unless whoever runs the server opens it."""

    ASSISTANT = "assistant"
    GATEWAY = "gateway"
    MCP = "mcp"
    JOBS = "jobs"


class Edge(StrEnum):
    """What speaks HTTP in a worker: our own edge, or uvicorn's."""

    LOCKGATE = "lockgate"
    UVICORN = "uvicorn"


class Settings(BaseModel):
    """What a process is told. Paths are absolute, `transition_wait` is in seconds, no `policy` is the built-in one."""

    model_config = ConfigDict(extra="ignore", frozen=True, validate_default=True)

    home: Path = Path(".lockgate")
    host: str = "127.0.0.1"
    port: Port = 5000
    workers: Annotated[int, Field(ge=1, le=64)] = 1
    database: str = Field(default_factory=lambda told: f"sqlite:///{told['home'] / 'lockgate.db'}")
    artifacts: str = Field(default_factory=lambda told: str(told["home"] / "artifacts"))
    # the largest file that may be uploaded, and the largest version that is pinned: `50GiB`, or plain bytes
    artifact_limit: Annotated[ByteSize, Field(ge=1)] = ByteSize(100 * 2**30)
    model_limit: Annotated[ByteSize, Field(ge=1)] = ByteSize(200 * 2**30)
    direct_transfers: bool = False
    policy: Path | None = Field(default_factory=lambda: Path(POLICY_FILE) if Path(POLICY_FILE).is_file() else None)
    staging_port: Port = 5001
    production_port: Port = 5002
    workspaces: bool = Field(default_factory=lambda: os.environ.get(MLFLOWS_WORKSPACES, "").lower() in ("true", "1"))
    mlflow_routers: frozenset[Router] = frozenset()
    # whether the first start makes an administrator, so that everybody has to log in
    users: bool = False
    # networks whose members may say for whom they ask; names a request may call this server by; pages that may ask it
    trusted_proxies: tuple[str, ...] = ()
    allowed_hosts: tuple[str, ...] = ()
    allowed_origins: tuple[str, ...] = ()
    # places outside that signed checkpoints are written to, and how long it takes at least from one to the next
    anchors: tuple[str, ...] = ()
    anchor_minutes: Annotated[float, Field(gt=0, le=7 * 24 * 60)] = 10.0
    webhook_timeout: Annotated[float, Field(gt=0, le=300)] = Field(
        default_factory=lambda: _seconds(os.environ.get("MLFLOW_WEBHOOK_REQUEST_TIMEOUT"), default=30)
    )
    webhook_attempts: Annotated[int, Field(ge=1, le=100)] = 12
    webhook_give_up_hours: Annotated[float, Field(gt=0, le=24 * 30)] = 24.0
    webhook_log_days: Annotated[float, Field(gt=0, le=3660)] = 30.0
    webhook_allow_private_ips: bool = Field(
        default_factory=lambda: os.environ.get("MLFLOW_WEBHOOK_ALLOW_PRIVATE_IPS", "").lower() in ("true", "1")
    )
    edge: Edge = Edge.LOCKGATE
    # PEM files of the endpoints' ports, where no proxy in front of them speaks TLS
    serving_tls_certificate: Path | None = None
    serving_tls_key: Path | None = None
    access_log: bool = False
    # where workers send spans, and of what share of the predictions whose callers do not say
    traces: str = ""
    traces_share: Annotated[float, Field(ge=0, le=1)] = 1.0
    # how long logged predictions are kept; 0: for ever
    prediction_days: Annotated[int, Field(ge=0, le=36500)] = 90
    transition_wait: Annotated[float, Field(gt=0, le=3600)] = 25.0
    url: str = Field(default_factory=lambda told: _url(told.get("host", ""), told.get("port", 0)))
    user: str = Field(default_factory=lambda: login())

    @field_validator("home", "policy", "serving_tls_certificate", "serving_tls_key", mode="after")
    @classmethod
    def _absolute(cls, path: Path | None) -> Path | None:
        return None if path is None else path.expanduser().absolute()

    @field_validator("database", mode="after")
    @classmethod
    def _plain(cls, uri: str) -> str:
        found = _POSTGRESQL.match(uri)
        return f"postgresql{uri[found.end() :]}" if found else uri

    @field_validator("artifacts", mode="after")
    @classmethod
    def _somewhere(cls, written: str) -> str:
        if not written.strip():  # it would be the folder that the process was started in, with all that lies there
            raise ValueError(f"{written!r} names no place. Expected a folder or an address like s3://bucket/prefix")
        return written

    @field_validator("traces", mode="after")
    @classmethod
    def _collector(cls, written: str) -> str:
        return collector(written).geturl() if written else ""

    @field_validator("mlflow_routers", mode="before")
    @classmethod
    def _routers(cls, written: object) -> object:
        if not isinstance(written, str):
            return written
        names = [name for part in written.split(",") if (name := part.strip().lower())]
        if unknown := sorted({name for name in names if name not in set(Router)}):
            known = ", ".join(Router)
            raise ValueError(f"{', '.join(unknown)[:100]!r} is no router of MLflow's. Expected some of {known}")
        return frozenset(Router(name) for name in names)

    @field_validator("host", mode="after")
    @classmethod
    def _named(cls, host: str) -> str:
        if not _HOST.fullmatch(host.strip("[]")):
            raise ValueError(f"{host!r} is no address. Expected one like 127.0.0.1, ::1, 0.0.0.0 or a name")
        return host

    @field_validator("trusted_proxies", "allowed_hosts", "allowed_origins", "anchors", mode="before")
    @classmethod
    def _several(cls, written: object) -> object:
        return tuple(filter(None, map(str.strip, written.split(",")))) if isinstance(written, str) else written

    @field_validator("trusted_proxies", mode="after")
    @classmethod
    def _networks(cls, written: tuple[str, ...]) -> tuple[str, ...]:
        for each in written:
            try:
                network = ipaddress.ip_network(each, strict=False)
            except ValueError:
                raise ValueError(f"{each!r} is no network. Expected one like 10.0.0.0/8, or an address") from None
            if network.prefixlen == 0:
                raise ValueError(f"{each!r} is everybody: anyone could then ask in the name of any address")
        return written

    @field_validator("allowed_hosts", mode="after")
    @classmethod
    def _hosts(cls, written: tuple[str, ...]) -> tuple[str, ...]:
        for each in written:
            if not _HOST.fullmatch(each.removeprefix("*.").strip("[]")):
                raise ValueError(f"{each!r} is no host. Expected one like models.example.org or *.example.org, no port")
        return written

    @field_validator("anchors", mode="after")
    @classmethod
    def _places(cls, written: tuple[str, ...]) -> tuple[str, ...]:
        for each in written:
            try:
                parse_place(each)
            except BadInput as wrong:
                raise ValueError(f"{wrong.message} {wrong.hint}".rstrip(".")) from None
        return written

    @field_validator("allowed_origins", mode="after")
    @classmethod
    def _origins(cls, written: tuple[str, ...]) -> tuple[str, ...]:
        for each in written:
            if not _ORIGIN.fullmatch(each):
                raise ValueError(f"{each!r} is no origin. Expected one like https://models.example.org, and no path")
        return written

    @property
    def seen_as(self) -> str:
        """The host by which others find what listens here: the first name that was allowed, else the address."""
        named = (host for host in self.allowed_hosts if not host.startswith("*.") and not is_loopback(host))
        return next(named, reached_at(self.host))

    @property
    def served_at(self) -> str:
        """What the address of an endpoint begins with: scheme and host, without the port."""
        host = f"[{self.seen_as}]" if ":" in self.seen_as else self.seen_as
        return f"https://{host}" if self.serving_tls_certificate is not None else f"http://{host}"

    @property
    def reachable_by(self) -> str:
        """What lets others than this machine reach the server, "" when nothing does."""
        if not is_loopback(self.host):
            return f"--host {self.host}"
        if self.trusted_proxies:
            return f"--trusted-proxies {','.join(self.trusted_proxies)}"
        far = [host for host in self.allowed_hosts if not is_loopback(host)]
        return f"--allowed-hosts {','.join(far)}" if far else ""


def require_certificate(settings: Settings) -> None:
    """Raise BadInput when endpoints are to speak TLS and could not."""
    certificate, key = settings.serving_tls_certificate, settings.serving_tls_key
    if certificate is None and key is None:
        return
    names = "LOCKGATE_SERVING_TLS_CERTIFICATE and LOCKGATE_SERVING_TLS_KEY"
    if certificate is None or key is None:
        raise BadInput("Of certificate and key of the endpoints one was told.", hint=f"Set both: {names}.")
    if missing := next((path for path in (certificate, key) if not path.is_file()), None):
        raise BadInput(f"{missing} is not there, or no file.", hint=f"{names} name files in PEM.")
    try:
        # a password would be asked for on a terminal that a worker has not
        ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER).load_cert_chain(certificate, key, password=lambda: b"")
    except (OSError, ValueError) as wrong:
        raise BadInput(
            f"{certificate} and {key} are no certificate and its key: {wrong}.",
            hint=f"{names} are files in PEM: the certificate with its chain, the key without a password.",
        ) from None


def require_people(settings: Settings, *, there_are: bool) -> None:
    """Raise BadInput when others than this machine could reach a server on which nobody has to log in."""
    if settings.reachable_by and not there_are:
        raise BadInput(
            f"{settings.reachable_by} lets other machines reach this server, and it has no users yet: anyone there "
            "could act under any name.",
            hint=f"Start it once with --users, which makes the first administrator, or make the first user while it "
            f"listens on loopback alone: {FIRST_USER}",
        )


def require_passphrase(settings: Settings, environment: Mapping[str, str]) -> None:
    """Raise BadInput when MLflow's gateway is open, and its secrets would be stored under a passphrase all know."""
    if Router.GATEWAY in settings.mlflow_routers and not environment.get(GATEWAYS_PASSPHRASE):
        raise BadInput(
            f"The gateway stores the keys of its providers encrypted, and {GATEWAYS_PASSPHRASE} is not set: MLflow "
            "would take a passphrase that stands in its source.",
            hint=f"Set {GATEWAYS_PASSPHRASE} to a long secret text, the same at every start and on all machines of one "
            "database, or leave gateway out of --mlflow-routers. docs/reference/routes.md tells what to do with keys "
            "that were stored without it.",
        )


def without_passwords(text: str) -> str:
    """The same text with the password of every address in it replaced: for messages, logs and lists of processes."""
    return _PASSWORDS.sub(lambda found: f"{found['before'] or found['option']}***", text)


def is_loopback(host: str) -> bool:
    """Whether only this machine can reach the address. A name other than localhost counts as reachable."""
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return False


def reached_at(host: str) -> str:
    """Where this machine itself finds what listens on that address: one that means all addresses is none to ask."""
    try:
        address = ipaddress.ip_address(host.strip("[]"))
    except ValueError:
        return host
    if address.is_unspecified:
        return "::1" if address.version == 6 else "127.0.0.1"
    return str(address)


def login() -> str:
    """The name this process acts under when none was given: the one of the account it runs in."""
    try:
        return getpass.getuser()
    except (OSError, KeyError):  # an account without a name, as in some containers
        return "anonymous"


def load(told: Mapping[str, Any] | None = None) -> Settings:
    """The settings with what was told put over the environment; None and missing entries fall through to it.

    Raises BadInput naming each wrong setting, what was seen and what was expected.
    """
    try:
        said = {name: value for name, value in (told or {}).items() if value is not None}
        return Settings.model_validate(_environment() | said)
    except ValidationError as wrong:
        hint = "docs/reference/settings.md says what each setting may be. An option beats the environment."
        raise BadInput(_explained(wrong), hint=hint) from None


def _environment() -> dict[str, str]:
    """What the environment says, in any case of its names; an empty variable says nothing.

    Not by pydantic-settings: it holds 8 MB in every process of a node for this.
    """
    written = {name.lower(): value for name, value in os.environ.items() if value}
    named = {name: f"{PREFIX}{name}".lower() for name in Settings.model_fields}
    return {name: written[variable] for name, variable in named.items() if variable in written}


def _explained(wrong: ValidationError) -> str:
    # a default that depends on a wrong setting is no second mistake
    errors = [e for e in wrong.errors(include_url=False) if e["type"] != "default_factory_not_called"]
    return " ".join(_one(error) for error in errors)


def _one(error: Any) -> str:
    name = _named(str(error["loc"][0])) if error["loc"] else "settings"
    because = str(error["msg"]).removeprefix("Value error, ")
    if error["type"] == "value_error":
        return f"{name}: {because}."
    return f"{name}: {because}, not {error['input']!r}."


def _named(setting: str) -> str:
    """How it can be told. Where a wrong value came from is not known: the option may have been left out."""
    variable = f"{PREFIX}{setting.upper()}"
    return f"--{setting.replace('_', '-')} (or {variable})" if setting in OPTIONS else variable


def _seconds(written: str | None, *, default: float) -> float:
    """One of MLflow's own settings: what it cannot read itself does not stop us."""
    try:
        return float(written or default)
    except ValueError:
        return default


def _url(host: str, port: int) -> str:
    host = reached_at(host)
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"
