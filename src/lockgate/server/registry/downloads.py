"""Downloads of artifacts, streamed: MLflow's own bridge would hold a file whole, in memory or on a disk of ours."""

from __future__ import annotations

import asyncio
import errno
import os
import posixpath
from collections.abc import AsyncIterator, Callable
from contextlib import closing
from dataclasses import dataclass
from typing import Any
from urllib.parse import parse_qs

import anyio.to_thread
from mlflow.exceptions import MlflowException
from mlflow.protos.databricks_pb2 import RESOURCE_DOES_NOT_EXIST
from mlflow.server import handlers
from mlflow.store.artifact.s3_artifact_repo import S3ArtifactRepository
from mlflow.utils.mime_type_utils import _guess_mime_type
from mlflow.utils.uri import validate_path_is_safe
from starlette.responses import FileResponse, Response, StreamingResponse

from lockgate.server import replies
from lockgate.server.registry.artifact_routes import Kind, Route
from lockgate.server.registry.s3_repository import ThroughServer, explained
from lockgate.server.replies import Receive, Scope, Send

CHUNK = 1 << 20  # bytes
_Place = tuple[Any, str]
"""An artifact repository of MLflow's, and a path in it."""
_MISSING = ("NoSuchKey", "404")


async def download(route: Route, scope: Scope, receive: Receive, send: Send) -> bool:
    """Answer with the file; False where MLflow has to, since it is in no store of ours to stream from.

    The errors are MLflow's, with its words and statuses.
    """
    try:
        response = await anyio.to_thread.run_sync(_response, route, scope)
    except MlflowException as error:
        await replies.raw_json(send, error.get_http_status_code(), error.serialize_as_json())
        return True
    except OSError as error:
        if error.errno != errno.ENAMETOOLONG:
            raise
        missing = MlflowException("No such artifact: its name is longer than any here.", RESOURCE_DOES_NOT_EXIST)
        await replies.raw_json(send, missing.get_http_status_code(), missing.serialize_as_json())
        return True
    except ValueError:  # a path that MLflow cannot decode: it says so itself
        return False
    if response is None:
        return False
    await response(scope, receive, send)
    return True


def _response(route: Route, scope: Scope) -> Response | None:
    found = _FIND[route.kind](route, _arguments(scope))
    if found is None:
        return None
    repository, path = found
    if isinstance(repository, ThroughServer):
        repository = repository.s3()
    if isinstance(repository, S3ArtifactRepository):
        return _from_s3(repository, path, scope)
    local = repository.get_local_path(path)
    return None if local is None else _from_disk(os.path.abspath(local), path)


def _arguments(scope: Scope) -> dict[str, str]:
    told = parse_qs(scope["query_string"].decode("latin-1"), keep_blank_values=True)
    return {name: values[0] for name, values in told.items()}


def _of_store(route: Route, _told: dict[str, str]) -> _Place:
    return _proxied(validate_path_is_safe(route.path))


def _of_run(_route: Route, told: dict[str, str]) -> _Place | None:
    run_id = told.get("run_id") or told.get("run_uuid")
    if "path" not in told or not run_id:
        return None  # MLflow says what is wrong with it
    path = validate_path_is_safe(told["path"])
    return _below(handlers._get_tracking_store().get_run(run_id).info.artifact_uri, path)


def _of_version(_route: Route, told: dict[str, str]) -> _Place | None:
    if not {"name", "version", "path"} <= told.keys():
        return None
    path = validate_path_is_safe(told["path"])
    store = handlers._get_model_registry_store()
    return _below(store.get_model_version_download_uri(told["name"], told["version"]), path)


def _of_logged_model(route: Route, told: dict[str, str]) -> _Place | None:
    path = told.get("artifact_file_path")
    if not path:
        return None
    validate_path_is_safe(path)
    return _below(handlers._get_tracking_store().get_logged_model(route.path).artifact_location, path)


_FIND: dict[Kind, Callable[[Route, dict[str, str]], _Place | None]] = {
    Kind.DOWNLOAD: _of_store,
    Kind.DOWNLOAD_OF_RUN: _of_run,
    Kind.DOWNLOAD_OF_VERSION: _of_version,
    Kind.DOWNLOAD_OF_LOGGED_MODEL: _of_logged_model,
}


def _below(location: str, path: str) -> _Place:
    if handlers._is_servable_proxied_run_artifact_root(location):
        return _proxied(handlers._get_proxied_run_artifact_destination_path(location, path))
    # what an experiment was told to keep elsewhere; MLflow refuses hosts that are not its own
    return handlers._get_artifact_repository_for_uri(location), path


def _proxied(path: str) -> _Place:
    scoped = handlers._get_workspace_scoped_repo_path_if_enabled(path)
    return handlers._get_artifact_repo_mlflow_artifacts(), str(scoped)


def _headers(path: str) -> dict[str, str]:
    return {
        "Content-Type": _guess_mime_type(path),
        "Content-Disposition": handlers._content_disposition_attachment(posixpath.basename(path)),
        "X-Content-Type-Options": "nosniff",
    }


def _from_disk(file: str, path: str) -> Response:
    if os.path.isdir(file):
        raise _is_folder(path)
    return FileResponse(file, headers=_headers(path))


def _from_s3(s3: S3ArtifactRepository, path: str, scope: Scope) -> Response:
    found = _open(s3, path, replies.header(scope, b"range"))
    headers = {**_headers(path), "Content-Length": str(found.size), "Accept-Ranges": "bytes"}
    if found.part:
        headers["Content-Range"] = found.part
    return StreamingResponse(_chunks(found.body), 206 if found.part else 200, headers=headers)


@dataclass(frozen=True, slots=True)
class _Found:
    body: Any
    size: int
    part: str


def _open(s3: S3ArtifactRepository, path: str, part: bytes | None) -> _Found:
    from botocore.exceptions import ClientError

    bucket, root = s3.parse_s3_compliant_uri(s3.artifact_uri)
    told = {"Bucket": bucket, "Key": posixpath.join(root, path), **s3._bucket_owner_params}
    if part is not None:
        told["Range"] = part.decode("latin-1")
    with explained():
        try:
            got = s3._get_s3_client().get_object(**told)
        except ClientError as error:
            if str(error.response["Error"].get("Code")) not in _MISSING:
                raise
            if s3.list_artifacts(path):
                raise _is_folder(path) from None
            raise MlflowException(f"No such artifact: '{path}'", error_code=RESOURCE_DOES_NOT_EXIST) from None
    return _Found(got["Body"], int(got["ContentLength"]), str(got.get("ContentRange") or ""))


async def _chunks(body: Any) -> AsyncIterator[bytes]:
    with closing(body):
        # of the threads that wait for S3, which are others than those that answer everything else
        while chunk := await asyncio.to_thread(body.read, CHUNK):
            yield chunk


def _is_folder(path: str) -> MlflowException:
    return MlflowException.invalid_parameter_value(f"Artifact path refers to a directory, not a file: '{path}'")
