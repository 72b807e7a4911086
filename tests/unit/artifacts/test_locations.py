"""Where a location that MLflow stored leads to, and where it must never lead."""

from __future__ import annotations

from pathlib import Path

import pytest

from lockgate.adapters.artifacts.locations import Folder, Objects, find, names_of, root_of
from lockgate.domain.errors import BadInput, Unreadable

ROOT = Folder(Path("/srv/lockgate/artifacts"))
BUCKET = Objects("models", "of/lockgate")


@pytest.mark.parametrize(
    ("location", "parts"),
    [
        ("mlflow-artifacts:/0/models/m-1/artifacts", ("0", "models", "m-1", "artifacts")),
        ("mlflow-artifacts:///0/models/m-1/artifacts", ("0", "models", "m-1", "artifacts")),
        ("mlflow-artifacts://registry.example:5000/0/models/m-1/artifacts", ("0", "models", "m-1", "artifacts")),
        ("MLFLOW-ARTIFACTS:/0/m", ("0", "m")),
        ("mlflow-artifacts:/0/a%20model", ("0", "a model")),
        ("file:///srv/lockgate/artifacts/0/m", ("0", "m")),
        ("file:/srv/lockgate/artifacts/0/m/", ("0", "m")),
        ("/srv/lockgate/artifacts/0/a#b", ("0", "a#b")),
        ("/srv/lockgate/artifacts//0/./m", ("0", "m")),
    ],
)
def test_a_location_in_the_store_is_found_however_it_is_written(location: str, parts: tuple[str, ...]) -> None:
    assert find(location, ROOT) == Folder(ROOT.root, parts)


@pytest.mark.parametrize(
    ("location", "because"),
    [
        ("gs://bucket/m", "in a store of the kind 'gs'"),
        ("s3://bucket", "is the whole artifact store"),
        ("s3://b/m", "names no S3 bucket"),
        ("s3://bucket/0/../m", "leaves the artifact store"),
        ("dbfs:/m", "in a store of the kind 'dbfs'"),
        ("file://elsewhere/srv/lockgate/artifacts/m", r"on another machine \(elsewhere\)"),
        ("/etc/passwd", "outside the artifact store"),
        ("/srv/lockgate/artifacts-of-others/m", "outside the artifact store"),
        ("file:///srv/lockgate", "outside the artifact store"),
        ("mlflow-artifacts:/0/../../secrets", "leaves the artifact store"),
        ("mlflow-artifacts:/0/%2e%2e/secrets", "leaves the artifact store"),
        ("/srv/lockgate/artifacts/../secrets", "leaves the artifact store"),
        ("/srv/lockgate/artifacts/a\0b", "leaves the artifact store"),
        ("models/m", "is not a place where artifacts can be"),
        ("", "is not a place where artifacts can be"),
        ("/srv/lockgate/artifacts", "is the whole artifact store"),
        ("mlflow-artifacts:/", "is the whole artifact store"),
    ],
)
def test_any_other_location_is_refused_with_the_reason_and_what_to_do(location: str, because: str) -> None:
    with pytest.raises(Unreadable, match=because) as refused:
        find(location, ROOT)

    assert refused.value.hint


@pytest.mark.parametrize(
    ("location", "found"),
    [
        ("mlflow-artifacts:/0/m", Objects("models", "of/lockgate/0/m")),
        ("https://server.example/api/2.0/mlflow-artifacts/artifacts/0/m", Objects("models", "of/lockgate/0/m")),
        ("s3://models/of/lockgate/0/m/", Objects("models", "of/lockgate/0/m")),
        ("s3://others/0/m", Objects("others", "0/m")),
    ],
)
def test_a_location_in_a_bucket_is_found_however_it_is_written(location: str, found: Objects) -> None:
    assert find(location, BUCKET) == found


@pytest.mark.parametrize(
    ("written", "root", "names"),
    [
        ("/srv/a", Folder(Path("/srv/a")), ("file:/srv/a",)),
        ("file:///srv/a%20b", Folder(Path("/srv/a b")), ("file:/srv/a b",)),
        ("s3://models/of/lockgate/", BUCKET, ("s3://models/of/lockgate",)),
        ("s3://models", Objects("models", ""), ("s3://models",)),
    ],
)
def test_a_root_is_what_the_option_names(written: str, root: Folder | Objects, names: tuple[str, ...]) -> None:
    assert root_of(written) == root
    assert names_of(root_of(written)) == names


@pytest.mark.parametrize("written", ["s3://", "s3:///models", "s3://a", "s3://a b/c"])
def test_a_root_that_names_no_bucket_is_refused(written: str) -> None:
    with pytest.raises(BadInput, match="names no S3 bucket"):
        root_of(written)


def test_in_a_store_of_another_kind_nothing_can_be_read() -> None:
    with pytest.raises(Unreadable, match="in a store of the kind 'gs'"):
        find("mlflow-artifacts:/0/m", root_of("gs://bucket/prefix"))
