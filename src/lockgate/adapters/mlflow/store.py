"""The governed store: every mutator of MLflow's registry, judged, recorded and committed with our rows.

A change is one transaction of our own: the model is locked, the use case is asked, MLflow's rows are written
(`writing/rows.py`) and the record with them. What is not here is refused when it writes.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, TypeVar

from mlflow.entities.model_registry.model_version_stages import (
    DEFAULT_STAGES_FOR_GET_LATEST_VERSIONS,
    STAGE_NONE,
    get_canonical_stage,
)
from mlflow.entities.model_registry.model_version_status import ModelVersionStatus
from mlflow.exceptions import MlflowException
from mlflow.prompt.registry_utils import handle_resource_already_exist_error, has_prompt_tag
from mlflow.protos.databricks_pb2 import RESOURCE_ALREADY_EXISTS
from mlflow.store.model_registry.sqlalchemy_store import SqlAlchemyStore
from mlflow.store.model_registry.sqlalchemy_workspace_store import WorkspaceAwareSqlAlchemyStore
from mlflow.utils.time import get_current_time_millis
from mlflow.utils.validation import (
    _validate_model_alias_name,
    _validate_model_alias_name_reserved,
    _validate_model_name,
    _validate_model_renaming,
    _validate_model_version,
    _validate_model_version_tag,
    _validate_registered_model_tag,
    _validate_tag_name,
)
from sqlalchemy import Connection
from sqlalchemy.exc import DataError
from sqlalchemy.orm import Session

from lockgate.adapters.mlflow.governance import Change, Governance, Sessions, changing, governed_sessions
from lockgate.adapters.mlflow.reading import Reading, ReadingStore
from lockgate.adapters.mlflow.webhooks import changed_webhook
from lockgate.adapters.mlflow.writing.changes import Changes, again
from lockgate.adapters.mlflow.writing.rows import Rows, no_model, no_version
from lockgate.adapters.mlflow.writing.sources import copied_from, origin_of
from lockgate.domain.access import Act
from lockgate.domain.errors import Forbidden, LockgateError
from lockgate.domain.identity import ANONYMOUS
from lockgate.domain.promotion import Kind, Promotion
from lockgate.domain.search import LEAST, MOST
from lockgate.domain.stages import Stage
from lockgate.domain.versions import VersionRef
from lockgate.domain.webhooks import Webhook
from lockgate.usecases import approve, promote, registry, webhooks
from lockgate.usecases.authorise import authorise
from lockgate.usecases.ports import Work
from lockgate.usecases.promote import Ask

T = TypeVar("T")
_READY = ModelVersionStatus.to_string(ModelVersionStatus.READY)


class Governed(ReadingStore, SqlAlchemyStore):
    """MLflow's store with Lockgate inside each of its transactions."""

    def __init__(self, db_uri: str, read_db_uri: str | None = None, *, governance: Governance) -> None:
        super().__init__(db_uri, read_db_uri=read_db_uri)
        self._governance = governance
        self.reading = Reading(governance.reader.reads, governance.reader.dialect)
        self._changes = Changes(governance, self._get_active_workspace)
        # an instance attribute is MLflow's own seam: all of its methods get their sessions from it
        plain: Sessions = vars(self)["ManagedSessionMaker"]
        self.ManagedSessionMaker = governed_sessions(plain, governance, self._get_active_workspace)

    # --- models -----------------------------------------------------------------------------------------------------

    def create_registered_model(
        self,
        name: str,
        tags: Any = None,
        description: str | None = None,
        deployment_job_id: str | None = None,  # noqa: ARG002 - MLflow's signature
    ) -> Any:
        """Register a model or a prompt. Reserved tags are refused; which of the two it is, is fixed here."""
        _validate_model_name(name)
        for tag in tags or []:
            _validate_registered_model_tag(tag.key, tag.value)
        told = {tag.key: tag.value for tag in tags or []}

        def create(work: Work, rows: Rows) -> Any:
            registry.may_register_model(told)
            at = get_current_time_millis()
            if not rows.add_model(name, at, description, told):
                handle_resource_already_exist_error(name, rows.is_prompt(name), has_prompt_tag(tags))
            registry.model_registered(work, self._change(name), told, description)
            return rows.new_model(name, at, description, told)

        return self._changes.run((name,), "create model", create, new=True)

    def update_registered_model(
        self,
        name: str,
        description: str,
        deployment_job_id: str | None = None,  # noqa: ARG002 - MLflow's signature
    ) -> Any:
        """Change a model's description."""
        _validate_model_name(name)

        def describe(work: Work, rows: Rows) -> Any:
            before = rows.describe_model(name, description, get_current_time_millis())
            if before is None:
                raise no_model(name)
            registry.model_described(work, self._change(name), before.value, description)
            return rows.model(name)

        with self._there_first(name):
            return self._write(name, "update model", describe)

    def rename_registered_model(self, name: str, new_name: str) -> Any:
        """Rename a model that nothing serves; its history and record go along."""
        _validate_model_renaming(new_name)
        _validate_model_name(name)

        def rename(work: Work, rows: Rows) -> Any:
            if not rows.has_model(name):
                raise no_model(name)
            registry.may_rename_model(work, name)
            if new_name != name and rows.has_model(new_name):
                # MLflow adds the database's own words, with the statement and its values in them
                raise MlflowException(f"Registered Model (name={new_name}) already exists.", RESOURCE_ALREADY_EXISTS)
            registry.model_renamed(work, self._change(name), new_name)
            rows.rename_model(name, new_name, get_current_time_millis())
            return rows.model(new_name)

        return self._write(name, "rename model", rename, new_name, act=Act.REMOVE)

    def delete_registered_model(self, name: str) -> None:
        """Delete a model that nothing serves."""
        _validate_model_name(name)

        def delete(work: Work, rows: Rows) -> None:
            if not rows.has_model(name):
                raise no_model(name)
            registry.may_delete_model(work, name)
            registry.model_deleted(work, self._change(name))
            rows.delete_model(name)

        self._write(name, "delete model", delete, act=Act.REMOVE)

    def set_registered_model_tag(self, name: str, tag: Any) -> None:
        """Set a model's tag, unless it is reserved."""
        _validate_model_name(name)
        _validate_registered_model_tag(tag.key, tag.value)

        def put(work: Work, rows: Rows) -> None:
            registry.may_tag_model(tag.key)
            before = rows.set_model_tag(name, tag.key, tag.value)
            if before is None:
                raise no_model(name)
            registry.tagged(work, self._change(name), tag.key, tag.value, before=before.value)

        with self._there_first(name):
            self._write(name, f"set model tag {tag.key}", put)

    def delete_registered_model_tag(self, name: str, key: str) -> None:
        """Delete a model's tag, unless it is reserved."""
        _validate_model_name(name)
        _validate_tag_name(key)

        def delete(work: Work, rows: Rows) -> None:
            registry.may_tag_model(key)
            if not rows.has_model(name):
                raise no_model(name)
            before = rows.delete_model_tag(name, key)
            registry.tagged(work, self._change(name), key, None, before=before.value)

        self._write(name, f"delete model tag {key}", delete)

    # --- versions ---------------------------------------------------------------------------------------------------

    def create_model_version(
        self,
        name: str,
        source: str,
        run_id: str | None = None,
        tags: Any = None,
        run_link: str | None = None,
        description: str | None = None,
        local_model_path: str | None = None,  # noqa: ARG002 - MLflow's signature
        model_id: str | None = None,
    ) -> Any:
        """Register a version in stage None. A tag that asks for approval does so, once the version is there.

        A copy leaves behind what Lockgate wrote on its original: an approval does not travel. Who registered the
        original stays with it.
        """
        _validate_model_name(name)
        for tag in tags or []:
            _validate_model_version_tag(tag.key, tag.value)
        origin, original = origin_of(self, source, run_id, model_id), copied_from(self, source)
        told = {tag.key: tag.value for tag in tags or [] if not _is_copied(tag, original)}
        plain = {key: value for key, value in told.items() if key not in registry.ACTS}
        user = (original.user_id if original is not None else None) or self._name()

        def create(work: Work, rows: Rows) -> Any:
            change, at = self._change(name), get_current_time_millis()
            try:
                registry.may_register_version(work, name, told)
            except LockgateError:
                if not rows.has_model(name):
                    raise no_model(name) from None
                raise
            row = {"creation_time": at, "last_updated_time": at, "source": source, "storage_location": origin.location}
            row |= {"run_id": origin.run_id, "run_link": run_link, "description": description, "user_id": user}
            row |= {"current_stage": STAGE_NONE, "status": _READY, "status_message": None}
            made = rows.add_version(name, row, plain)
            number = made.version
            given = registry.Given(source, origin.run_id, description, told)
            registry.version_registered(self._governance.ports, work, change, number, given, origin.location or source)
            webhooks.version_created(
                work, name, number, told, source=source, run_id=run_id, description=description, at=change.at
            )
            return made

        with self._there_first(name):
            made = self._write(name, "create version", create)
        if registry.APPROVAL_REQUEST in told:
            self._act(VersionRef(name, int(made.version)), registry.APPROVAL_REQUEST, told[registry.APPROVAL_REQUEST])
            return self.get_model_version(name, made.version)
        return made

    def update_model_version(self, name: str, version: Any, description: str | None = None) -> Any:
        """Change a version's description."""
        _validate_model_name(name)
        number = _number(name, version)

        def describe(work: Work, rows: Rows) -> Any:
            before = rows.describe_version(name, number, description, get_current_time_millis())
            if before is None:
                raise no_version(name, number)
            registry.version_described(work, self._change(name), number, before.value, description)
            return rows.version(name, number)

        with self._there_first(name, number):
            return self._write(name, "update version", describe)

    def delete_model_version(self, name: str, version: Any) -> None:
        """Delete a version that no endpoint holds and no promotion moves."""
        number = _number(name, version)
        _validate_model_name(name)

        def delete(work: Work, rows: Rows) -> None:
            if not rows.has_version(name, number):
                raise no_version(name, number)
            registry.may_delete_version(work, VersionRef(name, number))
            registry.version_deleted(work, self._change(name), number)
            rows.delete_version(name, number, get_current_time_millis())

        self._write(name, "delete version", delete, act=Act.REMOVE)

    def set_model_version_tag(self, name: str, version: Any, tag: Any) -> None:
        """Set a version's tag; `approval_request` and `production_approved` are understood as the acts they mean."""
        _validate_model_name(name)
        number = _number(name, version)
        _validate_model_version_tag(tag.key, tag.value)
        if tag.key in registry.ACTS:
            self.get_model_version(name, number)
            self._act(VersionRef(name, number), tag.key, tag.value)
            return

        def put(work: Work, rows: Rows) -> None:
            registry.may_tag_version(tag.key)
            before = rows.set_version_tag(name, number, tag.key, tag.value)
            if before is None:
                raise no_version(name, number)
            registry.tagged(work, self._change(name), tag.key, tag.value, number, before=before.value)

        with self._there_first(name, number):
            self._write(name, f"set version tag {tag.key}", put)

    def delete_model_version_tag(self, name: str, version: Any, key: str) -> None:
        """Delete a version's tag, unless it is reserved."""
        _validate_model_name(name)
        number = _number(name, version)
        _validate_tag_name(key)

        def delete(work: Work, rows: Rows) -> None:
            registry.may_tag_version(key, deleting=True)
            if not rows.has_version(name, number):
                raise no_version(name, number)
            before = rows.delete_version_tag(name, number, key)
            registry.tagged(work, self._change(name), key, None, number, before=before.value)

        self._write(name, f"delete version tag {key}", delete)

    # --- stages and aliases -----------------------------------------------------------------------------------------

    def transition_model_version_stage(
        self, name: str, version: Any, stage: str, archive_existing_versions: bool
    ) -> Any:
        """Promote. Never waits: a promotion that goes on is a conflict naming it."""
        return self._promoted(self.ask_for_stage(name, version, stage, archive_existing_versions))

    def ask_for_stage(self, name: str, version: Any, stage: str, archive_existing_versions: bool) -> Ask:
        """The promotion a transition asks for.

        Raises what MLflow raises for a malformed request; whether the version is there is for the promotion to say.
        """
        canonical = get_canonical_stage(stage)
        if archive_existing_versions and canonical not in DEFAULT_STAGES_FOR_GET_LATEST_VERSIONS:
            raise MlflowException(
                "Model version transition cannot archive existing model versions because "
                f"'{stage}' is not an Active stage. Valid stages are {DEFAULT_STAGES_FOR_GET_LATEST_VERSIONS}"
            )
        _validate_model_name(name)
        ref, target = VersionRef(name, _number(name, version)), Stage(canonical)
        return Ask(ref, target, Kind.TRANSITION, self._governance.who(), archive_existing=archive_existing_versions)

    def promote(self, ask: Ask) -> tuple[Promotion, Any]:
        """Open or join the promotion and take its first step, and the version as this very step left it.

        The version is None where the promotion goes on, or ended otherwise than well. Raises MlflowException.
        """
        ref = ask.ref
        seen: list[Any] = []

        def look(work: Work) -> None:
            seen[:] = [self._changes.rows(work).version(ref.model, ref.version)]

        with self._changes.translated():
            promotion = again(lambda: promote.ask(self._governance.ports, ask, look))
        return promotion, seen[0] if seen else None

    def set_registered_model_alias(self, name: str, alias: str, version: Any) -> None:
        """Move an alias. A protected one is a promotion; it is refused rather than waited for."""
        _validate_model_name(name)
        _validate_model_alias_name(alias)
        _validate_model_alias_name_reserved(alias)
        number = _number(name, version)

        def put(work: Work, rows: Rows) -> Ask | None:
            ask = registry.ask_by_alias(work, VersionRef(name, number), alias, self._governance.who())
            if ask is None:
                authorise(work, self._governance.who(), Act.WRITE, name)
                before = rows.holder(name, alias)
                if not rows.set_alias(name, alias, number):
                    raise no_version(name, number)
                registry.alias_changed(work, self._change(name), alias, before, number)
            return ask

        ask = self._write(name, f"set alias {alias}", put, act=None)
        if ask is not None:
            self._promoted(ask)

    def ask_for_alias(self, name: str, alias: str, version: Any) -> Ask | None:
        """The promotion that setting this alias means, or None for an alias of the user's own.

        Raises what MLflow raises for a malformed request; whether the version is there is for the promotion to say.
        """
        _validate_model_name(name)
        _validate_model_alias_name(alias)
        _validate_model_alias_name_reserved(alias)
        ref = VersionRef(name, _number(name, version))
        with self._changes.translated(), self._governance.ports.store.reading() as work:
            return registry.ask_by_alias(work, ref, alias, self._governance.who())

    def delete_registered_model_alias(self, name: str, alias: str) -> None:
        """Delete an alias of the user's own."""
        _validate_model_name(name)
        _validate_model_alias_name(alias)

        def delete(work: Work, rows: Rows) -> None:
            if not rows.has_model(name):
                raise no_model(name)
            before = rows.holder(name, alias)
            registry.may_delete_alias(work, name, alias, before)
            if before is not None:
                rows.delete_alias(name, alias)
                registry.alias_changed(work, self._change(name), alias, before, None)

        self._write(name, f"delete alias {alias}", delete)

    # --- webhooks: MLflow's own bodies, recorded --------------------------------------------------------------------

    def create_webhook(
        self,
        name: str,
        url: str,
        events: Any,
        description: str | None = None,
        secret: str | None = None,
        status: Any = None,
    ) -> Any:
        """MLflow's own, with an entry on the record."""
        with self._recorded("webhook:created", new_secret=bool(secret)):
            return super().create_webhook(name, url, events, description, secret, status)

    def update_webhook(
        self,
        webhook_id: str,
        name: str | None = None,
        description: str | None = None,
        url: str | None = None,
        events: Any = None,
        secret: str | None = None,
        status: Any = None,
    ) -> Any:
        """MLflow's own, with an entry on the record."""
        with self._recorded("webhook:updated", webhook_id, new_secret=bool(secret)):
            return super().update_webhook(webhook_id, name, description, url, events, secret, status)

    def delete_webhook(self, webhook_id: str) -> None:
        """MLflow's own, with an entry on the record."""
        with self._recorded("webhook:deleted", webhook_id):
            super().delete_webhook(webhook_id)

    # --- inside -----------------------------------------------------------------------------------------------------

    def _write(
        self, name: str, action: str, body: Callable[[Work, Rows], T], *others: str, act: Act | None = Act.WRITE
    ) -> T:
        return self._changes.run((name, *others), action, body, act=act)

    @contextmanager
    def _there_first(self, name: str, number: int | None = None) -> Iterator[None]:
        """Where the database refuses a value, say that the model or version is not there, if that is so.

        PostgreSQL judges the values of a statement before it looks for the row.
        """
        try:
            yield
        except MlflowException as refused:
            if isinstance(refused.__cause__, DataError):
                self.get_registered_model(name) if number is None else self.get_model_version(name, number)
            raise

    @contextmanager
    def _recorded(self, action: str, webhook: str | None = None, *, new_secret: bool = False) -> Iterator[None]:
        """`webhook` is the one that is changed, None for a new one."""
        before: list[Webhook | None] = []

        def look(work: Work, _connection: Connection) -> None:
            authorise(work, self._governance.who(), Act.MANAGE_WEBHOOKS)
            before[:] = [work.webhooks.get(webhook) if webhook is not None else None]

        def record(work: Work, session: Session) -> None:
            after = work.webhooks.get(changed_webhook(session))
            told = before[0]
            registry.webhook_changed(work, action, self._change(""), told, after, new_secret=new_secret)

        with changing(Change(None, look, record)):
            yield

    def _change(self, model: str) -> registry.Change:
        return registry.Change(model, self._governance.who(), self._governance.ports.clock.now())

    def _name(self) -> str | None:
        """The caller's name, None where nobody said one."""
        name = self._governance.who().name
        return None if name == ANONYMOUS else name

    def _promoted(self, ask: Ask) -> Any:
        promotion, version = self.promote(ask)
        with self._changes.translated():
            promote.answer(promotion)
        return version if version is not None else self.get_model_version(ask.ref.model, ask.ref.version)

    def _act(self, ref: VersionRef, key: str, value: str) -> None:
        ports, who = self._governance.ports, self._governance.who()
        with self._changes.translated():
            try:
                with ports.store.reading() as work:
                    registry.may_act_by_tag(work, ref.model)
            except Forbidden as refusal:
                self._changes.put_on_record(ref.model, f"set version tag {key}", refusal)
                raise
            if key == registry.APPROVAL_REQUEST:
                approve.tag_request(ports, ref, value, who)
            else:
                approve.tag_approved(ports, ref, value, who)


class GovernedInWorkspaces(Governed, WorkspaceAwareSqlAlchemyStore):
    """The same where MLflow's workspaces are switched on."""


def _number(name: str, version: Any) -> int:
    """The version's number; one that no database holds is no version's."""
    number = int(_validate_model_version(version))
    if not LEAST <= number <= MOST:
        raise no_version(name, number)
    return number


def _is_copied(tag: Any, original: Any) -> bool:
    state = registry.ACTS | registry.WRITTEN_BY_LOCKGATE.keys()
    return original is not None and tag.key in state and original.tags.get(tag.key) == tag.value
