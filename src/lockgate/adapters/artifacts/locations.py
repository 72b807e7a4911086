"""Where a version's artifacts lie, read from what MLflow stored as its location."""

from __future__ import annotations

import os
import re
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from urllib.parse import unquote

from lockgate.domain.errors import BadInput, Unreadable
from lockgate.domain.places import Location, place_of

_BUCKET = re.compile(r"^[A-Za-z0-9][A-Za-z0-9._-]{1,62}$")


@dataclass(frozen=True, slots=True)
class Folder:
    """A folder of this machine's: `parts` lead to it from `root`."""

    root: Path
    parts: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Objects:
    """All objects of an S3 bucket whose keys begin with `prefix` and a slash."""

    bucket: str
    prefix: str


@dataclass(frozen=True, slots=True)
class Elsewhere:
    """A store of a kind that MLflow speaks and Lockgate does not."""

    uri: str


Root = Folder | Objects | Elsewhere


def root_of(written: str) -> Root:
    """The artifact root that `--artifacts` names. Raises BadInput for what can be none."""
    uri = Location.parse(written)
    match uri.scheme:
        case "":
            return Folder(Path(written).absolute())
        case "file":
            return Folder(Path(unquote(uri.path)))
        case "s3":
            if not _BUCKET.match(uri.host):
                raise BadInput(f"{written!r} names no S3 bucket.", hint="Write it like s3://bucket/prefix.")
            return Objects(uri.host, uri.path.strip("/"))
    return Elsewhere(written)


def names_of(root: Root) -> tuple[str, ...]:
    """What the root's place is called: a folder that is reached through a link has two names."""
    match root:
        case Folder(path):
            found = (f"file:{os.path.abspath(path)}", f"file:{os.path.realpath(path)}")
            return tuple(dict.fromkeys(found))
        case Objects(bucket, prefix):
            return (f"s3://{bucket}/{prefix}".rstrip("/"),)
        case Elsewhere(uri):
            return tuple(filter(None, (place_of(uri),)))


def find(location: str, root: Root) -> Folder | Objects:
    """The place of one version's artifacts.

    Understands `mlflow-artifacts:` (which the server proxies from its root), `s3:`, and `file:` or absolute paths
    inside a root on this machine. Raises Unreadable for any other, for the whole store and for a path with `..` in it.
    """
    uri = Location.parse(location)
    match uri.scheme:
        case "mlflow-artifacts":
            return _below(_parts(unquote(uri.path).lstrip("/"), location), location, root)
        case "s3":
            return _objects(uri, location)
        case "file":
            if uri.host not in ("", "localhost"):
                raise Unreadable(
                    f"The artifacts at {location} are on another machine ({uri.host}).",
                    hint="Log the model through the server, so that its artifacts are in the artifact store.",
                )
            return _inside(unquote(uri.path), location, root)
        case "":
            return _inside(location, location, root)
    raise _unknown(location, uri.scheme)


def _below(parts: tuple[str, ...], location: str, root: Root) -> Folder | Objects:
    if not parts:
        raise _whole_store(location)
    match root:
        case Folder(path):
            return Folder(path, parts)
        case Objects(bucket, prefix):
            return Objects(bucket, "/".join((prefix, *parts)) if prefix else "/".join(parts))
        case Elsewhere(uri):
            raise _unknown(location, Location.parse(uri).scheme)


def _objects(uri: Location, location: str) -> Objects:
    key = uri.path.strip("/")
    if not _BUCKET.match(uri.host):
        raise Unreadable(f"{location!r} names no S3 bucket.", hint="Log the model again.")
    if not key:
        raise _whole_store(location)
    _parts(key, location)
    return Objects(uri.host, key)


def _inside(path: str, location: str, root: Root) -> Folder:
    if not path.startswith("/"):
        raise Unreadable(
            f"{location!r} is not a place where artifacts can be.",
            hint="Expected is mlflow-artifacts:/…, s3://…, or file:///… or an absolute path inside the artifact store.",
        )
    parts = _parts(path, location)
    if isinstance(root, Folder):
        # the root itself may be reached through a link (as /tmp is on macOS); what lies below it may not
        for start in (os.path.abspath(root.root), os.path.realpath(root.root)):
            leading = PurePosixPath(start).parts
            if ("/", *parts)[: len(leading)] == leading:
                below = parts[len(leading) - 1 :]
                if not below:
                    raise _whole_store(location)
                return Folder(root.root, below)
    raise Unreadable(
        f"The artifacts at {location} are outside the artifact store.",
        hint="Log the model through the server, so that its artifacts are in the artifact store.",
    )


def _parts(path: str, location: str) -> tuple[str, ...]:
    parts = tuple(part for part in path.split("/") if part not in ("", "."))
    if ".." in parts or any("\0" in part for part in parts):
        raise Unreadable(f"The location {location!r} leaves the artifact store.", hint="Log the model again.")
    return parts


def _whole_store(location: str) -> Unreadable:
    return Unreadable(
        f"{location!r} is the whole artifact store, not one version's folder.", hint="Log the model again."
    )


def _unknown(location: str, scheme: str) -> Unreadable:
    return Unreadable(
        f"The artifacts at {location} are in a store of the kind {scheme!r}, which cannot be read here.",
        hint="Log the model to a server whose artifacts are on its disk or in S3.",
    )
