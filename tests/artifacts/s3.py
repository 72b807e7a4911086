"""The S3 store of a test run: one server for all its processes, and a prefix of its own for each test.

The server is the one that `LOCKGATE_TEST_S3` names (its URL; the keys and the bucket are those of `swift.py`), else one
of our own, which a keeper process stops when the test run is gone.
"""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import subprocess
import sys
import time
import uuid
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import pytest

from tests.artifacts import swift
from tests.databases import postgres

GIVEN = "LOCKGATE_TEST_S3"
_LIMIT = 90.0
_ROOT = Path(__file__).resolve().parents[2]


@dataclass(frozen=True)
class Bucket:
    """A place in the run's S3 server that nobody else writes to: `uri` names it, `environment` holds the keys."""

    endpoint: str
    prefix: str
    bucket: str = swift.BUCKET

    @property
    def uri(self) -> str:
        return f"s3://{self.bucket}/{self.prefix}"

    @property
    def environment(self) -> dict[str, str]:
        """What a server must be told to reach it, in the words of MLflow and boto3."""
        return {
            "AWS_ACCESS_KEY_ID": swift.KEY,
            "AWS_SECRET_ACCESS_KEY": swift.SECRET,
            "AWS_DEFAULT_REGION": swift.REGION,
            "MLFLOW_S3_ENDPOINT_URL": self.endpoint,
            "MLFLOW_BOTO_CLIENT_ADDRESSING_STYLE": "path",
        }

    @cached_property
    def client(self) -> Any:
        return swift.client(self.endpoint)

    def put(self, path: str, body: bytes) -> None:
        """Write an object below the prefix."""
        self.client.put_object(Bucket=self.bucket, Key=f"{self.prefix}/{path}", Body=body)

    def get(self, path: str) -> bytes:
        """Read one."""
        body: bytes = self.client.get_object(Bucket=self.bucket, Key=f"{self.prefix}/{path}")["Body"].read()
        return body

    def delete(self, path: str) -> None:
        """Delete one."""
        self.client.delete_object(Bucket=self.bucket, Key=f"{self.prefix}/{path}")

    def paths(self) -> Mapping[str, int]:
        """Every object below the prefix, with its size."""
        found = self.client.get_paginator("list_objects_v2").paginate(Bucket=self.bucket, Prefix=f"{self.prefix}/")
        objects = [each for page in found for each in page.get("Contents", ())]
        return {each["Key"].removeprefix(f"{self.prefix}/"): each["Size"] for each in objects}


def bucket(tmp_path_factory: pytest.TempPathFactory) -> Bucket:
    """A new prefix in the run's server, which is started when nobody has yet asked for it."""
    endpoint = os.environ.get(GIVEN) or _kept(postgres.shared_folder(tmp_path_factory))
    return Bucket(endpoint, f"tests/{uuid.uuid4().hex}")


def _kept(shared: Path) -> str:
    state = shared / "s3.json"
    with (shared / "s3.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not state.exists():
            _keep(state, shared / "s3.log")
    told = json.loads(state.read_text())
    if "error" in told:
        raise RuntimeError(f"no S3 server for the tests: {told['error']}")
    return str(told["endpoint"])


def _keep(state: Path, log: Path) -> None:
    command = [sys.executable, "-W", "ignore", "-m", "tests.artifacts.swift", str(state)]
    command.append(str(postgres._controller()))
    with log.open("ab") as output:
        subprocess.run(
            command, check=True, timeout=_LIMIT, cwd=_ROOT, stdin=subprocess.DEVNULL, stdout=output, stderr=output,
            start_new_session=True,
        )  # fmt: skip
    give_up = time.monotonic() + _LIMIT
    while not state.exists():
        if time.monotonic() > give_up:
            with contextlib.suppress(OSError):
                raise RuntimeError(f"no S3 server within {_LIMIT:g} s:\n{log.read_text()}")
        time.sleep(0.05)
