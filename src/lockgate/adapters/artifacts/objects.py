"""Reading one version's files from S3: what was fetched once and has not changed since is not fetched again."""

from __future__ import annotations

import hashlib
import json
import os
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from lockgate.adapters.artifacts.locations import Objects
from lockgate.adapters.artifacts.reading import (
    CHUNK,
    DEEPEST,
    LIMITS,
    LONGEST_NAME,
    Count,
    Limits,
    Sink,
    changed,
    too_large,
    unreadable,
)
from lockgate.domain.errors import Unreadable
from lockgate.domain.manifest import Manifest, PinnedFile

_ATTEMPTS = 3
_TRY_LATER = "Try again when the store answers."
_LOOK_AT_KEYS = "Give the server and the controller keys that may read there (AWS_ACCESS_KEY_ID and the like)."
_REFUSALS = frozenset(
    {"403", "AccessDenied", "InvalidAccessKeyId", "SignatureDoesNotMatch", "ExpiredToken", "AllAccessDisabled"}
)


class S3:
    """boto3's client, made when it is first needed, with the settings that MLflow's own client reads."""

    def __init__(self, environment: Mapping[str, str] = os.environ) -> None:
        self._environment = environment
        self._lock = threading.Lock()
        self._made: Any = None

    @property
    def endpoint(self) -> str:
        """The server's URL; empty for Amazon's own."""
        return self._environment.get("MLFLOW_S3_ENDPOINT_URL", "")

    @property
    def client(self) -> Any:
        """The client; any thread may use it."""
        with self._lock:
            if self._made is None:
                self._made = self._make()
            return self._made

    def _make(self) -> Any:
        # 25 MB and a third of a second, which only those pay who have artifacts in S3
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
        session = boto3.session.Session()
        return session.client(
            "s3", endpoint_url=self.endpoint or None, config=config, verify=False if unverified else None
        )


@dataclass(frozen=True, slots=True)
class Object:
    """One object of a listing. The server sets `etag` and `modified` at every write, and nobody else can."""

    path: str
    key: str
    size: int
    etag: str
    modified: str

    def mark(self, place: str) -> str:
        """A name for exactly these bytes at that server and bucket."""
        told = json.dumps([place, self.key, self.size, self.etag, self.modified])
        return hashlib.sha256(told.encode()).hexdigest()


@dataclass(frozen=True, slots=True)
class Remembered:
    """The hashes of objects that were read, in a folder of the cache: lost, they are read again."""

    folder: Path

    def find(self, mark: str) -> str | None:
        """The SHA-256 of the object with that mark."""
        with suppress(OSError, ValueError):
            told = (self.folder / mark[:2] / mark).read_text()
            return told if len(told) == 64 and int(told, 16) >= 0 else None
        return None

    def keep(self, mark: str, sha256: str) -> None:
        """Remember it, if there is room for that."""
        path = self.folder / mark[:2] / mark
        making = path.with_suffix(f".{os.getpid()}-{threading.get_ident()}")
        with suppress(OSError):
            path.parent.mkdir(parents=True, exist_ok=True)
            making.write_text(sha256)
            making.rename(path)


@dataclass(frozen=True, slots=True)
class _Pinned:
    """A file of the manifest, and whether its bytes were read just now."""

    file: PinnedFile
    fetched: bool


@dataclass(frozen=True, slots=True)
class Prefix:
    """The objects below a prefix, as a folder. `told` is how people know it; `room` refuses what has no room here."""

    s3: S3
    place: Objects
    told: str
    remembered: Remembered
    limits: Limits = LIMITS
    room: Callable[[int], None] = field(default=lambda _size: None)

    def read(self, sink: Sink) -> Manifest | None:
        """As in the port. An object that was written meanwhile is refused, as are keys that can be no file's path."""
        listed = self._list()
        if not listed:
            return None
        self.room(sum(each.size for each in listed))
        pinned = [self._known(each, sink) or self._take(each, sink) for each in listed]
        # when all were known, they are what one listing saw
        if any(each.fetched for each in pinned):
            self._compare(listed, self._list())
        return Manifest.of(each.file for each in pinned)

    def read_one(self, name: str, most: int) -> bytes | None:
        """As in the port."""
        from botocore.exceptions import BotoCoreError, ClientError, HTTPClientError

        with self._explained():
            try:
                told = self.s3.client.get_object(Bucket=self.place.bucket, Key=f"{self.place.prefix}/{name}")
            except ClientError as error:
                if str(error.response["Error"].get("Code")) in ("NoSuchKey", "404"):
                    return None
                raise
        body = told["Body"]
        try:
            found: bytes = body.read(most + 1)
        except (BotoCoreError, HTTPClientError, OSError) as error:
            raise unreadable(self.told, f"cannot be read: {error} ({name})", _TRY_LATER) from None
        finally:
            body.close()
        if len(found) > most:
            raise too_large(self.told, name, most)
        return found

    def _compare(self, before: list[Object], after: list[Object]) -> None:
        for each in sorted(set(before) ^ set(after), key=lambda each: each.path):
            raise changed(self.told, each.path)

    def _list(self) -> list[Object]:
        count, found = Count(self.told, self.limits), []
        with self._explained():
            pages = self.s3.client.get_paginator("list_objects_v2").paginate(
                Bucket=self.place.bucket, Prefix=f"{self.place.prefix}/"
            )
            for page in pages:
                for told in page.get("Contents", ()):
                    each = self._object(told)
                    if each.size == 0 and each.path.endswith("/"):
                        continue  # how consoles show an empty folder
                    count.add(each.size)
                    self._refuse_odd(each.path)
                    found.append(each)
        self._refuse_both_file_and_folder(found)
        return found

    def _object(self, told: Mapping[str, Any]) -> Object:
        key = str(told["Key"])
        path = key.removeprefix(f"{self.place.prefix}/")
        return Object(path, key, int(told["Size"]), str(told["ETag"]), told["LastModified"].isoformat())

    def _refuse_odd(self, path: str) -> None:
        parts = path.split("/")
        if any(part in ("", ".", "..") or "\0" in part or len(part.encode()) > LONGEST_NAME for part in parts):
            raise unreadable(self.told, f"hold an object whose key is no path of a file: {path[:200]!r}")
        if len(parts) > DEEPEST + 1:
            raise unreadable(self.told, f"have folders more than {DEEPEST} deep, at {path[:200]}")

    def _refuse_both_file_and_folder(self, found: list[Object]) -> None:
        files = {each.path for each in found}
        for each in found:
            above = each.path
            while "/" in above:
                above = above.rpartition("/")[0]
                if above in files:
                    raise unreadable(self.told, f"hold an object that is a folder of others, too: {above[:200]}")

    def _known(self, each: Object, sink: Sink) -> _Pinned | None:
        sha256 = self.remembered.find(self._mark(each))
        file = PinnedFile(each.path, each.size, sha256 or "")
        return _Pinned(file, fetched=False) if sha256 and sink.keep(file) else None

    def _take(self, each: Object, sink: Sink) -> _Pinned:
        mark = self._mark(each)
        file = sink.take(each.path, lambda offset: self._fetch(each, offset), mark)
        if file.size != each.size:
            raise changed(self.told, each.path)
        self.remembered.keep(mark, file.sha256)
        return _Pinned(file, fetched=True)

    def _mark(self, each: Object) -> str:
        return each.mark(f"{self.s3.endpoint}/{self.place.bucket}")

    def _fetch(self, each: Object, offset: int) -> Iterator[bytes]:
        """The bytes from there on; a connection that breaks is taken up where it broke, as long as it brings some."""
        in_vain = 0
        while offset < each.size:
            began = offset
            try:
                for chunk in self._get(each, offset):
                    offset += len(chunk)
                    yield chunk
            except _Broken as broken:
                in_vain = 0 if offset > began else in_vain + 1
                if in_vain == _ATTEMPTS:
                    raise unreadable(self.told, f"cannot be read: {broken} ({each.path})", _TRY_LATER) from None

    def _get(self, each: Object, offset: int) -> Iterator[bytes]:
        from botocore.exceptions import BotoCoreError, HTTPClientError

        told: dict[str, Any] = {"Bucket": self.place.bucket, "Key": each.key, "IfMatch": each.etag}
        if offset:
            told["Range"] = f"bytes={offset}-"
        with self._explained(each):
            body = self.s3.client.get_object(**told)["Body"]
        got = 0
        try:
            while chunk := body.read(CHUNK):
                got += len(chunk)
                yield chunk
        except (BotoCoreError, HTTPClientError, OSError) as error:
            raise _Broken(f"{error}") from None
        finally:
            body.close()
        if got != each.size - offset:
            raise _Broken("the connection ended early")

    @contextmanager
    def _explained(self, each: Object | None = None) -> Iterator[None]:
        from botocore.exceptions import BotoCoreError, ClientError, NoCredentialsError, PartialCredentialsError

        where = f" ({each.path})" if each else ""
        try:
            yield
        except ClientError as error:
            raise self._refused(error, each) from None
        except (NoCredentialsError, PartialCredentialsError):
            raise unreadable(self.told, "cannot be read: there are no keys for S3", _LOOK_AT_KEYS) from None
        except BotoCoreError as error:
            raise unreadable(self.told, f"cannot be read: {error}{where}", _TRY_LATER) from None

    def _refused(self, error: Any, each: Object | None) -> Unreadable:
        code, message = str(error.response["Error"].get("Code")), str(error.response["Error"].get("Message"))
        if each is not None and code in ("PreconditionFailed", "412", "NoSuchKey", "404"):
            return changed(self.told, each.path)
        if code in _REFUSALS:
            return unreadable(self.told, f"cannot be read: S3 refuses the keys ({code}: {message})", _LOOK_AT_KEYS)
        if code == "NoSuchBucket":
            return unreadable(self.told, f"cannot be read: there is no bucket {self.place.bucket}")
        return unreadable(self.told, f"cannot be read: S3 says {code}: {message}", _TRY_LATER)


class _Broken(Exception):
    """A connection ended in the middle of an object."""
