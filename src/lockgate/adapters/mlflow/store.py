"""The governed store: every mutator of MLflow's registry, judged, recorded and committed with our rows.

MLflow's own bodies run unchanged between our questions and our entries. What is not here is refused when it writes.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from typing import Any

from mlflow.entities.model_registry.model_version_stages import (
    DEFAULT_STAGES_FOR_GET_LATEST_VERSIONS,
    get_canonical_stage,
)
from mlflow.exceptions import MlflowException
from mlflow.store.artifact.utils.models import _parse_model_uri
from mlflow.store.model_registry.dbmodels.models import SqlModelVersion, SqlRegisteredModelAlias
from mlflow.store.model_registry.sqlalchemy_store import SqlAlchemyStore
from mlflow.store.model_registry.sqlalchemy_workspace_store import WorkspaceAwareSqlAlchemyStore
from mlflow.utils.validation import (
    _validate_model_alias_name,
    _validate_model_alias_name_reserved,
    _validate_model_name,
    _validate_model_version,
    _validate_model_version_tag,
)
from sqlalchemy import Connection, func, select
from sqlalchemy.orm import Session

from lockgate.adapters.mlflow.governance import Change, Governance, Sessions, changing, governed_sessions
from lockgate.adapters.mlflow.reading import Reading, ReadingStore
from lockgate.domain.errors import Forbidden, LockgateError
from lockgate.domain.promotion import Kind
from lockgate.domain.stages import Stage
from lockgate.domain.versions import VersionRef
from lockgate.usecases import approve, promote, registry, webhooks
from lockgate.usecases.ports import Work
from lockgate.usecases.promote import Ask


def _always(_work: Work, _connection: Connection) -> None:
    return None


class Governed(ReadingStore, SqlAlchemyStore):
    """MLflow's store with Lockgate inside each of its transactions."""

    def __init__(self, db_uri: str, read_db_uri: str | None = None, *, governance: Governance) -> None:
        super().__init__(db_uri, read_db_uri=read_db_uri)
        self._governance = governance
        self.reading = Reading(governance.reader.reads, governance.reader.dialect)
        # an instance attribute is MLflow's own seam: all of its methods get their sessions from it
        plain: Sessions = vars(self)["ManagedSessionMaker"]
        self.ManagedSessionMaker = governed_sessions(plain, governance, self._get_active_workspace)

    # --- models -----------------------------------------------------------------------------------------------------

    def create_registered_model(
        self, name: str, tags: Any = None, description: str | None = None, deployment_job_id: str | None = None
    ) -> Any:
        """Register a model or a prompt. Reserved tags are refused; which of the two it is, is fixed here."""
        told = {tag.key: tag.value for tag in tags or []}
        with self._changing(
            name,
            "create model",
            allow=lambda _work, _connection: registry.may_register_model(told),
            record=lambda work, _session: registry.model_registered(work, self._change(name), told, description),
        ):
            return super().create_registered_model(name, tags, description, deployment_job_id)

    def update_registered_model(self, name: str, description: str, deployment_job_id: str | None = None) -> Any:
        """Change a model's description."""
        with self._changing(
            name,
            "update model",
            record=lambda work, _session: registry.model_described(work, self._change(name), description),
        ):
            return super().update_registered_model(name, description, deployment_job_id)

    def rename_registered_model(self, name: str, new_name: str) -> Any:
        """Rename a model that nothing serves; its history and record go along."""
        with self._changing(
            name,
            "rename model",
            allow=lambda work, _connection: registry.may_rename_model(work, name),
            record=lambda work, _session: registry.model_renamed(work, self._change(name), new_name),
        ):
            return super().rename_registered_model(name, new_name)

    def delete_registered_model(self, name: str) -> None:
        """Delete a model that nothing serves."""
        with self._changing(
            name,
            "delete model",
            allow=lambda work, _connection: registry.may_delete_model(work, name),
            record=lambda work, _session: registry.model_deleted(work, self._change(name)),
        ):
            super().delete_registered_model(name)

    def set_registered_model_tag(self, name: str, tag: Any) -> None:
        """Set a model's tag, unless it is reserved."""
        with self._changing(
            name,
            f"set model tag {tag.key}",
            allow=lambda _work, _connection: registry.may_tag_model(tag.key),
            record=lambda work, _session: registry.tagged(work, self._change(name), tag.key, tag.value),
        ):
            super().set_registered_model_tag(name, tag)

    def delete_registered_model_tag(self, name: str, key: str) -> None:
        """Delete a model's tag, unless it is reserved."""
        with self._changing(
            name,
            f"delete model tag {key}",
            allow=lambda _work, _connection: registry.may_tag_model(key),
            record=lambda work, _session: registry.tagged(work, self._change(name), key, None),
        ):
            super().delete_registered_model_tag(name, key)

    # --- versions ---------------------------------------------------------------------------------------------------

    def create_model_version(
        self,
        name: str,
        source: str,
        run_id: str | None = None,
        tags: Any = None,
        run_link: str | None = None,
        description: str | None = None,
        local_model_path: str | None = None,
        model_id: str | None = None,
    ) -> Any:
        """Register a version in stage None. A tag that asks for approval does so, once the version is there."""
        kept = self._without_copied_state(source, list(tags or []))
        told = {tag.key: tag.value for tag in kept}
        plain = [tag for tag in kept if tag.key not in registry.ACTS]

        def record(work: Work, session: Session) -> None:
            number = self._newest(session, name)
            change = self._change(name)
            registry.version_registered(self._governance.ports, work, change, number, source)
            webhooks.version_created(
                work, name, number, told, source=source, run_id=run_id, description=description, at=change.at
            )

        with self._changing(
            name,
            "create version",
            allow=lambda work, _connection: registry.may_register_version(work, name, told),
            record=record,
        ):
            made = super().create_model_version(
                name, source, run_id, plain, run_link, description, local_model_path, model_id
            )
        if registry.APPROVAL_REQUEST in told:
            self._act(VersionRef(name, int(made.version)), registry.APPROVAL_REQUEST, told[registry.APPROVAL_REQUEST])
            return self.get_model_version(name, made.version)
        return made

    def update_model_version(self, name: str, version: Any, description: str | None = None) -> Any:
        """Change a version's description."""
        number = _validate_model_version(version)
        with self._changing(
            name,
            "update version",
            record=lambda work, _session: registry.version_described(work, self._change(name), number, description),
        ):
            return super().update_model_version(name, number, description)

    def delete_model_version(self, name: str, version: Any) -> None:
        """Delete a version that no endpoint holds and no promotion moves."""
        number = _validate_model_version(version)
        with self._changing(
            name,
            "delete version",
            allow=lambda work, _connection: registry.may_delete_version(work, VersionRef(name, number)),
            record=lambda work, _session: registry.version_deleted(work, self._change(name), number),
        ):
            super().delete_model_version(name, number)

    def set_model_version_tag(self, name: str, version: Any, tag: Any) -> None:
        """Set a version's tag; `approval_request` and `production_approved` are understood as the acts they mean."""
        number = _validate_model_version(version)
        if tag.key in registry.ACTS:
            _validate_model_version_tag(tag.key, tag.value)
            self.get_model_version(name, number)
            self._act(VersionRef(name, number), tag.key, tag.value)
            return
        with self._changing(
            name,
            f"set version tag {tag.key}",
            allow=lambda _work, _connection: registry.may_tag_version(tag.key),
            record=lambda work, _session: registry.tagged(work, self._change(name), tag.key, tag.value, number),
        ):
            super().set_model_version_tag(name, number, tag)

    def delete_model_version_tag(self, name: str, version: Any, key: str) -> None:
        """Delete a version's tag, unless it is reserved."""
        number = _validate_model_version(version)
        with self._changing(
            name,
            f"delete version tag {key}",
            allow=lambda _work, _connection: registry.may_tag_version(key, deleting=True),
            record=lambda work, _session: registry.tagged(work, self._change(name), key, None, number),
        ):
            super().delete_model_version_tag(name, number, key)

    # --- stages and aliases -----------------------------------------------------------------------------------------

    def transition_model_version_stage(
        self, name: str, version: Any, stage: str, archive_existing_versions: bool
    ) -> Any:
        """Promote. Never waits: a promotion that goes on is a conflict naming it."""
        ask = self.ask_for_stage(name, version, stage, archive_existing_versions)
        if ask is None:
            return self.get_model_version(name, version)
        return self._promoted(ask)

    def ask_for_stage(self, name: str, version: Any, stage: str, archive_existing_versions: bool) -> Ask | None:
        """The promotion a transition asks for, or None where there is none to ask for (a prompt stays in None).

        Raises what MLflow raises for a malformed request or a version that is not there.
        """
        canonical = get_canonical_stage(stage)
        if archive_existing_versions and canonical not in DEFAULT_STAGES_FOR_GET_LATEST_VERSIONS:
            raise MlflowException(
                "Model version transition cannot archive existing model versions because "
                f"'{stage}' is not an Active stage. Valid stages are {DEFAULT_STAGES_FOR_GET_LATEST_VERSIONS}"
            )
        found = self.get_model_version(name, version)
        target = Stage(canonical)
        ref = VersionRef(name, int(found.version))
        with self._governance.translated(), self._governance.ports.store.reading() as work:
            if work.catalog.is_prompt(name):
                registry.may_transition_prompt(name, target)
                return None
        return Ask(ref, target, Kind.TRANSITION, self._governance.who(), archive_existing=archive_existing_versions)

    def set_registered_model_alias(self, name: str, alias: str, version: Any) -> None:
        """Move an alias. A protected one is a promotion; it is refused rather than waited for."""
        ask = self.ask_for_alias(name, alias, version)
        if ask is not None:
            self._promoted(ask)
            return
        number = _validate_model_version(version)
        before: list[int | None] = []

        def allow(_work: Work, connection: Connection) -> None:
            before[:] = [self._holder(connection, name, alias)]

        with self._changing(
            name,
            f"set alias {alias}",
            allow=allow,
            record=lambda work, _session: registry.alias_changed(work, self._change(name), alias, before[-1], number),
        ):
            super().set_registered_model_alias(name, alias, number)

    def ask_for_alias(self, name: str, alias: str, version: Any) -> Ask | None:
        """The promotion that setting this alias means, or None for an alias of the user's own.

        Raises what MLflow raises for a malformed request or a version that is not there.
        """
        _validate_model_name(name)
        _validate_model_alias_name(alias)
        _validate_model_alias_name_reserved(alias)
        ref = VersionRef(name, _validate_model_version(version))
        with self._governance.translated(), self._governance.ports.store.reading() as work:
            ask = registry.ask_by_alias(work, ref, alias, self._governance.who())
        if ask is not None:
            self.get_model_version(name, ref.version)
        return ask

    def delete_registered_model_alias(self, name: str, alias: str) -> None:
        """Delete an alias of the user's own."""
        before: list[int | None] = []

        def allow(work: Work, connection: Connection) -> None:
            before[:] = [self._holder(connection, name, alias)]
            registry.may_delete_alias(work, name, alias, before[-1])

        def record(work: Work, _session: Session) -> None:
            if before[-1] is not None:
                registry.alias_changed(work, self._change(name), alias, before[-1], None)

        with self._changing(name, f"delete alias {alias}", allow=allow, record=record):
            super().delete_registered_model_alias(name, alias)

    # --- webhooks: MLflow's own, recorded --------------------------------------------------------------------------

    def create_webhook(self, *args: Any, **kwargs: Any) -> Any:
        """MLflow's own, with an entry on the record."""
        with self._recorded("webhook:created"):
            return super().create_webhook(*args, **kwargs)

    def update_webhook(self, *args: Any, **kwargs: Any) -> Any:
        """MLflow's own, with an entry on the record."""
        with self._recorded("webhook:updated"):
            return super().update_webhook(*args, **kwargs)

    def delete_webhook(self, *args: Any, **kwargs: Any) -> None:
        """MLflow's own, with an entry on the record."""
        with self._recorded("webhook:deleted"):
            super().delete_webhook(*args, **kwargs)

    # --- inside -----------------------------------------------------------------------------------------------------

    @contextmanager
    def _changing(
        self,
        model: str | None,
        action: str,
        *,
        allow: Callable[[Work, Connection], None] = _always,
        record: Callable[[Work, Session], None],
    ) -> Iterator[None]:
        try:
            with changing(Change(model, allow, record)):
                yield
        except MlflowException as refusal:
            if isinstance(refusal.__cause__, Forbidden):
                self._put_on_record(model, action, refusal.__cause__)
            raise

    def _recorded(self, action: str) -> AbstractContextManager[None]:
        def record(work: Work, _session: Session) -> None:
            registry.webhook_changed(work, action, self._governance.who(), self._governance.ports.clock.now())

        return self._changing(None, action, record=record)

    def _change(self, model: str) -> registry.Change:
        return registry.Change(model, self._governance.who(), self._governance.ports.clock.now())

    def _promoted(self, ask: Ask) -> Any:
        with self._governance.translated():
            promote.answer(promote.ask(self._governance.ports, ask))
        return self.get_model_version(ask.ref.model, ask.ref.version)

    def _act(self, ref: VersionRef, key: str, value: str) -> None:
        ports, who = self._governance.ports, self._governance.who()
        with self._governance.translated():
            try:
                with ports.store.reading() as work:
                    registry.may_act_by_tag(work, ref.model)
            except Forbidden as refusal:
                self._put_on_record(ref.model, f"set version tag {key}", refusal)
                raise
            if key == registry.APPROVAL_REQUEST:
                approve.tag_request(ports, ref, value, who)
            else:
                approve.tag_approved(ports, ref, value, who)

    def _put_on_record(self, model: str | None, action: str, refusal: LockgateError) -> None:
        with self._governance.translated():
            registry.refused(self._governance.ports, model or "", action, self._governance.who(), refusal)

    def _without_copied_state(self, source: str, tags: Sequence[Any]) -> list[Any]:
        """The tags without what Lockgate wrote on the version this one is a copy of: an approval does not travel."""
        if not str(source).startswith("models:/") or not any(tag.key in registry.RESERVED for tag in tags):
            return list(tags)
        try:
            parsed = _parse_model_uri(source)
            original = None if parsed.model_id else self.get_model_version(parsed.name, parsed.version).tags
        except MlflowException:
            return list(tags)  # MLflow's own body says what is wrong with the source
        return [tag for tag in tags if not _is_copied(tag, original or {})]

    def _newest(self, session: Session, name: str) -> int:
        # under the lock the highest number is the one just made
        query = select(func.max(SqlModelVersion.version)).where(
            SqlModelVersion.workspace == self._get_active_workspace(), SqlModelVersion.name == name
        )
        return int(session.execute(query).scalar_one())

    def _holder(self, connection: Connection, name: str, alias: str) -> int | None:
        row = SqlRegisteredModelAlias
        query = select(row.version).where(
            row.workspace == self._get_active_workspace(), row.name == name, row.alias == alias
        )
        return connection.execute(query).scalar()


class GovernedInWorkspaces(Governed, WorkspaceAwareSqlAlchemyStore):
    """The same where MLflow's workspaces are switched on."""


def _is_copied(tag: Any, original: Mapping[str, str]) -> bool:
    state = registry.ACTS | registry.WRITTEN_BY_LOCKGATE.keys()
    return tag.key in state and original.get(tag.key) == tag.value
