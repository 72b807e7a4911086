"""Pinning from a real S3: what is fetched, what is not fetched twice, and what is refused."""

from __future__ import annotations

import hashlib
import os
import uuid
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from lockgate.adapters.artifacts import mlmodel
from lockgate.adapters.artifacts.objects import S3
from lockgate.adapters.artifacts.pinned import PinnedArtifacts
from lockgate.adapters.artifacts.reading import CHUNK, Limits
from lockgate.domain.errors import Unavailable, Unreadable
from lockgate.testing.artifacts import ArtifactsInMemory
from tests.artifacts.s3 import Bucket

LOCATION = "mlflow-artifacts:/0/models/m-1/artifacts"
BIG = os.urandom(2 * CHUNK + 17)
FILES = {
    "MLmodel": b"flavors: {}\n",
    "code/deep/ключ.py": b"x = 1\n",
    "empty": b"",
    "model.bin": BIG,
}


class Watched:
    """The real client, which counts what is fetched and can do something in the middle of it."""

    def __init__(self, client: Any) -> None:
        self._client = client
        self.fetched: list[tuple[str, str]] = []
        self.before: Callable[[str], None] = lambda _path: None
        # after how many chunks the next connections break, by path
        self.breaks: dict[str, list[int]] = {}

    def __getattr__(self, name: str) -> Any:
        return getattr(self._client, name)

    def get_object(self, **told: Any) -> Any:
        path = told["Key"].partition("/artifacts/")[2]
        self.before(path)
        self.fetched.append((path, told.get("Range", "")))
        answer = self._client.get_object(**told)
        after = self.breaks.get(path)
        return {**answer, "Body": Broken(answer["Body"], after.pop(0))} if after else answer


class Broken:
    """A connection that ends after so many chunks."""

    def __init__(self, body: Any, chunks: int) -> None:
        self._body = body
        self._chunks = chunks

    def read(self, size: int) -> bytes:
        if not self._chunks:
            raise ConnectionResetError("reset by peer")
        self._chunks -= 1
        return bytes(self._body.read(size))

    def close(self) -> None:
        self._body.close()


class WatchedS3(S3):
    def __init__(self, environment: Mapping[str, str]) -> None:
        super().__init__(environment)
        self.watched: Watched | None = None

    @property
    def client(self) -> Watched:
        if self.watched is None:
            self.watched = Watched(super().client)
        return self.watched


@pytest.fixture
def place(bucket: Bucket) -> Bucket:
    """A prefix of the test's own, with a model's files in it."""
    mine = replace(bucket, prefix=f"{bucket.prefix}/{uuid.uuid4().hex}")
    for path, body in FILES.items():
        mine.put(f"0/models/m-1/artifacts/{path}", body)
    mine.put("0/models/m-1/artifacts2/beside", b"x")
    return mine


@pytest.fixture
def s3(place: Bucket, monkeypatch: pytest.MonkeyPatch) -> WatchedS3:
    for name, value in place.environment.items():
        monkeypatch.setenv(name, value)
    return WatchedS3(place.environment)


@pytest.fixture
def artifacts(place: Bucket, s3: WatchedS3, tmp_path: Path) -> PinnedArtifacts:
    return PinnedArtifacts(place.uri, tmp_path / "cache", s3=s3)


def put(place: Bucket, path: str, body: bytes) -> None:
    place.put(f"0/models/m-1/artifacts/{path}", body)


def copied(folder: Path) -> dict[str, bytes]:
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def blocks(folder: Path) -> int:
    """Bytes on the disk, a file with several names counted once."""
    return sum({path.stat().st_ino: path.stat().st_size for path in folder.rglob("*") if path.is_file()}.values())


def test_every_object_is_pinned_with_its_hash_and_copied(artifacts: PinnedArtifacts) -> None:
    fake = ArtifactsInMemory()
    fake.put(LOCATION, FILES)

    manifest = artifacts.pin(LOCATION)

    assert manifest == fake.pin(LOCATION)
    assert copied(artifacts.folder(manifest.digest)) == FILES
    assert hashlib.sha256(BIG).hexdigest() in {file.sha256 for file in manifest.files}


def test_the_model_file_is_read_by_itself(artifacts: PinnedArtifacts, s3: WatchedS3, place: Bucket) -> None:
    put(place, "MLmodel", b'{"signature": {"inputs": "[]"}}')

    assert artifacts.model_file(LOCATION).signature == {"inputs": "[]"}
    assert s3.client.fetched == [("MLmodel", "")]
    with pytest.raises(Unreadable, match="no file MLmodel"):
        artifacts.model_file(f"{LOCATION}2")
    put(place, "MLmodel", b" " * (mlmodel.LARGEST + 1))
    with pytest.raises(Unreadable, match="MLmodel of more than"):
        artifacts.model_file(LOCATION)
    with pytest.raises(Unreadable, match="no bucket"):
        artifacts.model_file("s3://no-such-bucket/m")


def test_however_the_location_is_written_it_is_the_same_pin(artifacts: PinnedArtifacts, place: Bucket) -> None:
    direct = f"{place.uri}/0/models/m-1/artifacts"

    assert artifacts.pin(LOCATION) == artifacts.pin(direct) == artifacts.pin(f"{direct}/")


def test_what_did_not_change_is_neither_fetched_to_be_judged_nor_to_be_pinned_again(
    artifacts: PinnedArtifacts, s3: WatchedS3, place: Bucket
) -> None:
    manifest = artifacts.pin(LOCATION)
    s3.client.fetched.clear()

    assert artifacts.check(LOCATION, manifest) == ()
    assert artifacts.pin(LOCATION) == manifest
    assert s3.client.fetched == []

    put(place, "MLmodel", b"flavors: {x: {}}\n")
    put(place, "new", b"x")
    place.delete("0/models/m-1/artifacts/empty")

    assert artifacts.check(LOCATION, manifest) == ("changed MLmodel", "missing empty", "added new")
    assert {path for path, _ in s3.client.fetched} == {"MLmodel", "new"}


def test_the_same_bytes_written_again_are_no_change(artifacts: PinnedArtifacts, place: Bucket) -> None:
    manifest = artifacts.pin(LOCATION)
    put(place, "model.bin", BIG)

    assert artifacts.check(LOCATION, manifest) == ()


def test_a_version_that_shares_files_costs_only_its_own(
    artifacts: PinnedArtifacts, place: Bucket, tmp_path: Path
) -> None:
    first = artifacts.pin(LOCATION)
    before = blocks(tmp_path / "cache")
    for path, body in {**FILES, "MLmodel": b"flavors: {new: {}}\n"}.items():
        place.put(f"0/models/m-2/artifacts/{path}", body)

    second = artifacts.pin("mlflow-artifacts:/0/models/m-2/artifacts")

    assert second.digest != first.digest
    assert copied(artifacts.folder(first.digest)) == FILES
    # the new file, and what is remembered of four objects
    assert blocks(tmp_path / "cache") - before == len(b"flavors: {new: {}}\n") + 4 * 64


def test_a_copy_that_was_thrown_away_is_made_again_without_fetching_anything(
    artifacts: PinnedArtifacts, s3: WatchedS3
) -> None:
    manifest = artifacts.pin(LOCATION)
    folder = artifacts.folder(manifest.digest)
    for path in [folder, *folder.rglob("*")]:
        if path.is_dir():
            path.chmod(0o755)
    folder.rename(folder.with_name("elsewhere"))
    s3.client.fetched.clear()

    artifacts.pin(LOCATION)

    assert copied(folder) == FILES
    assert s3.client.fetched == []


def test_a_kept_file_that_somebody_edited_is_fetched_again(artifacts: PinnedArtifacts, s3: WatchedS3) -> None:
    manifest = artifacts.pin(LOCATION)
    edited = artifacts.folder(manifest.digest) / "MLmodel"
    edited.chmod(0o644)
    edited.write_bytes(b"flavors: {a: 1}"[: len(FILES["MLmodel"])])
    s3.client.fetched.clear()

    artifacts.pin(LOCATION)

    assert copied(artifacts.folder(manifest.digest)) == FILES
    assert [path for path, _ in s3.client.fetched] == ["MLmodel"]


def test_a_broken_connection_is_taken_up_where_it_broke(artifacts: PinnedArtifacts, s3: WatchedS3) -> None:
    s3.client.breaks["model.bin"] = [1, 0, 0, 1]

    manifest = artifacts.pin(LOCATION)

    assert copied(artifacts.folder(manifest.digest)) == FILES
    assert [part for path, part in s3.client.fetched if path == "model.bin"] == [
        "",
        *[f"bytes={CHUNK}-"] * 3,
        f"bytes={2 * CHUNK}-",
    ]


def test_a_copy_that_was_given_up_is_gone_on_with(artifacts: PinnedArtifacts, s3: WatchedS3) -> None:
    s3.client.breaks["model.bin"] = [1, 0, 0, 0]
    with pytest.raises(Unreadable, match=r"cannot be read: reset by peer \(model.bin\)") as gave_up:
        artifacts.pin(LOCATION)
    assert gave_up.value.hint == "Try again when the store answers."
    s3.client.fetched.clear()

    manifest = artifacts.pin(LOCATION)

    assert copied(artifacts.folder(manifest.digest)) == FILES
    assert s3.client.fetched == [("model.bin", f"bytes={CHUNK}-")]


def test_what_is_written_while_it_is_read_is_refused(
    artifacts: PinnedArtifacts, s3: WatchedS3, place: Bucket, tmp_path: Path
) -> None:
    meanwhile: Iterator[bytes] = iter([b"flavors: {other: {}}\n"])

    def writes(path: str) -> None:
        if path == "model.bin" and (body := next(meanwhile, None)) is not None:
            put(place, "MLmodel", body)

    s3.client.before = writes
    with pytest.raises(Unreadable, match="changed while they were read: MLmodel") as refused:
        artifacts.pin(LOCATION)

    assert "Wait until whoever writes there is done" in refused.value.hint
    assert not list((tmp_path / "cache").glob("sha256-*"))
    assert artifacts.pin(LOCATION).digest


def test_an_object_that_is_replaced_before_it_is_fetched_is_refused(
    artifacts: PinnedArtifacts, s3: WatchedS3, place: Bucket
) -> None:
    s3.client.before = lambda path: put(place, path, b"another") if path == "model.bin" else None

    with pytest.raises(Unreadable, match=r"changed while they were read: model.bin"):
        artifacts.pin(LOCATION)


@pytest.mark.parametrize(
    ("key", "because"),
    [
        ("a/../b", "no path of a file: 'a/../b'"),
        ("a//b", "no path of a file: 'a//b'"),
        ("/a", "no path of a file: '/a'"),
        ("./a", "no path of a file"),
        ("a/", "no path of a file: 'a/'"),
        ("x" * 256, "no path of a file"),
        ("d/" * 40 + "x", "have folders more than 32 deep"),
        ("MLmodel/inside", "hold an object that is a folder of others, too: MLmodel"),
    ],
)
def test_a_key_that_can_be_no_files_path_is_refused_and_named(
    artifacts: PinnedArtifacts, place: Bucket, tmp_path: Path, key: str, because: str
) -> None:
    put(place, key, b"x")

    with pytest.raises(Unreadable, match=because):
        artifacts.pin(LOCATION)

    assert not list((tmp_path / "cache").glob("sha256-*"))


def test_an_empty_object_that_stands_for_a_folder_is_nothing(artifacts: PinnedArtifacts, place: Bucket) -> None:
    put(place, "code/", b"")

    assert {file.path for file in artifacts.pin(LOCATION).files} == set(FILES)


def test_more_than_the_limits_is_refused_before_anything_is_fetched(
    place: Bucket, s3: WatchedS3, tmp_path: Path
) -> None:
    for limits, because in ((Limits(files=3), "more than 3 files"), (Limits(bytes=100), "are larger than 100 bytes")):
        with pytest.raises(Unreadable, match=because):
            PinnedArtifacts(place.uri, tmp_path / "cache", limits=limits, s3=s3).pin(LOCATION)

    assert s3.client.fetched == []


def test_a_missing_prefix_is_missing_and_a_missing_bucket_is_named(
    artifacts: PinnedArtifacts, place: Bucket, s3: WatchedS3
) -> None:
    with pytest.raises(Unreadable, match="There is no folder at mlflow-artifacts:/nothing"):
        artifacts.pin("mlflow-artifacts:/nothing")
    with pytest.raises(Unreadable, match="there is no bucket nobody-has-it"):
        artifacts.pin("s3://nobody-has-it/model")
    pinned = artifacts.pin(LOCATION)
    assert artifacts.check("mlflow-artifacts:/nothing", pinned) == tuple(f"missing {f.path}" for f in pinned.files)


def test_wrong_keys_and_no_keys_are_told_with_what_to_do(
    place: Bucket, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in place.environment.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "wrong")
    with pytest.raises(Unreadable, match="S3 refuses the keys") as refused:
        PinnedArtifacts(place.uri, tmp_path / "cache", s3=S3(place.environment)).pin(LOCATION)
    assert "AWS_ACCESS_KEY_ID" in refused.value.hint

    monkeypatch.delenv("AWS_SECRET_ACCESS_KEY")
    monkeypatch.delenv("AWS_ACCESS_KEY_ID")
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(tmp_path / "none"))
    monkeypatch.setenv("AWS_CONFIG_FILE", str(tmp_path / "none"))
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    with pytest.raises(Unreadable, match="there are no keys for S3"):
        PinnedArtifacts(place.uri, tmp_path / "cache", s3=S3(place.environment)).pin(LOCATION)


def test_a_store_that_does_not_answer_is_told_so(
    place: Bucket, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    gone = replace(place, endpoint="http://127.0.0.1:1")
    for name, value in gone.environment.items():
        monkeypatch.setenv(name, value)

    with pytest.raises(Unreadable, match="Could not connect to the endpoint URL") as refused:
        PinnedArtifacts(gone.uri, tmp_path / "cache", s3=S3(gone.environment)).pin(LOCATION)

    assert refused.value.hint == "Try again when the store answers."


def test_what_finds_no_room_is_not_begun(
    artifacts: PinnedArtifacts, s3: WatchedS3, monkeypatch: pytest.MonkeyPatch
) -> None:
    import shutil

    told = shutil.disk_usage("/")
    monkeypatch.setattr(shutil, "disk_usage", lambda _path: told._replace(free=1000))

    with pytest.raises(Unavailable, match=r"no room for the artifacts at .*2,097,1.. bytes.*has 1,000 bytes left"):
        artifacts.pin(LOCATION)

    assert s3.client.fetched == []
