"""One place has one name, however its location is written; and a name leads to every folder above it."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lockgate.domain.places import is_one_versions, leading_to, place_of, proxied, same_places, within

_NAMES = st.text(st.characters(exclude_characters="/%\0", exclude_categories=["Cs"]), min_size=1, max_size=8)
_PARTS = st.lists(_NAMES.filter(lambda name: name not in (".", "..")), min_size=1, max_size=5)


@pytest.mark.parametrize(
    ("location", "place"),
    [
        ("mlflow-artifacts:/1/models/m-1/artifacts", "mlflow-artifacts:/1/models/m-1/artifacts"),
        ("mlflow-artifacts://server.example:5000/1//a/", "mlflow-artifacts:/1/a"),
        ("https://server.example/api/2.0/mlflow-artifacts/artifacts/1/a", "mlflow-artifacts:/1/a"),
        ("MLFLOW-ARTIFACTS:/1/a%20b", "mlflow-artifacts:/1/a b"),
        ("/srv/a/./b/", "file:/srv/a/b"),
        ("file:///srv/a%20b", "file:/srv/a b"),
        ("file:/srv/x/../a", "file:/srv/a"),
        ("s3://bucket/1/a/", "s3://bucket/1/a"),
        ("s3://bucket/a%20b", "s3://bucket/a%20b"),
        ("gs://bucket/a", "gs://bucket/a"),
        ("models:/fraud/1", None),
        ("runs:/abc/model", None),
        ("prompt-template", None),
        ("relative/path", None),
        ("", None),
        ("dbfs:/a", None),
    ],
)
def test_a_place_is_written_in_one_way(location: str, place: str | None) -> None:
    assert place_of(location) == place


def test_a_name_leads_to_every_folder_above_the_nearest_first() -> None:
    assert leading_to("mlflow-artifacts:/1/m/a") == (
        "mlflow-artifacts:/1/m/a",
        "mlflow-artifacts:/1/m",
        "mlflow-artifacts:/1",
    )
    assert leading_to("s3://bucket/1/a") == ("s3://bucket/1/a", "s3://bucket/1")


def test_what_the_server_proxies_has_the_name_of_the_store_too() -> None:
    roots = ("s3://bucket/of/lockgate",)

    assert same_places("mlflow-artifacts:/1/a", roots) == ("mlflow-artifacts:/1/a", "s3://bucket/of/lockgate/1/a")
    assert same_places("s3://bucket/of/lockgate/1/a", roots) == ("s3://bucket/of/lockgate/1/a", "mlflow-artifacts:/1/a")
    assert same_places("s3://bucket/of/lockgate2/a", roots) == ("s3://bucket/of/lockgate2/a",)
    assert same_places("s3://bucket/of/lockgate", roots)[1] == "mlflow-artifacts:/"


@pytest.mark.parametrize(
    ("place", "one"),
    [
        ("mlflow-artifacts:/", False),
        ("mlflow-artifacts:/12", False),
        ("mlflow-artifacts:/workspaces/team/12", False),
        ("mlflow-artifacts:/workspaces/team", False),
        ("mlflow-artifacts:/12/run/artifacts", True),
        ("mlflow-artifacts:/workspaces/team/12/run/artifacts", True),
        ("mlflow-artifacts:/my-model", True),
        ("s3://bucket/", False),
        ("s3://bucket/model", True),
        ("file:/", False),
    ],
)
def test_a_whole_store_or_experiment_is_no_versions_own(place: str, one: bool) -> None:
    assert is_one_versions(place) is one


@pytest.mark.parametrize(
    ("place", "one"),
    [
        ("s3://bucket/team/7", False),
        ("s3://bucket/team/workspaces/a/7", False),
        ("s3://bucket/team", False),
        ("s3://bucket/team/a", True),
        ("s3://bucket/team/7/run/model", True),
        ("s3://bucket/tea", True),
        ("s3://bucket/other/7", True),
        ("file:/srv", False),
        ("file:/srv/store/7", False),
        ("file:/srv/store/7/run", True),
    ],
)
def test_nor_is_one_that_is_named_as_the_store_names_it(place: str, one: bool) -> None:
    assert is_one_versions(place, ("s3://bucket/team", "file:/srv/store")) is one


@pytest.mark.parametrize(
    ("location", "workspace", "scoped"),
    [
        ("mlflow-artifacts:/1/a", "default", "mlflow-artifacts:/1/a"),
        ("mlflow-artifacts:/1/a", "team", "mlflow-artifacts:/workspaces/team/1/a"),
        ("mlflow-artifacts:/workspaces/team/1/a", "team", "mlflow-artifacts:/workspaces/team/1/a"),
        ("s3://bucket/1/a", "team", "s3://bucket/1/a"),
    ],
)
def test_a_proxied_location_lies_in_its_workspaces_folder(location: str, workspace: str, scoped: str) -> None:
    assert within(location, workspace) == scoped


@pytest.mark.parametrize("written", ["workspaces/others/1/a", "//workspaces//others/1", "w%6frkspaces/others/1/a"])
@pytest.mark.parametrize("workspace", ["default", "team"])
def test_a_location_in_the_folder_of_another_workspace_is_no_place(written: str, workspace: str) -> None:
    assert place_of(within(f"mlflow-artifacts:/{written}", workspace)) is None


@given(_PARTS, _PARTS)
def test_a_file_in_a_folder_is_led_to_by_it_and_by_no_other(above: list[str], below: list[str]) -> None:
    folder = proxied("/".join(above))
    leading = leading_to(proxied("/".join((*above, *below))))

    assert folder in leading
    assert f"{folder}x" not in leading
    assert len(leading) == len(above) + len(below)


@given(_PARTS)
def test_to_write_a_place_again_changes_nothing(parts: list[str]) -> None:
    place = proxied("/".join(parts))

    assert place_of(f"mlflow-artifacts://server/{'//'.join(parts)}/") == place
    assert proxied(place.removeprefix("mlflow-artifacts:")) == place
