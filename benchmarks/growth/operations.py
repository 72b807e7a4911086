"""Every operation of the registry on a model of some size: requests before it, then the one that is timed."""

from __future__ import annotations

from collections.abc import Callable, Generator
from dataclasses import dataclass
from typing import Any

from benchmarks.registry import content
from benchmarks.registry.shots import PAGE, Shot, Told, get, send

Steps = Generator[Shot, Told, None]  # the last request is the one that is timed


@dataclass(frozen=True, slots=True)
class Target:
    """A model and its number of versions, in a registry of so many models."""

    model: str
    versions: int
    models: int

    @property
    def is_wide(self) -> bool:
        return self.model.startswith("wide")


@dataclass(frozen=True, slots=True)
class Operation:
    """`steps` gets the target and the number of the repetition, which no other one has."""

    name: str
    steps: Callable[[Target, int], Steps]


def _fine(_told: Told) -> object:
    return ""


def _count(key: str, at_least: int) -> Callable[[Told], object]:
    def check(told: Told) -> object:
        seen = len(told.get(key, ()))
        return "" if seen >= at_least else f"{seen} {key}, fewer than {at_least}"

    return check


def _version(of: Target, number: int) -> str:
    return str(number * 7919 % of.versions + 1)


def _read(path: str, key: str = "", least: int = 0, **query: Any) -> Callable[[Target, int], Steps]:
    """One GET; `{model}` and `{version}` in its query are the target's."""

    def steps(of: Target, number: int) -> Steps:
        check = _count(key, min(least, of.versions if of.is_wide else of.models)) if key else _fine
        yield get(path, check, **{name: _filled(value, of, number) for name, value in query.items()})

    return steps


def _second_page(path: str, key: str, **query: Any) -> Callable[[Target, int], Steps]:
    """A page whose token the page before it gave; it is full when there are twice as many rows as a page has."""

    def steps(of: Target, number: int) -> Steps:
        told = {name: _filled(value, of, number) for name, value in query.items()}
        first = yield get(path, _fine, **told)
        token = first.get("next_page_token")
        yield get(path, _count(key, 1), **told, **({"page_token": token} if token else {}))

    return steps


def _write(path: str, method: str = "POST", **body: Any) -> Callable[[Target, int], Steps]:
    def steps(of: Target, number: int) -> Steps:
        yield send(path, _fine, method=method, **{name: _filled(value, of, number) for name, value in body.items()})

    return steps


def _filled(value: Any, of: Target, number: int) -> Any:
    if not isinstance(value, str):
        return value
    return value.replace("{model}", of.model).replace("{version}", _version(of, number)).replace("{n}", str(number))


def _after(
    before: Callable[[Target, int], Steps], then: Callable[[Target, int], Steps]
) -> Callable[[Target, int], Steps]:
    def steps(of: Target, number: int) -> Steps:
        yield from before(of, number)
        yield from then(of, number)

    return steps


def _moves(archive: bool, *stages: str) -> Callable[[Target, int], Steps]:
    """The same version to and fro, so that each is a real move; half of them are timed."""

    def steps(of: Target, _number: int) -> Steps:
        told: dict[str, Any] = {
            "name": of.model,
            "version": str(of.versions // 2),
            "archive_existing_versions": archive,
        }
        for stage in stages:
            yield send("model-versions/transition-stage", _fine, stage=stage, **told)

    return steps


def _delete_version(of: Target, number: int) -> Steps:
    told: dict[str, Any] = {
        "name": of.model,
        "source": content.source(of.model, number),
        "run_id": content.run_id(of.model),
    }
    made = yield send("model-versions/create", _fine, **told)
    yield send("model-versions/delete", _fine, method="DELETE", name=of.model, version=made["model_version"]["version"])


def _create_version(of: Target, number: int) -> Steps:
    """Made, timed, and by the next repetition there are as many versions as before, or a few more."""
    told: dict[str, Any] = {
        "name": of.model,
        "source": content.source(of.model, number),
        "run_id": content.run_id(of.model),
    }
    yield send("model-versions/create", _fine, **told)


def _delete_model(_of: Target, number: int) -> Steps:
    name = f"zz-gone-{number}"
    yield send("registered-models/create", _fine, name=name)
    yield send("registered-models/delete", _fine, method="DELETE", name=name)


def _rename_there_and_back(of: Target, _number: int) -> Steps:
    yield send("registered-models/rename", _fine, name=of.model, new_name=f"{of.model}-renamed")
    yield send("registered-models/rename", _fine, name=f"{of.model}-renamed", new_name=of.model)


_SET_MODEL_TAG = _write("registered-models/set-tag", name="{model}", key="note", value="{n}")
_SET_VERSION_TAG = _write("model-versions/set-tag", name="{model}", version="{version}", key="note", value="{n}")
_SET_ALIAS = _write("registered-models/alias", name="{model}", alias="latest-good", version="{version}")

# what reads and writes one model, whatever else is there
ONE_MODEL = (
    Operation("get version", _read("model-versions/get", name="{model}", version="{version}")),
    Operation("get by alias", _read("registered-models/alias", name="{model}", alias="champion")),
    Operation("latest versions", _write("registered-models/get-latest-versions", name="{model}")),
    Operation("get model", _read("registered-models/get", name="{model}")),
    Operation("download URI", _read("model-versions/get-download-uri", name="{model}", version="{version}")),
    Operation(
        "search versions by name, 10 of them",
        _read("model-versions/search", "model_versions", 10, filter="name='{model}'", max_results=10),
    ),
    Operation(
        "search versions by name, the next 5",
        _second_page("model-versions/search", "model_versions", filter="name='{model}'", max_results=5),
    ),
    Operation("set model tag", _SET_MODEL_TAG),
    Operation(
        "delete model tag",
        _after(_SET_MODEL_TAG, _write("registered-models/delete-tag", "DELETE", name="{model}", key="note")),
    ),
    Operation("set version tag", _SET_VERSION_TAG),
    Operation(
        "delete version tag",
        _after(
            _SET_VERSION_TAG,
            _write("model-versions/delete-tag", "DELETE", name="{model}", version="{version}", key="note"),
        ),
    ),
    Operation("set alias", _SET_ALIAS),
    Operation(
        "delete alias",
        _after(_SET_ALIAS, _write("registered-models/alias", "DELETE", name="{model}", alias="latest-good")),
    ),
    Operation("update model", _write("registered-models/update", "PATCH", name="{model}", description="text {n}")),
    Operation(
        "update version",
        _write("model-versions/update", "PATCH", name="{model}", version="{version}", description="text {n}"),
    ),
    Operation("transition to Archived", _moves(False, "None", "Archived")),
    Operation("transition to Staging", _moves(False, "Archived", "Staging")),
    Operation("transition to Production, archiving the others", _moves(True, "Staging", "Production")),
    Operation("create version", _create_version),
    Operation("delete version", _delete_version),
)
# what looks at all of the models, and what makes and removes one
ALL_MODELS = (
    Operation("search models, 10 of them", _read("registered-models/search", "registered_models", 10, max_results=10)),
    Operation(
        "search models, the next 5", _second_page("registered-models/search", "registered_models", max_results=5)
    ),
    Operation(
        "search models by name",
        _read("registered-models/search", "registered_models", 1, filter="name='{model}'", max_results=PAGE),
    ),
    Operation(
        "search models, newest change first",
        _read(
            "registered-models/search", "registered_models", 10, order_by="last_updated_timestamp DESC", max_results=10
        ),
    ),
    Operation("search versions, 10 of them", _read("model-versions/search", "model_versions", 10, max_results=10)),
    Operation("create model", _write("registered-models/create", name="zz-new-{n}")),
    Operation("delete model", _delete_model),
)
# a model's name is in the key of each of its versions and tags in MLflow's tables, so these must grow
BY_NATURE = (Operation("rename model", _rename_there_and_back),)
