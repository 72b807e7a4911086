"""Where artifacts lie, written in one way, so that two locations of one place are found to be the same."""

from __future__ import annotations

import posixpath
import re
from collections.abc import Iterable
from dataclasses import dataclass
from urllib.parse import unquote

PROXIED = "mlflow-artifacts:"
DEFAULT_WORKSPACE = "default"
_URI = re.compile(r"^(?P<scheme>[A-Za-z][A-Za-z0-9+.-]*):(?://(?P<host>[^/]*))?(?P<path>.*)$", re.DOTALL)
_PROXY_ROUTE = "/api/2.0/mlflow-artifacts/artifacts/"


@dataclass(frozen=True, slots=True)
class Location:
    """A location as MLflow stores it, taken apart: scheme (empty for a plain path), host, and path as written."""

    scheme: str
    host: str
    path: str

    @classmethod
    def parse(cls, written: str) -> Location:
        """Any text; a URL of a server's artifact route counts as what that server proxies."""
        uri = _URI.match(written)
        if uri is None:
            return cls("", "", written)
        scheme, host, path = uri["scheme"].lower(), uri["host"] or "", uri["path"]
        if scheme in ("http", "https") and _PROXY_ROUTE in path:
            return cls("mlflow-artifacts", "", "/" + path.partition(_PROXY_ROUTE)[2])
        return cls(scheme, host, path)


def place_of(location: str) -> str | None:
    """The one way to write the place of a location, without a slash at its end; None where it names no place.

    `mlflow-artifacts://host/1//a/`, `mlflow-artifacts:/1/a` and a URL of the artifact route are one place.
    """
    found = Location.parse(location)
    match found.scheme:
        case "":
            return f"file:{_clean(found.path)}" if found.path.startswith("/") else None
        case "file":
            return f"file:{_clean(unquote(found.path))}"
        case "mlflow-artifacts":
            return proxied(unquote(found.path))
        case "models" | "runs":
            return None  # names of other places: MLflow resolves them when it stores them
        case scheme:
            return f"{scheme}://{found.host}{_clean(found.path)}" if found.host else None


def proxied(path: str) -> str:
    """The place of what the server proxies at a path below its artifact root."""
    return PROXIED + _clean(path)


def within(location: str, workspace: str) -> str:
    """The location as MLflow's server proxies it for that workspace: each but the default one has a folder of its own.

    What lies in another workspace's folder is told in words that name no place.
    """
    found = Location.parse(location)
    if found.scheme != "mlflow-artifacts":
        return location
    parts = [part for part in unquote(found.path).split("/") if part]
    if parts[:1] == ["workspaces"]:
        return location if parts[1:2] == [workspace] else f"{'/'.join(parts)} (of another workspace)"
    if workspace == DEFAULT_WORKSPACE:
        return location
    return f"{PROXIED}/workspaces/{workspace}/{found.path.lstrip('/')}"


def same_places(place: str, roots: Iterable[str]) -> tuple[str, ...]:
    """All ways to name the place, given what the server's artifact root is called: by the store, and proxied."""
    found = [place]
    for root in roots:
        if place.startswith(f"{PROXIED}/"):
            found.append(root.rstrip("/") + place.removeprefix(PROXIED))
        elif f"{place}/".startswith(f"{root}/"):
            found.append(PROXIED + (place.removeprefix(root) or "/"))
    return tuple(dict.fromkeys(found))


def leading_to(place: str) -> tuple[str, ...]:
    """The place itself and every folder that it lies in, the nearest first."""
    start = len(place) - len(_path_of(place))
    parts = place[start:].strip("/").split("/")
    return tuple(place[:start] + "/" + "/".join(parts[:count]) for count in range(len(parts), 0, -1))


def is_one_versions(place: str, roots: Iterable[str] = ()) -> bool:
    """Whether a version can have the place for itself: the whole store or a whole experiment's folder it cannot.

    `roots` are the names by which the store that the server proxies can be meant.
    """
    for root in (root.rstrip("/") for root in roots):
        if f"{root}/".startswith(f"{place.rstrip('/')}/"):
            return False
        if place.startswith(f"{root}/"):
            return is_one_versions(PROXIED + place.removeprefix(root))
    parts = [part for part in _path_of(place).split("/") if part]
    if place.startswith(f"{PROXIED}/"):
        if parts[:1] == ["workspaces"]:
            parts = parts[2:]
        return len(parts) > 1 or (len(parts) == 1 and not parts[0].isdigit())
    return bool(parts)


def _path_of(place: str) -> str:
    scheme, _, rest = place.partition(":")
    return "/" + rest[2:].partition("/")[2] if rest.startswith("//") else place[len(scheme) + 1 :]


def _clean(path: str) -> str:
    # normpath keeps two leading slashes, which mean nothing here
    return posixpath.normpath("/" + path.strip("/"))
