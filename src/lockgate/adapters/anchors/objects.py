"""Checkpoints as objects in S3, each under a key of its own; locked where the bucket has Object Lock."""

from __future__ import annotations

import base64
import hashlib
import os
from collections.abc import Mapping
from datetime import datetime, timedelta
from functools import cached_property
from typing import Any

from lockgate.domain.errors import Unavailable


class S3Anchor:
    """`Anchor`. `lock` is how long an object may not be deleted, None to leave that to the bucket's own rule.

    The endpoint is the one that MLflow's own client reads from the environment.
    """

    def __init__(
        self, bucket: str, prefix: str, lock: timedelta | None, environment: Mapping[str, str] = os.environ
    ) -> None:
        self._bucket = bucket
        self._prefix = prefix.strip("/")
        self._lock = lock
        self._environment = environment

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
            self._client.put_object(Bucket=self._bucket, Key=key, Body=body, **more)
        except ClientError as error:
            told = error.response.get("Error", {})
            raise Unavailable(
                f"{self.place} refuses checkpoints: {told.get('Code', '')} {told.get('Message', '')}".strip() + ".",
                hint="The controller's keys must be able to put objects there; with days=N the bucket must have Object "
                "Lock.",
            ) from None
        except BotoCoreError as error:
            raise Unavailable(f"{self.place} does not answer: {error}.", hint="It is tried again.") from None

    @cached_property
    def _client(self) -> Any:
        import boto3
        from botocore.client import Config

        told = self._environment
        config = Config(
            signature_version=told.get("MLFLOW_EXPERIMENTAL_S3_SIGNATURE_VERSION", "s3v4"),
            s3={"addressing_style": told.get("MLFLOW_BOTO_CLIENT_ADDRESSING_STYLE", "auto")},
            connect_timeout=5,
            read_timeout=20,
            retries={"total_max_attempts": 2, "mode": "standard"},
        )
        unverified = told.get("MLFLOW_S3_IGNORE_TLS", "").lower() in ("true", "1")
        endpoint = told.get("MLFLOW_S3_ENDPOINT_URL") or None
        return boto3.session.Session().client(
            "s3", endpoint_url=endpoint, config=config, verify=False if unverified else None
        )
