"""Files on their way through the server, to a disk and to S3: whole, flat in memory, and never too large."""

from __future__ import annotations

import contextlib
import hashlib
import os
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import httpx2
import pytest

from tests.artifacts.s3 import Bucket
from tests.integration.artifacts.conftest import FILES, Site, raw, s3_server

MIB = 2**20
MULTIPART = "/api/2.0/mlflow-artifacts/mpu"


def peak(pid: int, *, forget: bool = False) -> int:
    """The most memory the process has had, in bytes; `forget` begins anew with what it has now."""
    if forget:
        with open(f"/proc/{pid}/clear_refs", "w") as refs:
            refs.write("5")
    with open(f"/proc/{pid}/status") as status:
        told = next(line for line in status if line.startswith("VmHWM:"))
    return int(told.split()[1]) * 1024


class Stream:
    """So many MiB that nobody holds at once; `digest` when all were given."""

    def __init__(self, size: int) -> None:
        self._block = os.urandom(MIB)
        self.size = size * MIB
        self._sha256 = hashlib.sha256()

    def __iter__(self) -> Iterator[bytes]:
        for number in range(self.size // MIB):
            block = number.to_bytes(8, "big") + self._block[8:]
            self._sha256.update(block)
            yield block

    @property
    def digest(self) -> str:
        return self._sha256.hexdigest()


@pytest.mark.parametrize("size", [0, 1, 3 * MIB, 17 * MIB + 5])
def test_a_file_comes_back_as_it_was_sent(site: Site, size: int) -> None:
    body = os.urandom(size)
    path = f"0/round trip/{size}/ключ & #1.bin".replace("#", "")
    assert site.put(path, body).status_code == 200
    with site.http() as client:
        back = client.get(f"{FILES}/{path}")
        listed = client.get(FILES, params={"path": f"0/round trip/{size}"}).json()["files"]
        part = client.get(f"{FILES}/{path}", headers={"Range": "bytes=0-0"})

    assert back.status_code == 200
    assert back.content == body
    assert back.headers["content-length"] == str(size)
    assert back.headers["x-content-type-options"] == "nosniff"
    assert back.headers["content-disposition"].startswith("attachment")
    assert [(file["path"], file.get("file_size", 0)) for file in listed] == [(path.rpartition("/")[2], size)]
    if size:
        assert (part.status_code, part.content) == (206, body[:1])
        assert part.headers["content-range"] == f"bytes 0-0/{size}"


def test_a_large_file_takes_no_memory_to_speak_of_on_its_way(site: Site, rounds: Callable[[int, int], int]) -> None:
    body, pid = Stream(rounds(64, 1024)), site.running.process.pid
    # what is imported for the first file counts for none
    site.put("0/large/first", b"x" * 17 * MIB)
    with site.http() as client:
        client.get(f"{FILES}/0/large/first")
        before = peak(pid, forget=True)
        sent = client.put(f"{FILES}/0/large/file", content=iter(body), headers={"Content-Length": str(body.size)})
        while_sent = peak(pid) - before
        assert sent.status_code == 200

        before = peak(pid, forget=True)
        sha256 = hashlib.sha256()
        with client.stream("GET", f"{FILES}/0/large/file") as back:
            for chunk in back.iter_bytes():
                sha256.update(chunk)
        while_fetched = peak(pid) - before

    print(f"{body.size // MIB} MiB: {while_sent // MIB} MiB more while sent, {while_fetched // MIB} while fetched")
    assert sha256.hexdigest() == body.digest
    assert max(while_sent, while_fetched) < rounds(48, 200) * MIB
    assert site.delete("0/large").status_code == 200
    assert not any(path.startswith("0/large/") for path in site.stored())


def test_what_mlflows_own_pages_download_streams_too(site: Site) -> None:
    run, folder = site.run()
    body = os.urandom(2 * MIB)
    assert site.put(f"{folder}/model/data.bin", body).status_code == 200
    name = site.version(f"{folder}/model", run)
    with site.http() as client:
        of_run = client.get("/get-artifact", params={"run_uuid": run, "path": "model/data.bin"})
        of_version = client.get("/model-versions/get-artifact", params={"name": name, "version": 1, "path": "data.bin"})
        missing = client.get("/model-versions/get-artifact", params={"name": name, "version": 1, "path": "no"})
        folder_itself = client.get("/get-artifact", params={"run_uuid": run, "path": "model"})
        outside = client.get("/get-artifact", params={"run_uuid": run, "path": "../../x"})
        unknown = client.get("/get-artifact", params={"run_uuid": "0" * 32, "path": "x"})

    assert of_run.content == of_version.content == body
    assert of_version.headers["content-disposition"] == 'attachment; filename="data.bin"' or (
        of_version.headers["content-disposition"] == "attachment; filename=data.bin"
    )
    assert (missing.status_code, missing.json()["error_code"]) == (404, "RESOURCE_DOES_NOT_EXIST")
    assert (folder_itself.status_code, folder_itself.json()["error_code"]) == (400, "INVALID_PARAMETER_VALUE")
    assert (outside.status_code, outside.json()["message"]) == (400, "Invalid path")
    assert (unknown.status_code, unknown.json()["error_code"]) == (404, "RESOURCE_DOES_NOT_EXIST")


def test_a_file_over_the_limit_is_refused_and_leaves_nothing(site: Site, limit: int) -> None:
    def too_much() -> Iterator[bytes]:
        # no Content-Length: that it is too much shows when it is too late
        for _ in range(limit // MIB + 8):
            yield bytes(MIB)

    status, told = raw(site, "PUT", f"{FILES}/0/over/told", length=limit + 1)
    assert status == 413
    assert "LOCKGATE_ARTIFACT_LIMIT" in told
    # it may be cut off while it still sends
    with site.http() as client, contextlib.suppress(httpx2.TransportError):
        assert client.put(f"{FILES}/0/over/untold", content=too_much()).status_code == 413
    assert not any(path.startswith("0/over/") for path in site.stored())


def test_the_folder_of_a_server_whose_artifacts_are_in_s3_holds_none(in_s3: Site) -> None:
    in_s3.put("0/only/there", b"x")

    assert "0/only/there" in in_s3.stored()
    assert not [path for path in in_s3.running.home.rglob("*") if path.name == "there"]


def test_clients_reach_s3_themselves_only_where_whoever_runs_the_server_says_so(
    in_s3: Site, bucket: Bucket, tmp_path: Path
) -> None:
    told = {"path": "model.bin", "num_parts": 1}
    with in_s3.http() as client:
        assert client.get("/api/3.0/mlflow/server-info").json()["multipart_uploads_enabled"] is False
        assert client.post(f"{MULTIPART}/create/0/direct", json=told).status_code == 501
        assert client.get("/api/2.0/mlflow-artifacts/presigned/0/direct/model.bin").status_code == 501

    mine = replace(bucket, prefix=f"{bucket.prefix}-direct")
    with s3_server(tmp_path, mine, LOCKGATE_DIRECT_TRANSFERS="true") as site, site.http() as client:
        assert client.get("/api/3.0/mlflow/server-info").json()["multipart_uploads_enabled"] is True
        run, folder = site.run()
        assert site.put(f"{folder}/model/MLmodel").status_code == 200
        begun = [client.post(f"{MULTIPART}/create/{folder}/model", json=told).json() for _ in range(2)]
        parts = [httpx2.put(each["credentials"][0]["url"], content=b"of the model") for each in begun]
        ends = [
            {
                "path": "model.bin",
                "upload_id": each["upload_id"],
                "parts": [{"part_number": 1, "etag": part.headers["ETag"]}],
            }
            for each, part in zip(begun, parts, strict=True)
        ]
        assert client.post(f"{MULTIPART}/complete/{folder}/model", json=ends[0]).status_code == 200
        address = client.get(f"/api/2.0/mlflow-artifacts/presigned/{folder}/model/model.bin").json()
        assert httpx2.get(address["url"]).content == b"of the model"

        name = site.version(f"{folder}/model", run)
        refused = client.post(f"{MULTIPART}/complete/{folder}/model", json=ends[1])

    assert refused.status_code == 403
    assert f"{name}@1 are registered" in refused.json()["message"]
    assert mine.get(f"{folder}/model/model.bin") == b"of the model"
