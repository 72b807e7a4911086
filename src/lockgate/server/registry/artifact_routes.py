"""Which requests move artifacts, found by method and path, and what each of them does."""

from __future__ import annotations

import re
from dataclasses import dataclass
from enum import Enum


class Kind(Enum):
    """What a route does with artifacts, and how it names them."""

    UPLOAD = "upload"
    DELETE = "delete"
    MULTIPART = "multipart"
    PRESIGNED_UPLOAD = "presigned upload"
    UPLOAD_TO_RUN = "upload to run"
    PROMPTLAB_RUN = "promptlab run"
    DOWNLOAD = "download"
    DOWNLOAD_OF_RUN = "download of run"
    DOWNLOAD_OF_VERSION = "download of version"
    DOWNLOAD_OF_LOGGED_MODEL = "download of logged model"

    @property
    def is_download(self) -> bool:
        return self.value.startswith("download")


@dataclass(frozen=True, slots=True)
class Route:
    """One request: its kind, and the path (or the logged model's id) that its own path ends with."""

    kind: Kind
    path: str = ""


_SLASHES = re.compile(r"/{2,}")
_PROXY = r"^/(?:ajax-)?api/2\.0/mlflow-artifacts"
_PATTERNS = tuple(
    (method, re.compile(pattern, re.DOTALL), kind)
    for method, pattern, kind in (
        ("PUT", rf"{_PROXY}/artifacts/(.*)$", Kind.UPLOAD),
        ("DELETE", rf"{_PROXY}/artifacts/(.*)$", Kind.DELETE),
        ("GET", rf"{_PROXY}/artifacts/(.+)$", Kind.DOWNLOAD),
        # an upload that is given up writes nothing, so that is free
        ("POST", rf"{_PROXY}/mpu/(?:create|complete)/?(.*)$", Kind.MULTIPART),
        ("POST", r"^/(?:ajax-)?api/2\.0/mlflow/artifacts/presigned-upload-url/?()$", Kind.PRESIGNED_UPLOAD),
        ("POST", r"^/ajax-api/2\.0/mlflow/upload-artifact/?()$", Kind.UPLOAD_TO_RUN),
        # writes a model of its own below wherever its experiment keeps its artifacts
        ("POST", r"^/ajax-api/2\.0/mlflow/runs/create-promptlab-run/?()$", Kind.PROMPTLAB_RUN),
        ("GET", r"^/get-artifact()$", Kind.DOWNLOAD_OF_RUN),
        ("GET", r"^/model-versions/get-artifact()$", Kind.DOWNLOAD_OF_VERSION),
        (
            "GET",
            r"^/ajax-api/2\.0/mlflow/logged-models/([^/]+)/artifacts/files$",
            Kind.DOWNLOAD_OF_LOGGED_MODEL,
        ),
    )
)


def find(method: str, path: str) -> Route | None:
    """The route of a request whose path is unquoted, or None when it moves no artifacts."""
    if "artifact" not in path and "promptlab" not in path:
        return None
    path = _SLASHES.sub("/", path)
    for of, pattern, kind in _PATTERNS:
        if of == method and (found := pattern.match(path)) is not None:
            return Route(kind, found[1])
    return None
