"""MLflow's S3 artifact repository, as the server uses it: uploads stream through it, and keys stay in this process."""

from __future__ import annotations

import asyncio
import logging
import posixpath
from collections.abc import AsyncIterable, Iterator
from contextlib import contextmanager, suppress
from mimetypes import guess_type
from typing import Any

from mlflow.exceptions import MlflowException
from mlflow.protos.databricks_pb2 import INTERNAL_ERROR, TEMPORARILY_UNAVAILABLE
from mlflow.server import handlers
from mlflow.store.artifact.artifact_repo import ArtifactRepository, StreamUploadMixin
from mlflow.store.artifact.s3_artifact_repo import BOTO_TO_MLFLOW_ERROR, S3ArtifactRepository

PART = 8 * 2**20  # bytes; S3 takes at least 5 MiB and at most 10,000 parts, so they grow as there are more of them
_GROWS_AFTER = 1_000


def install(artifacts: str, *, direct: bool) -> None:
    """Let MLflow's handlers use it where the artifact root is in S3. `direct` offers presigned addresses to clients."""
    if artifacts.startswith("s3://"):
        # it tells by which way it found its keys, at each start of each worker
        logging.getLogger("botocore.credentials").setLevel(logging.WARNING)
        handlers._artifact_repo = DirectS3(artifacts) if direct else ThroughServer(artifacts)


@contextmanager
def explained() -> Iterator[None]:
    """Turn what boto3 raises into MLflow's error with its status; a traceback would be all that is told else."""
    from botocore.exceptions import BotoCoreError, ClientError

    try:
        yield
    except ClientError as error:
        told = error.response["Error"]
        code = str(told.get("Code"))
        is_its_trouble = error.response.get("ResponseMetadata", {}).get("HTTPStatusCode", 0) >= 500
        kind = BOTO_TO_MLFLOW_ERROR.get(code, TEMPORARILY_UNAVAILABLE if is_its_trouble else INTERNAL_ERROR)
        raise MlflowException(f"S3 answers {code}: {told.get('Message')}", error_code=kind) from None
    except BotoCoreError as error:
        raise MlflowException(f"S3 cannot be used: {error}", error_code=TEMPORARILY_UNAVAILABLE) from None


class _Streams(StreamUploadMixin):
    """Uploads that hold two parts in memory at most, and nothing on the disk."""

    def s3(self) -> S3ArtifactRepository:
        """MLflow's own repository, for its client and its settings."""
        raise NotImplementedError

    def log_artifact_from_stream(self, stream: Any, artifact_file_name: str, artifact_path: str | None = None) -> None:
        """For handlers that are no coroutines; none of them runs behind this server."""

        async def chunks() -> AsyncIterable[bytes]:
            while chunk := await asyncio.to_thread(stream.read, PART):
                yield chunk

        asyncio.run(self.log_artifact_from_async_stream(chunks(), artifact_file_name, artifact_path))

    async def log_artifact_from_async_stream(
        self, chunks: AsyncIterable[bytes], artifact_file_name: str, artifact_path: str | None = None
    ) -> None:
        """Write the object once all of it is there: a client that leaves half-way leaves nothing."""
        bucket, root = self.s3().parse_s3_compliant_uri(self.s3().artifact_uri)
        key = posixpath.join(root, artifact_path or "", posixpath.basename(artifact_file_name))
        # boto3 is imported for the first one, and a client made every few minutes: not on the loop
        client = await asyncio.to_thread(self.s3()._get_s3_client)
        upload = _Upload(self.s3(), client, bucket, key)
        try:
            async for chunk in chunks:
                await upload.add(chunk)
            await upload.finish()
        except BaseException:
            await asyncio.shield(upload.abort())
            raise


class _Upload:
    """One object on its way to S3: a single request when it is small, else parts, one of them under way at a time."""

    def __init__(self, repository: S3ArtifactRepository, client: Any, bucket: str, key: str) -> None:
        self._client = client
        owner = repository._bucket_owner_params
        self._where = {"Bucket": bucket, "Key": key, **owner}
        self._how = {**_content(key), **(repository.get_s3_file_upload_extra_args() or {})}
        self._held = bytearray()
        self._id = ""
        self._parts: list[dict[str, Any]] = []
        self._sending: asyncio.Task[dict[str, Any]] | None = None

    async def add(self, chunk: bytes) -> None:
        self._held += chunk
        if len(self._held) >= PART * (1 + len(self._parts) // _GROWS_AFTER):
            await self._send()

    async def finish(self) -> None:
        if not self._id:
            body = bytes(self._held)
            await asyncio.to_thread(self._call, "put_object", Body=body, **self._how)
            return
        if self._held:
            await self._send()
        await self._sent()
        await asyncio.to_thread(
            self._call, "complete_multipart_upload", UploadId=self._id, MultipartUpload={"Parts": self._parts}
        )

    async def abort(self) -> None:
        """What was sent is thrown away; that it cannot be is S3's to clean up."""
        if self._sending is not None:
            with suppress(Exception):
                await self._sending
        if self._id:
            with suppress(MlflowException):
                await asyncio.to_thread(self._call, "abort_multipart_upload", UploadId=self._id)

    async def _send(self) -> None:
        if not self._id:
            made = await asyncio.to_thread(self._call, "create_multipart_upload", **self._how)
            self._id = made["UploadId"]
        await self._sent()
        body, self._held = bytes(self._held), bytearray()
        number = len(self._parts) + 1
        self._sending = asyncio.create_task(asyncio.to_thread(self._part, number, body))

    async def _sent(self) -> None:
        if self._sending is not None:
            self._parts.append(await self._sending)
            self._sending = None

    def _part(self, number: int, body: bytes) -> dict[str, Any]:
        made = self._call("upload_part", UploadId=self._id, PartNumber=number, Body=body)
        return {"PartNumber": number, "ETag": made["ETag"]}

    def _call(self, method: str, **more: Any) -> Any:
        with explained():
            return getattr(self._client, method)(**self._where, **more)


class ThroughServer(ArtifactRepository, _Streams):
    """S3 behind this server alone: nothing is offered that a client would have to reach S3 for."""

    def __init__(self, artifact_uri: str) -> None:
        super().__init__(artifact_uri)
        self._s3 = S3ArtifactRepository(artifact_uri)

    def s3(self) -> S3ArtifactRepository:
        return self._s3

    def log_artifact(self, local_file: str, artifact_path: str | None = None) -> None:
        """MLflow's own."""
        with explained():
            self._s3.log_artifact(local_file, artifact_path)

    def log_artifacts(self, local_dir: str, artifact_path: str | None = None) -> None:
        """MLflow's own."""
        with explained():
            self._s3.log_artifacts(local_dir, artifact_path)

    def list_artifacts(self, path: str | None = None) -> Any:
        """MLflow's own."""
        with explained():
            return self._s3.list_artifacts(path)

    def _download_file(self, remote_file_path: str, local_path: str) -> None:
        with explained():
            self._s3._download_file(remote_file_path, local_path)

    def delete_artifacts(self, artifact_path: str | None = None) -> None:
        """MLflow's own."""
        with explained():
            self._s3.delete_artifacts(artifact_path)


class DirectS3(S3ArtifactRepository, _Streams):
    """S3 that clients reach themselves by presigned addresses; what comes through the server streams all the same."""

    def s3(self) -> S3ArtifactRepository:
        return self


def _content(key: str) -> dict[str, str]:
    kind, encoding = guess_type(key)
    told = {"ContentType": kind, "ContentEncoding": encoding}
    return {name: value for name, value in told.items() if value is not None}
