"""Which requests move artifacts: each way to write is found, however its path is written."""

from __future__ import annotations

import pytest

from lockgate.server.registry.artifact_routes import Kind, Route, find

PROXY = "api/2.0/mlflow-artifacts"


@pytest.mark.parametrize("prefix", ["/", "/ajax-", "//", "///ajax-"])
@pytest.mark.parametrize(
    ("method", "path", "route"),
    [
        ("PUT", f"{PROXY}/artifacts/1/a", Route(Kind.UPLOAD, "1/a")),
        ("PUT", f"{PROXY}//artifacts//1//a", Route(Kind.UPLOAD, "1/a")),
        ("PUT", f"{PROXY}/artifacts/", Route(Kind.UPLOAD, "")),
        ("PUT", f"{PROXY}/artifacts/a\nb", Route(Kind.UPLOAD, "a\nb")),
        ("DELETE", f"{PROXY}/artifacts/1/", Route(Kind.DELETE, "1/")),
        ("GET", f"{PROXY}/artifacts/1/a", Route(Kind.DOWNLOAD, "1/a")),
        ("POST", f"{PROXY}/mpu/create/1/a", Route(Kind.MULTIPART, "1/a")),
        ("POST", f"{PROXY}/mpu/complete/1/a", Route(Kind.MULTIPART, "1/a")),
        ("POST", "api/2.0/mlflow/artifacts/presigned-upload-url", Route(Kind.PRESIGNED_UPLOAD)),
    ],
)
def test_each_way_to_move_a_file_is_found(prefix: str, method: str, path: str, route: Route) -> None:
    assert find(method, prefix + path) == route


@pytest.mark.parametrize(
    ("method", "path", "kind"),
    [
        ("POST", "/ajax-api/2.0/mlflow/upload-artifact", Kind.UPLOAD_TO_RUN),
        ("POST", "/ajax-api/2.0/mlflow/runs/create-promptlab-run", Kind.PROMPTLAB_RUN),
        ("GET", "/get-artifact", Kind.DOWNLOAD_OF_RUN),
        ("GET", "/model-versions/get-artifact", Kind.DOWNLOAD_OF_VERSION),
        ("GET", "/ajax-api/2.0/mlflow/logged-models/m-1/artifacts/files", Kind.DOWNLOAD_OF_LOGGED_MODEL),
    ],
)
def test_so_are_those_of_mlflows_pages(method: str, path: str, kind: Kind) -> None:
    found = find(method, path)

    assert found is not None
    assert found.kind is kind


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("GET", f"/{PROXY}/artifacts"),
        ("GET", f"/{PROXY}/artifacts/"),
        ("POST", f"/{PROXY}/mpu/abort/1/a"),
        ("GET", f"/{PROXY}/presigned/1/a"),
        ("POST", "/api/2.0/mlflow/artifacts/presigned-download-url"),
        ("GET", "/ajax-api/2.0/mlflow/artifacts/list"),
        ("POST", "/api/2.0/mlflow/runs/create"),
    ],
)
def test_what_moves_no_file_here_is_mlflows(method: str, path: str) -> None:
    assert find(method, path) is None
