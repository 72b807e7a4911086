"""MLflow's reads: what may be asked, what is answered and which error it gets; the rows come from elsewhere.

One implementation serves MLflow's routes, its GraphQL, prompts and whatever else calls the store in this process.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Sequence
from typing import Any, NamedTuple

from mlflow.entities.model_registry import (
    ModelVersion,
    ModelVersionTag,
    RegisteredModel,
    RegisteredModelAlias,
    RegisteredModelTag,
)
from mlflow.entities.model_registry.model_version_stages import get_canonical_stage
from mlflow.exceptions import MlflowException
from mlflow.protos.databricks_pb2 import INVALID_PARAMETER_VALUE, RESOURCE_DOES_NOT_EXIST
from mlflow.store.entities.paged_list import PagedList
from mlflow.store.model_registry import (
    SEARCH_MODEL_VERSION_MAX_RESULTS_DEFAULT,
    SEARCH_MODEL_VERSION_MAX_RESULTS_THRESHOLD,
    SEARCH_REGISTERED_MODEL_MAX_RESULTS_DEFAULT,
    SEARCH_REGISTERED_MODEL_MAX_RESULTS_THRESHOLD,
)
from mlflow.utils.validation import (
    _REGISTERED_MODEL_ALIAS_LATEST,
    _validate_model_alias_name,
    _validate_model_name,
    _validate_model_version,
)

from lockgate.adapters.mlflow import grammar, paging
from lockgate.adapters.mlflow.governance import Governance, Reads, Steps, T
from lockgate.domain.registered import ModelRow, VersionRow
from lockgate.domain.search import LEAST, MOST, By, Search


class VersionPage(NamedTuple):
    """Versions, and the token of the next page when there is one."""

    rows: list[VersionRow]
    token: str | None


class ModelPage(NamedTuple):
    """Models, and the token of the next page when there is one."""

    rows: list[ModelRow]
    token: str | None


class Reading:
    """Every read of a registry as steps that answer with rows, or raise the error that MLflow raises."""

    def __init__(self, reads: Reads, dialect: str) -> None:
        self._reads = reads
        self._dialect = dialect

    def version(self, workspace: str, name: str, version: Any) -> Steps[VersionRow]:
        """The version; not one that was deleted."""
        number = _number(name, version)
        found = (yield from self._reads.version(workspace, name, number)) if LEAST <= number <= MOST else None
        if found is None:
            raise _no_version(name, number)
        return found

    def by_alias(self, workspace: str, name: str, alias: str) -> Steps[VersionRow]:
        """The version that an alias names; `latest` is always the highest number."""
        _validate_model_name(name)
        _validate_model_alias_name(alias)
        if alias.lower() == _REGISTERED_MODEL_ALIAS_LATEST:
            return (yield from self._highest(workspace, name))
        found = yield from self._reads.aliased(workspace, name, alias)
        if found is None:
            yield from self._must_exist(workspace, name)
            raise MlflowException(f"Registered model alias {alias} not found.", INVALID_PARAMETER_VALUE)
        if isinstance(found, int):
            raise _no_version(name, found)
        return found

    def latest(self, workspace: str, name: str, stages: Iterable[str] | None = None) -> Steps[list[VersionRow]]:
        """The newest version of each stage, or of those named."""
        _validate_model_name(name)
        found = yield from self._reads.latest(workspace, name)
        if not found:
            yield from self._must_exist(workspace, name)
        wanted = {get_canonical_stage(stage) for stage in stages or ()}
        return [row for row in found if row.stage in wanted] if wanted else found

    def model(self, workspace: str, name: str) -> Steps[ModelRow]:
        """The model with the newest version of each stage."""
        _validate_model_name(name)
        found = yield from self._reads.model(workspace, name)
        if found is None:
            raise _no_model(name)
        return found

    def location(self, workspace: str, name: str, version: Any) -> Steps[str | None]:
        """Where a version's artifacts are downloaded from."""
        number = _number(name, version)
        found = (yield from self._reads.location(workspace, name, number)) if LEAST <= number <= MOST else None
        if found is None:
            raise _no_version(name, number)
        storage, source = found
        return storage or source

    def search_models(
        self, workspace: str, written: str | None, size: Any, order_by: Any, page_token: str | bytes | None
    ) -> Steps[ModelPage]:
        """One page of models. Prompts are left out unless the filter asks for them."""
        _at_most(size, SEARCH_REGISTERED_MODEL_MAX_RESULTS_THRESHOLD)
        if size < 1:
            # MLflow answers with a token that leads to the same page again, or with what the database makes of it
            raise _too_few(size)
        wanted, offset = self._search("models", written, size, order_by, page_token)
        rows = yield from self._reads.search_models(workspace, wanted)
        return ModelPage(rows[:size], _next_token(rows, wanted, offset))

    def search_versions(
        self, workspace: str, written: str | None, size: Any, order_by: Any, page_token: str | bytes | None
    ) -> Steps[VersionPage]:
        """One page of versions, with their aliases. Those of prompts are left out unless the filter asks for them."""
        if not isinstance(size, int) or size < 1:
            raise _too_few(size)
        _at_most(size, SEARCH_MODEL_VERSION_MAX_RESULTS_THRESHOLD)
        wanted, offset = self._search("versions", written, size, order_by, page_token)
        rows = yield from self._reads.search_versions(workspace, wanted)
        return VersionPage(rows[:size], _next_token(rows, wanted, offset))

    def _search(
        self, kind: grammar.Kind, written: str | None, size: int, order_by: Any, page_token: str | bytes | None
    ) -> tuple[Search, int]:
        try:
            condition, prompts = grammar.condition(kind, self._dialect, written or "")
        except MlflowException:
            if kind == "models" and grammar.parses(kind, written or ""):
                # MLflow looks at the rest of a search for models first
                paging.read(page_token, grammar.order(kind, tuple(order_by or ())))
            raise
        order = grammar.order(kind, tuple(order_by or ()))
        after, offset = paging.read(page_token, order)
        return Search(condition, order, size, after, 0 if after else offset, prompts), offset

    def _highest(self, workspace: str, name: str) -> Steps[VersionRow]:
        found = yield from self.latest(workspace, name)
        if not found:
            raise MlflowException(f"Latest version not found for model {name}.", RESOURCE_DOES_NOT_EXIST)
        return max(found, key=lambda row: row.version)

    def _must_exist(self, workspace: str, name: str) -> Steps[None]:
        if not (yield from self._reads.exists(workspace, name)):
            raise _no_model(name)


class ReadingStore:
    """MLflow's store methods that read, on `Reading`."""

    reading: Reading
    _governance: Governance
    _get_active_workspace: Callable[[], str]

    def get_registered_model(self, name: str) -> RegisteredModel:
        """The model by name. Raises MLflow's error when there is none."""
        workspace = self._get_active_workspace()
        row = self.read(self.reading.model(workspace, name))
        return _model(row, workspace, sort_latest=first_seen)

    def get_latest_versions(self, name: str, stages: Sequence[str] | None = None) -> list[ModelVersion]:
        """The newest version of each stage, or of those named."""
        workspace = self._get_active_workspace()
        rows = self.read(self.reading.latest(workspace, name, stages))
        return [_version(row, workspace) for row in rows]

    def get_model_version(self, name: str, version: Any) -> ModelVersion:
        """One version by name and number. Raises MLflow's error when there is none."""
        workspace = self._get_active_workspace()
        return _version(self.read(self.reading.version(workspace, name, version)), workspace)

    def get_model_version_by_alias(self, name: str, alias: str) -> ModelVersion:
        """The version that an alias names. Raises MLflow's error when there is none."""
        workspace = self._get_active_workspace()
        return _version(self.read(self.reading.by_alias(workspace, name, alias)), workspace)

    def get_model_version_download_uri(self, name: str, version: Any) -> str | None:
        """Where a version's artifacts are downloaded from. Raises MLflow's error when there is no such version."""
        workspace = self._get_active_workspace()
        return self.read(self.reading.location(workspace, name, version))

    def search_registered_models(
        self,
        filter_string: str | None = None,
        max_results: int = SEARCH_REGISTERED_MODEL_MAX_RESULTS_DEFAULT,
        order_by: Any = None,
        page_token: str | bytes | None = None,
    ) -> PagedList[RegisteredModel]:
        """One page of the models that match. Raises MLflow's error for a search it refuses."""
        workspace = self._get_active_workspace()
        steps = self.reading.search_models(workspace, filter_string, max_results, order_by, page_token)
        page = self.read(steps)
        return PagedList([_model(row, workspace, sort_latest=by_stage) for row in page.rows], page.token)

    def search_model_versions(
        self,
        filter_string: str | None = None,
        max_results: int = SEARCH_MODEL_VERSION_MAX_RESULTS_DEFAULT,
        order_by: Any = None,
        page_token: str | bytes | None = None,
    ) -> PagedList[ModelVersion]:
        """One page of the versions that match, with their aliases. Raises MLflow's error for a search it refuses."""
        workspace = self._get_active_workspace()
        steps = self.reading.search_versions(workspace, filter_string, max_results, order_by, page_token)
        page = self.read(steps)
        return PagedList([_version(row, workspace) for row in page.rows], page.token)

    async def answer(self, steps: Steps[T]) -> T:
        """Carry one of `reading`'s reads out beside the event loop's other work. Raises as the methods here."""
        return await self._governance.reader.answer(steps)

    def read(self, steps: Steps[T]) -> T:
        """Carry one of `reading`'s reads out in this thread. Raises MLflow's errors, whatever went wrong."""
        with self._governance.translated():
            return self._governance.reader.run(steps)


def first_seen(latest: list[Any]) -> Any:
    """Sorts a model's newest versions as MLflow does when it reads one model: by the first version of the stage."""
    return latest[0]


def by_stage(latest: list[Any]) -> Any:
    """Sorts a model's newest versions as MLflow does in a search: by the stage's name."""
    return latest[7]


def _version(row: VersionRow, workspace: str) -> ModelVersion:
    tags = json.loads(row.tags) if row.tags else []
    aliases = sorted(json.loads(row.aliases)) if row.aliases else []
    return _version_of(row, tags, aliases, workspace)


def _version_of(row: Sequence[Any], tags: list[dict[str, Any]], aliases: list[str], workspace: str) -> ModelVersion:
    name, number, created, updated, description, user, stage, source, run, link, status, message, *_ = row
    return ModelVersion(
        name, number, created, updated, description, user, stage, source, run, status, message,
        tags=[ModelVersionTag(tag["key"], tag["value"]) for tag in tags],
        run_link=link, aliases=aliases, workspace=workspace,
    )  # fmt: skip


def _model(row: ModelRow, workspace: str, *, sort_latest: Any) -> RegisteredModel:
    latest = sorted(json.loads(row.latest), key=sort_latest) if row.latest else []
    tags = json.loads(row.tags) if row.tags else []
    aliases = sorted(json.loads(row.aliases)) if row.aliases else []
    return RegisteredModel(
        row.name, row.created, row.updated, row.description,
        [_version_of(fields[1:], json.loads(fields[13] or "[]"), [], workspace) for fields in latest],
        [RegisteredModelTag(tag["key"], tag["value"]) for tag in tags],
        [RegisteredModelAlias(alias, version) for alias, version in aliases],
        workspace=workspace,
    )  # fmt: skip


def _number(name: str, version: Any) -> int:
    _validate_model_name(name)
    return int(_validate_model_version(version))


def _no_model(name: str) -> MlflowException:
    return MlflowException(f"Registered Model with name={name} not found", RESOURCE_DOES_NOT_EXIST)


def _no_version(name: str, version: int) -> MlflowException:
    return MlflowException(f"Model Version (name={name}, version={version}) not found", RESOURCE_DOES_NOT_EXIST)


def _at_most(size: Any, most: int) -> None:
    if size > most:
        raise MlflowException(
            f"Invalid value for request parameter max_results. It must be at most {most}, but got value {size}",
            INVALID_PARAMETER_VALUE,
        )


def _too_few(size: Any) -> MlflowException:
    return MlflowException(
        f"Invalid value for max_results. It must be a positive integer, but got {size}", INVALID_PARAMETER_VALUE
    )


def _next_token(rows: Sequence[VersionRow] | Sequence[ModelRow], wanted: Search, offset: int) -> str | None:
    if len(rows) <= wanted.size:
        return None
    last = rows[wanted.size - 1]
    return paging.token(wanted.order, _sorted_fields(last, wanted.order), offset + wanted.size)


def _sorted_fields(row: VersionRow | ModelRow, order: Sequence[By]) -> paging.After:
    return tuple(getattr(row, by.field) for by in order)
