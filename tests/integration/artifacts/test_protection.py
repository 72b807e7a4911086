"""What belongs to a registered version is nobody's to overwrite or delete, by whatever route and name of the place."""

from __future__ import annotations

import http.client
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest

from tests.integration.artifacts.conftest import FILES, Site, raw

MLMODEL = b"flavors: {}\n"


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


def test_each_refusal_is_on_the_record_of_the_model(site: Site, registered: tuple[str, str, str]) -> None:
    model, _, folder = registered
    site.put(f"{folder}/model/MLmodel")

    with site.http() as client:
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
