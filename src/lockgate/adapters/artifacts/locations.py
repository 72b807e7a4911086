"""Where a version's artifacts lie below the artifact root, read from what MLflow stored as its location."""

from __future__ import annotations

import os
import re
from pathlib import Path, PurePosixPath
from urllib.parse import unquote

from lockgate.domain.errors import Unreadable

_URI = re.compile(r"^(?P<scheme>[A-Za-z][A-Za-z0-9+.-]*):(?://(?P<host>[^/]*))?(?P<path>.*)$", re.DOTALL)


def below_root(location: str, root: Path) -> tuple[str, ...]:
    """The folder names that lead from the artifact root to the artifacts.

    Understands `mlflow-artifacts:` (which the server proxies from its root), `file:` and absolute paths.
    Raises Unreadable for any other scheme, for a path outside the root and for one with `..` in it.
    """
    parts = _read(location, root)
    if not parts:
        raise Unreadable(
            f"{location!r} is the whole artifact store, not one version's folder.", hint="Log the model again."
        )
    return parts


def _read(location: str, root: Path) -> tuple[str, ...]:
    uri = _URI.match(location)
    if uri is None:
        return _inside(location, location, root)
    scheme = uri["scheme"].lower()
    if scheme == "mlflow-artifacts":
        return _parts(unquote(uri["path"]).lstrip("/"), location)
    if scheme == "file":
        if uri["host"] not in (None, "", "localhost"):
            raise Unreadable(
                f"The artifacts at {location} are on another machine ({uri['host']}).",
                hint="Log the model through the server, so that its artifacts are in the artifact store.",
            )
        return _inside(unquote(uri["path"]), location, root)
    raise Unreadable(
        f"The artifacts at {location} are in a store of the kind {scheme!r}, which cannot be read here.",
        hint="Log the model to a server with local artifacts (mlflow-artifacts: or file: locations).",
    )


def _inside(path: str, location: str, root: Path) -> tuple[str, ...]:
    if not path.startswith("/"):
        raise Unreadable(
            f"{location!r} is not a place where artifacts can be.",
            hint="Expected is mlflow-artifacts:/…, file:///… or an absolute path inside the artifact store.",
        )
    parts = _parts(path, location)
    # the root itself may be reached through a link (as /tmp is on macOS); what lies below it may not
    for start in (os.path.abspath(root), os.path.realpath(root)):
        leading = PurePosixPath(start).parts
        if ("/", *parts)[: len(leading)] == leading:
            return parts[len(leading) - 1 :]
    raise Unreadable(
        f"The artifacts at {location} are outside the artifact store.",
        hint="Log the model through the server, so that its artifacts are in the artifact store.",
    )


def _parts(path: str, location: str) -> tuple[str, ...]:
    parts = tuple(part for part in path.split("/") if part not in ("", "."))
    if ".." in parts or any("\0" in part for part in parts):
        raise Unreadable(f"The location {location!r} leaves the artifact store.", hint="Log the model again.")
    return parts
