"""Which places belong to registered versions: found from any path above, at or below them, and in no other case."""

from __future__ import annotations

import pytest

from lockgate.adapters.sql.store import SqlStore
from lockgate.domain.versions import VersionRef
from lockgate.usecases import protect
from lockgate.usecases.artifact_ports import Held
from tests.contracts.databases import Mlflow
from tests.contracts.makers import ANN, FRAUD_1, FRAUD_2, T0

PLACE = "mlflow-artifacts:/1/models/m-1/artifacts"


def registered(
    store: SqlStore, mlflow: Mlflow, *, location: str = PLACE, name: str = "fraud", version: int = 1
) -> None:
    """A version that MLflow has, and whose place was noted when it was registered."""
    if version == 1:
        mlflow.model(name)
    mlflow.version(name, version, location=location)
    ref = VersionRef(name, version)
    with store.writing(name) as work:
        work.versions.register(ref, ANN, T0)


def holder(store: SqlStore, *places: str) -> Held | None:
    with store.reading() as work:
        return work.sources.holder(places)


def below(store: SqlStore, *places: str) -> Held | None:
    with store.reading() as work:
        return work.sources.below(places)


def test_a_place_is_held_with_all_that_lies_in_it(store: SqlStore, mlflow: Mlflow) -> None:
    registered(store, mlflow)

    for path in (PLACE, f"{PLACE}/MLmodel", f"{PLACE}/code/deep/x.py"):
        assert holder(store, path) == Held(FRAUD_1, "default")


@pytest.mark.parametrize(
    "beside",
    [
        "mlflow-artifacts:/1/models/m-1/artifacts2",
        "mlflow-artifacts:/1/models/m-1/artifacts.txt",
        "mlflow-artifacts:/1/models/m-1/artifact",
        "mlflow-artifacts:/1/models/m-1",
        "mlflow-artifacts:/1/models/m-11/artifacts/MLmodel",
        "mlflow-artifacts:/1/models/M-1/artifacts/MLmodel",
        "s3://1/models/m-1/artifacts",
    ],
)
def test_what_is_only_called_alike_is_free(store: SqlStore, mlflow: Mlflow, beside: str) -> None:
    registered(store, mlflow)

    assert holder(store, beside) is None


def test_a_folder_above_holds_the_place_below_it_and_one_beside_does_not(store: SqlStore, mlflow: Mlflow) -> None:
    registered(store, mlflow)

    for above in ("mlflow-artifacts:/1/models/m-1", "mlflow-artifacts:/1", "mlflow-artifacts:/"):
        assert below(store, above) == Held(FRAUD_1, "default")
    for beside in ("mlflow-artifacts:/1/models/m", "mlflow-artifacts:/1/models/m-10", "mlflow-artifacts:/2", PLACE):
        assert below(store, beside) is None


def test_letters_of_any_kind_are_compared_one_by_one(store: SqlStore, mlflow: Mlflow) -> None:
    registered(store, mlflow, location="s3://bucket/Ünïcode_%/ключ/é")

    assert below(store, "s3://bucket/Ünïcode_%") == Held(FRAUD_1, "default")
    assert below(store, "s3://bucket/ünïcode_%") is None
    assert below(store, "s3://bucket/Ünïcode_x") is None
    assert holder(store, "s3://bucket/Ünïcode_%/ключ/é/MLmodel") == Held(FRAUD_1, "default")


def test_the_place_goes_along_with_the_models_name(store: SqlStore, mlflow: Mlflow) -> None:
    registered(store, mlflow)
    mlflow.delete("fraud")
    mlflow.model("risk")
    mlflow.version("risk", 1, location=PLACE)
    with store.writing("risk") as work:
        work.versions.rename_model("fraud", "risk")

    assert holder(store, PLACE) == Held(VersionRef("risk", 1), "default")


def test_what_was_deleted_holds_nothing_and_what_takes_its_name_holds_its_own_place(
    store: SqlStore, mlflow: Mlflow
) -> None:
    registered(store, mlflow)
    with store.writing("fraud") as work:
        work.versions.delete_model("fraud", T0)
    mlflow.delete("fraud")
    assert holder(store, PLACE) is None

    registered(store, mlflow, location="mlflow-artifacts:/1/models/m-2/artifacts")

    assert holder(store, PLACE) is None
    assert holder(store, "mlflow-artifacts:/1/models/m-2/artifacts/x") == Held(FRAUD_1, "default")


def test_two_versions_may_share_a_place_and_each_holds_it_alone(store: SqlStore, mlflow: Mlflow) -> None:
    registered(store, mlflow)
    registered(store, mlflow, version=2)
    mlflow._run("UPDATE model_versions SET current_stage = 'Deleted_Internal' WHERE version = 1")

    assert holder(store, PLACE) == Held(FRAUD_2, "default")


@pytest.mark.parametrize("location", ["mlflow-artifacts:/", "mlflow-artifacts:/1", "prompt-template", "s3://bucket"])
def test_what_no_version_can_have_for_itself_stays_free(store: SqlStore, mlflow: Mlflow, location: str) -> None:
    registered(store, mlflow, location=location)

    assert holder(store, "mlflow-artifacts:/1/run/artifacts/x", "s3://bucket/x") is None


def test_a_location_by_the_name_of_a_run_is_where_the_run_keeps_its_files(store: SqlStore, mlflow: Mlflow) -> None:
    mlflow.run("r1", {})
    mlflow._run("UPDATE runs SET artifact_uri = 'mlflow-artifacts:/1/r1/artifacts' WHERE run_uuid = 'r1'")
    registered(store, mlflow, location="runs:/r1/model")

    assert holder(store, "mlflow-artifacts:/1/r1/artifacts/model/MLmodel") == Held(FRAUD_1, "default")
    with store.reading() as work:
        found = work.catalog.version(FRAUD_1)
    assert found is not None
    assert found.location == "mlflow-artifacts:/1/r1/artifacts/model"


def test_the_place_of_another_workspaces_version_is_in_that_workspaces_folder(store: SqlStore, mlflow: Mlflow) -> None:
    mlflow.model("fraud")
    mlflow.version("fraud", 1, location=PLACE)
    for table in ("registered_models", "model_versions"):
        mlflow._run(f"UPDATE {table} SET workspace = 'team'")
    with store.within("team"), store.writing("fraud") as work:
        work.versions.register(FRAUD_1, ANN, T0)

    assert holder(store, PLACE) is None
    assert holder(store, PLACE.replace(":/1", ":/workspaces/team/1")) == Held(FRAUD_1, "team")


def test_versions_registered_past_lockgate_are_found_once(store: SqlStore, mlflow: Mlflow) -> None:
    mlflow.model("fraud")
    mlflow.version("fraud", 1, location=PLACE)
    mlflow.version("fraud", 2, location="nothing")
    assert holder(store, PLACE) is None

    assert protect.adopt(store) == 2
    assert protect.adopt(store) == 0

    assert holder(store, PLACE) == Held(FRAUD_1, "default")
