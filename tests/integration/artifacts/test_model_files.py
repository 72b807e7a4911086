"""Reading a version's MLmodel alone, where it lies on the disk."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from lockgate.adapters.artifacts import mlmodel
from lockgate.adapters.artifacts.pinned import PinnedArtifacts
from lockgate.domain.errors import Unreadable
from lockgate.testing.artifacts import ArtifactsInMemory

LOCATION = "mlflow-artifacts:/0/models/m-1/artifacts"
WRITTEN = b'{"signature": {"inputs": "[]", "outputs": null}}'


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    folder = tmp_path / "store" / "0" / "models" / "m-1" / "artifacts"
    folder.mkdir(parents=True)
    return folder


@pytest.fixture
def artifacts(tmp_path: Path) -> PinnedArtifacts:
    return PinnedArtifacts(str(tmp_path / "store"), tmp_path / "cache")


def test_only_the_small_file_is_read_and_nothing_is_kept(
    artifacts: PinnedArtifacts, folder: Path, tmp_path: Path
) -> None:
    (folder / "MLmodel").write_bytes(WRITTEN)
    os.mkfifo(folder / "model.pkl")  # whoever read on would wait for ever, or refuse it

    found = artifacts.model_file(LOCATION)

    assert found.signature == {"inputs": "[]", "outputs": None}
    assert not (tmp_path / "cache").exists()


def test_the_one_in_memory_reads_the_same(artifacts: PinnedArtifacts, folder: Path) -> None:
    (folder / "MLmodel").write_bytes(WRITTEN)
    fake = ArtifactsInMemory()
    fake.put(LOCATION, {"MLmodel": WRITTEN})

    assert fake.model_file(LOCATION) == artifacts.model_file(LOCATION)
    fake.change(LOCATION, "MLmodel", None)
    (folder / "MLmodel").unlink()
    for each in (fake, artifacts):
        with pytest.raises(Unreadable, match="no file MLmodel"):
            each.model_file(LOCATION)


@pytest.mark.parametrize("kind", ["link", "folder", "pipe", "large"])
def test_what_is_no_small_file_is_refused(artifacts: PinnedArtifacts, folder: Path, kind: str) -> None:
    path = folder / "MLmodel"
    match kind:
        case "link":
            (folder / "other").write_bytes(WRITTEN)
            path.symlink_to("other")
        case "folder":
            path.mkdir()
        case "pipe":
            os.mkfifo(path)
        case "large":
            with path.open("wb") as file:
                file.truncate(mlmodel.LARGEST + 1)
    says = {"link": "symbolic link", "folder": "a folder where", "pipe": "no file", "large": "more than"}[kind]

    with pytest.raises(Unreadable, match=says):
        artifacts.model_file(LOCATION)


@pytest.mark.parametrize(
    "location", ["mlflow-artifacts:/", "mlflow-artifacts:/../etc", "/etc", "gs://bucket/a", "", "x"]
)
def test_what_is_no_place_in_the_store_is_refused(artifacts: PinnedArtifacts, location: str) -> None:
    with pytest.raises(Unreadable):
        artifacts.model_file(location)
