"""Files on their way through the server, to a disk and to S3: whole, flat in memory, and never too large."""

from __future__ import annotations

import contextlib
import hashlib
import os
from collections.abc import Callable, Iterator

import httpx2
import pytest

from tests.integration.artifacts.conftest import FILES, Site, raw

MIB = 2**20


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


def test_a_file_over_the_limit_is_refused_and_leaves_nothing(site: Site) -> None:
    def endless() -> Iterator[bytes]:
        # no Content-Length: its size is known when it is too late; the server stops reading long before this ends
        for _ in range(4096):
            yield bytes(MIB)

    status, told = raw(site, "PUT", f"{FILES}/0/over/told", length=3 * 2**30)
    assert status == 413
    assert "LOCKGATE_ARTIFACT_LIMIT" in told
    # it may be cut off while it still sends
    with site.http() as client, contextlib.suppress(httpx2.TransportError):
        assert client.put(f"{FILES}/0/over/untold", content=endless()).status_code == 413
    assert not any(path.startswith("0/over/") for path in site.stored())


def test_the_folder_of_a_server_whose_artifacts_are_in_s3_holds_none(in_s3: Site) -> None:
    in_s3.put("0/only/there", b"x")

    assert "0/only/there" in in_s3.stored()
    assert not [path for path in in_s3.running.home.rglob("*") if path.name == "there"]
