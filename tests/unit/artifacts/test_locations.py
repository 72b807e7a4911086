"""Where a location that MLflow stored leads to, and where it must never lead."""

from __future__ import annotations

from pathlib import Path

import pytest

from lockgate.adapters.artifacts.locations import below_root
from lockgate.domain.errors import Unreadable

ROOT = Path("/srv/lockgate/artifacts")


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
    assert below_root(location, ROOT) == parts


@pytest.mark.parametrize(
    ("location", "because"),
    [
        ("s3://bucket/m", "in a store of the kind 's3'"),
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
        below_root(location, ROOT)

    assert refused.value.hint
