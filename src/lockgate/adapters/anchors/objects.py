"""Checkpoints as objects in S3, each under a key of its own; locked where the bucket has Object Lock."""

from __future__ import annotations

import base64
import hashlib
from datetime import datetime, timedelta
from typing import Any, Protocol

from lockgate.domain.errors import Unavailable


class Store(Protocol):
    """Whatever has boto3's client."""

    @property
    def client(self) -> Any: ...


class S3Anchor:
    """`Anchor`. `lock` is how long an object may not be deleted, None to leave that to the bucket's own rule."""

    def __init__(self, bucket: str, prefix: str, lock: timedelta | None, store: Store) -> None:
        self._bucket = bucket
        self._prefix = prefix.strip("/")
        self._lock = lock
        self._store = store

    @property
    def place(self) -> str:
        return f"s3://{self._bucket}/{self._prefix}" if self._prefix else f"s3://{self._bucket}"

    def put(self, note: str, size: int, at: datetime) -> None:
        """Put it under PREFIX/SIZE.txt, and see that the store has it."""
        from botocore.exceptions import BotoCoreError, ClientError

        key = "/".join(filter(None, (self._prefix, f"{size:020}.txt")))
        body = note.encode()
        # a put with a lock has to bring the body's own digest
        digest = base64.b64encode(hashlib.md5(body, usedforsecurity=False).digest()).decode()
        more: dict[str, Any] = {"ContentMD5": digest, "ContentType": "text/plain; charset=utf-8"}
        if self._lock is not None:
            more |= {"ObjectLockMode": "COMPLIANCE", "ObjectLockRetainUntilDate": at + self._lock}
        try:
            self._store.client.put_object(Bucket=self._bucket, Key=key, Body=body, **more)
        except ClientError as error:
            told = error.response.get("Error", {})
            raise Unavailable(
                f"{self.place} refuses checkpoints: {told.get('Code', '')} {told.get('Message', '')}".strip() + ".",
                hint="The controller's keys must be able to put objects there; with days=N the bucket must have Object "
                "Lock.",
            ) from None
        except BotoCoreError as error:
            raise Unavailable(f"{self.place} does not answer: {error}.", hint="It is tried again.") from None
