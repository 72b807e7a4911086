"""Artifacts by way of the server, on a disk and in S3: whole, flat in memory, never too large, and not to be changed
once they are registered. In one file, since its servers cost more than its tests.
"""

from __future__ import annotations

import contextlib
import hashlib
import http.client
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import httpx2
import pytest

from tests.artifacts.s3 import Bucket
from tests.integration.artifacts.conftest import FILES, Site, raw, s3_server

MIB = 2**20
MULTIPART = "/api/2.0/mlflow-artifacts/mpu"
MLMODEL = b"flavors: {}\n"


# --- on their way -----------------------------------------------------------------------------------------------------


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


# --- registered ------------------------------------------------------------------------------------------------------


@pytest.fixture
def registered(site: Site) -> tuple[str, str, str]:
    """A model with a version whose files are a run's: the model's name, the run's id and the path of its folder."""
    run, folder = site.run()
    for name in ("MLmodel", "code/a.py"):
        assert site.put(f"{folder}/model/{name}", MLMODEL).status_code == 200
    return site.version(f"{folder}/model", run), run, folder


def refused(answer: Any, model: str) -> bool:
    told = answer.json()
    return bool(
        answer.status_code == 403
        and told["error_code"] == "PERMISSION_DENIED"
        and told["message"].startswith(f"The artifacts of {model}@1 are registered, and cannot be ")
    )


@pytest.mark.parametrize(
    "path",
    [
        "model/MLmodel",
        "model/new",
        "model/code/a.py",
        "model//MLmodel",
        "model/./MLmodel",
        "/model/MLmodel",
        "mode%6C/MLmodel",
        "mode%256C/MLmodel",
        "model%2FMLmodel",
        "model",
    ],
)
def test_no_file_is_written_there_however_its_path_is_spelt(
    site: Site, registered: tuple[str, str, str], path: str
) -> None:
    model, _, folder = registered
    before = site.stored()

    status, told = raw(site, "PUT", f"{FILES}/{folder}/{path}")

    assert status == 403
    assert f"The artifacts of {model}@1 are registered" in told
    assert site.stored() == before


@pytest.mark.parametrize("path", ["model/../model/MLmodel", "model/%2e%2e/model/MLmodel", "x/..%2fmodel/MLmodel"])
def test_a_path_that_goes_up_is_mlflows_to_refuse(site: Site, registered: tuple[str, str, str], path: str) -> None:
    before = site.stored()

    status, _ = raw(site, "PUT", f"{FILES}/{registered[2]}/{path}")

    assert status in (400, 403)
    assert site.stored() == before


def test_who_sends_much_hears_the_refusal_all_the_same(site: Site, registered: tuple[str, str, str]) -> None:
    model, _, folder = registered

    assert refused(site.put(f"{folder}/model/big.bin", bytes(24 * 2**20)), model)


@pytest.mark.parametrize("path", ["model2/MLmodel", "model.txt", "Model/MLmodel", "other/model/MLmodel", "mode"])
def test_what_lies_beside_it_is_free(site: Site, registered: tuple[str, str, str], path: str) -> None:
    folder = registered[2]

    assert site.put(f"{folder}/{path}").status_code == 200
    assert f"{folder}/{path}" in site.stored()
    assert site.delete(f"{folder}/{path}").status_code == 200
    assert f"{folder}/{path}" not in site.stored()


@pytest.mark.parametrize("above", ["{folder}/model", "{folder}", "{run}", "{folder}/model/code", "0", "0/"])
def test_no_folder_is_deleted_that_holds_it_or_is_part_of_it(
    site: Site, registered: tuple[str, str, str], above: str
) -> None:
    model, _, folder = registered
    before = site.stored()

    answer = site.delete(above.format(folder=folder, run=folder.removesuffix("/artifacts")))

    assert answer.status_code == 403, answer.text
    if above.startswith("{"):
        assert refused(answer, model)
    assert site.stored() == before


def test_it_stays_so_when_its_run_and_its_experiment_are_deleted_and_the_version_still_works(
    site: Site, client: Any, tmp_path: Path
) -> None:
    experiment = site.call("experiments/create", name=f"gone-{site.url}")["experiment_id"]
    run = site.call("runs/create", experiment_id=experiment)["run"]["info"]
    folder = run["artifact_uri"].removeprefix("mlflow-artifacts:/")
    assert site.put(f"{folder}/model/MLmodel", MLMODEL).status_code == 200
    model = site.version(f"{folder}/model", run["run_id"])

    site.call("runs/delete", run_id=run["run_id"])
    site.call("experiments/delete", experiment_id=experiment)

    assert refused(site.put(f"{folder}/model/MLmodel"), model)
    assert refused(site.delete(folder), model)
    import mlflow

    fetched = mlflow.artifacts.download_artifacts(f"models:/{model}/1", dst_path=str(tmp_path))
    assert (Path(fetched) / "MLmodel").read_bytes() == MLMODEL
    assert client.get_model_version(model, "1").status == "READY"


def test_the_other_ways_to_write_are_closed_as_well(site: Site, registered: tuple[str, str, str]) -> None:
    model, run, folder = registered
    before = site.stored()
    with site.http() as client:
        by_page = client.post(
            "/ajax-api/2.0/mlflow/upload-artifact", params={"run_uuid": run, "path": "model/x"}, content=b"x"
        )
        told = {"path": "anything/MLmodel", "num_parts": 1}
        begun = client.post(f"/api/2.0/mlflow-artifacts/mpu/create/{folder}/model", json=told)
        ended = client.post(
            f"/ajax-api/2.0/mlflow-artifacts/mpu/complete/{folder}",
            json={"path": "model", "upload_id": "x", "parts": [{"part_number": 1, "etag": "x", "url": "x"}]},
        )
        presigned = client.post(
            "/api/2.0/mlflow/artifacts/presigned-upload-url", json={"run_id": run, "path": "model/MLmodel"}
        )
        beside = client.post(
            "/ajax-api/2.0/mlflow/upload-artifact", params={"run_uuid": run, "path": "beside"}, content=b"x"
        )
    for answer in (by_page, begun, ended, presigned):
        assert refused(answer, model), answer.text
    assert beside.status_code == 200
    assert site.stored() == {**before, f"{folder}/beside": 1}


def test_a_run_of_the_prompt_laboratory_adds_nothing_to_it(site: Site, registered: tuple[str, str, str]) -> None:
    model, _, folder = registered
    before = site.stored()
    where = {"artifact_location": f"mlflow-artifacts:/{folder}/model/within"}
    within, beside = (
        site.call("experiments/create", name=f"laboratory-{folder}-{number}", **told)["experiment_id"]
        for number, told in enumerate((where, {}))
    )
    told = {"prompt_template": "Say {{word}}.", "prompt_parameters": [{"key": "word", "value": "hi"}]}
    told |= {"model_route": "none", "model_input": "Say hi.", "mlflow_version": "3.17.2"}
    route = "/ajax-api/2.0/mlflow/runs/create-promptlab-run"
    with site.http() as client:
        assert refused(client.post(route, json={"experiment_id": within, **told}), model)
        assert site.stored() == before
        assert client.post(route, json={"experiment_id": beside, **told}).status_code == 200
        assert client.post(route, json={"experiment_id": "99999999", **told}).status_code == 404
    assert site.stored() != before


def test_no_trace_takes_a_file_of_it_along_when_it_is_deleted(site: Site) -> None:
    run, folder = site.run()
    store = site.bucket.uri if site.bucket is not None else f"file://{site.folder}"
    for path in ("model/MLmodel", "model/traces.pb", "beside/traces.pb"):
        assert site.put(f"{folder}/{path}").status_code == 200
    model = site.version(f"{folder}/model", run)
    before = site.stored()
    deleted = [
        _delete_a_trace_kept_at(site, f"{store}/{folder}/{path}") for path in ("model", "model/../model", "beside")
    ]
    assert deleted == [0, 0, 1]
    assert before.keys() - site.stored().keys() == {f"{folder}/beside/traces.pb"}
    with site.http() as client:
        told = client.get("/api/lockgate/v1/audit", params={"model": model, "action": "access:refused"}).json()
    assert {entry["detail"]["asked"] for entry in told["entries"]} == {"delete a trace with its archive"}


def _delete_a_trace_kept_at(site: Site, place: str) -> int:
    """How many traces went when one was deleted whose archive is said to be there."""
    tags = {"mlflow.trace.spansLocation": "ARCHIVE_REPO", "mlflow.trace.archiveLocation": place}
    where = {"type": "MLFLOW_EXPERIMENT", "mlflow_experiment": {"experiment_id": "0"}}
    trace = f"tr-{hashlib.sha256(place.encode()).hexdigest()[:32]}"
    info = {"trace_id": trace, "trace_location": where, "request_time": "2026-01-01T00:00:00Z", "state": "OK"}
    with site.http() as client:
        # under a name of its own: what one caller is refused is counted together from the twentieth thing on
        client.headers["X-Lockgate-User"] = "tracer"
        made = client.post("/api/3.0/mlflow/traces", json={"trace": {"trace_info": {**info, "tags": tags}}})
        assert made.status_code == 200, made.text
        told = {"experiment_id": "0", "request_ids": [trace]}
        answer = client.post("/api/2.0/mlflow/traces/delete-traces", json=told)
    assert answer.status_code == 200, answer.text
    return int(answer.json().get("traces_deleted", 0))


@pytest.mark.parametrize("body", [b"[]", b"1", b'"x"', b"null", b"{", b"", b'{"path": 5}'])
def test_a_body_that_tells_no_path_is_explained(on_disk: Site, body: bytes) -> None:
    routes = (f"{MULTIPART}/create/0/x", f"{MULTIPART}/complete/0/x", "/api/2.0/mlflow/artifacts/presigned-upload-url")
    with on_disk.http() as client:
        for route in routes:
            answer = client.post(route, content=body, headers={"Content-Type": "application/json"})
            assert answer.status_code == 400, answer.text
            assert answer.json()["error_code"] in ("INVALID_PARAMETER_VALUE", "BAD_REQUEST")


@pytest.mark.parametrize("path", ["n" * 256, "ü" * 128, "a/" * 1500 + "b"])
def test_a_name_that_no_disk_takes_is_explained(site: Site, path: str) -> None:
    answer = site.put(f"0/{path}")

    assert (answer.status_code, "Choose a shorter one" in answer.json()["message"]) == (400, True)
    with site.http() as client:
        back = client.get(f"{FILES}/0/{path}")
    assert (back.status_code, back.json()["error_code"]) == (404, "RESOURCE_DOES_NOT_EXIST")


def test_nobody_stops_everybody_by_registering_the_whole_store_or_an_experiment(in_s3: Site) -> None:
    assert in_s3.bucket is not None
    run, folder = in_s3.run()
    greedy = in_s3.version(f"{folder}/nothing", run)
    for source in (in_s3.bucket.uri, f"{in_s3.bucket.uri}/", f"{in_s3.bucket.uri}/0"):
        in_s3.call("model-versions/create", name=greedy, source=source)

    assert in_s3.put(f"{folder}/model/MLmodel").status_code == 200
    in_s3.call("registered-models/delete", "DELETE", name=greedy)


def test_each_refusal_is_on_the_record_of_the_model(site: Site, registered: tuple[str, str, str]) -> None:
    model, _, folder = registered

    with site.http() as client:
        # under a name of its own: what one caller is refused is counted together from the twentieth thing on
        client.headers["X-Lockgate-User"] = "writer"
        client.put(f"{FILES}/{folder}/model/MLmodel", content=b"other")
        told = client.get("/api/lockgate/v1/audit", params={"model": model, "action": "access:refused"}).json()

    (entry,) = told["entries"]
    assert entry["detail"]["asked"].startswith(f"PUT {FILES}/{folder}/model/MLmodel")
    assert "cannot be overwritten" in entry["why"]


def test_a_version_that_is_deleted_lets_go_of_its_files(site: Site, registered: tuple[str, str, str]) -> None:
    model, _, folder = registered
    site.call("model-versions/delete", "DELETE", name=model, version="1")

    assert site.put(f"{folder}/model/MLmodel").status_code == 200
    assert site.delete(f"{folder}/model").status_code == 200


def test_a_renamed_model_keeps_its_files_under_its_new_name(site: Site, registered: tuple[str, str, str]) -> None:
    model, _, folder = registered
    site.call("registered-models/rename", name=model, new_name=f"{model}-new")

    assert refused(site.put(f"{folder}/model/MLmodel"), f"{model}-new")


def test_an_upload_that_began_before_the_registration_does_not_end_after_it(site: Site) -> None:
    run, folder = site.run()
    assert site.put(f"{folder}/model/MLmodel", MLMODEL).status_code == 200
    connection = http.client.HTTPConnection(urlsplit(site.url).hostname or "", urlsplit(site.url).port, timeout=60)
    try:
        connection.putrequest("PUT", f"{FILES}/{folder}/model/MLmodel")
        connection.putheader("Content-Length", "12")
        connection.endheaders(b"evil: ")
        model = site.version(f"{folder}/model", run)
        connection.send(b"model\n")
        answer = connection.getresponse()
        told = answer.read().decode()
    finally:
        connection.close()

    assert answer.status == 403, told
    assert model in told
    with site.http() as client:
        assert client.get(f"{FILES}/{folder}/model/MLmodel").content == MLMODEL
    assert [path for path in site.stored() if path.startswith(f"{folder}/")] == [f"{folder}/model/MLmodel"]


def test_mlflows_own_client_goes_on_working_and_cannot_change_what_it_registered(
    site: Site, client: Any, model: Callable[[], Any], tmp_path: Path
) -> None:
    import mlflow
    import requests

    with mlflow.start_run() as run:
        logged = mlflow.pyfunc.log_model(
            name="model", python_model=model(), pip_requirements=["mlflow"], registered_model_name=f"twice{id(run)}"
        )
        mlflow.log_text("more", "notes.txt")
        mlflow.log_text("more", "model/notes.txt")
        mlflow.log_metric("accuracy", 0.9)
    again = mlflow.register_model(f"runs:/{run.info.run_id}/model", f"twice{id(run)}")

    assert again.version == "2"
    assert mlflow.pyfunc.load_model(f"models:/twice{id(run)}/1").predict([1, 2]) == [2, 4]
    with pytest.raises(requests.HTTPError, match=rf"twice{id(run)}@[12] are registered"):
        mlflow.models.update_model_requirements(f"models:/{logged.model_id}", "add", ["evil==1.0"])
    client.delete_run(run.info.run_id)
    assert mlflow.pyfunc.load_model(f"models:/twice{id(run)}/2").predict([3]) == [6]


def test_what_is_registered_by_the_stores_own_name_for_its_place_is_the_same_place(
    in_s3: Site, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert in_s3.bucket is not None
    where = f"{in_s3.bucket.uri}/direct"
    experiment = in_s3.call("experiments/create", name=f"direct-{in_s3.url}", artifact_location=where)["experiment_id"]
    run = in_s3.call("runs/create", experiment_id=experiment)["run"]["info"]
    folder = f"direct/{run['run_id']}/artifacts"
    assert run["artifact_uri"] == f"{in_s3.bucket.uri}/{folder}"
    in_s3.bucket.put(f"{folder}/model/MLmodel", MLMODEL)
    in_s3.call("registered-models/create", name="direct")
    source = f"{run['artifact_uri']}/model"
    in_s3.call("model-versions/create", name="direct", source=source, run_id=run["run_id"])

    assert refused(in_s3.put(f"{folder}/model/MLmodel"), "direct")
    assert refused(in_s3.delete("direct"), "direct")
    with in_s3.http() as client:
        by_page = client.post(
            "/ajax-api/2.0/mlflow/upload-artifact",
            params={"run_uuid": run["run_id"], "path": "model/MLmodel"},
            content=b"evil",
        )
        presigned = client.post(
            "/api/2.0/mlflow/artifacts/presigned-upload-url", json={"run_id": run["run_id"], "path": "model/MLmodel"}
        )
        beside = client.post(
            "/api/2.0/mlflow/artifacts/presigned-upload-url", json={"run_id": run["run_id"], "path": "model2/MLmodel"}
        )
        of_run = client.get("/get-artifact", params={"run_uuid": run["run_id"], "path": "model/MLmodel"})
        of_version = client.get(
            "/model-versions/get-artifact", params={"name": "direct", "version": 1, "path": "MLmodel"}
        )
    assert refused(by_page, "direct")
    assert refused(presigned, "direct")
    assert beside.status_code == 200
    assert of_run.content == of_version.content == MLMODEL


def test_mlflow_gc_by_way_of_the_server_spares_a_registered_versions_files(on_disk: Site) -> None:
    run, folder = on_disk.run()
    assert on_disk.put(f"{folder}/model/MLmodel", MLMODEL).status_code == 200
    on_disk.version(f"{folder}/model", run)
    on_disk.call("runs/delete", run_id=run)

    database = f"sqlite:///{on_disk.running.home / 'lockgate.db'}"
    told = ["gc", "--backend-store-uri", database, "--tracking-uri", on_disk.url, "--run-ids", run]
    done = subprocess.run(
        [sys.executable, "-m", "mlflow", *told], capture_output=True, text=True, timeout=100, check=False
    )

    assert f"{folder}/model/MLmodel" in on_disk.stored(), done.stdout + done.stderr
