"""MLflow's workspaces, governed: a change of one commits with its entry, and deleting one takes no model along."""

from __future__ import annotations

from contextlib import AbstractContextManager
from typing import Any

from mlflow.entities import WorkspaceDeletionMode
from mlflow.store.workspace.dbmodels.models import SqlWorkspace
from mlflow.store.workspace.sqlalchemy_store import SqlAlchemyStore
from mlflow.utils.workspace_utils import DEFAULT_WORKSPACE_NAME
from sqlalchemy import Connection, Table, select
from sqlalchemy.orm import Session

from lockgate.adapters.mlflow.governance import Change, Governance, Sessions, changing, governed_sessions
from lockgate.domain.access import Act
from lockgate.domain.errors import Forbidden
from lockgate.usecases import registry
from lockgate.usecases.authorise import authorise
from lockgate.usecases.ports import Work


class GovernedWorkspaces(SqlAlchemyStore):
    """MLflow's store of workspaces with Lockgate's record in each of its transactions."""

    def __init__(self, db_uri: str, *, governance: Governance) -> None:
        super().__init__(db_uri)
        self._governance = governance
        plain: Sessions = vars(self)["ManagedSessionMaker"]
        self.ManagedSessionMaker = governed_sessions(plain, governance, lambda: DEFAULT_WORKSPACE_NAME)

    def create_workspace(self, workspace: Any) -> Any:
        """MLflow's own, with an entry on the record."""
        with self._recorded("workspace:created", workspace.name):
            return super().create_workspace(workspace)

    def update_workspace(self, workspace: Any) -> Any:
        """MLflow's own, with an entry on the record."""
        with self._recorded("workspace:updated", workspace.name):
            return super().update_workspace(workspace)

    def delete_workspace(
        self, workspace_name: str, mode: WorkspaceDeletionMode = WorkspaceDeletionMode.RESTRICT
    ) -> None:
        """Delete an empty workspace. The modes that delete or move what is in it go past every rule: refused."""
        if mode != WorkspaceDeletionMode.RESTRICT:
            self._refuse(workspace_name, mode)
        with self._recorded("workspace:deleted", workspace_name):
            super().delete_workspace(workspace_name, mode)

    def _refuse(self, workspace: str, mode: WorkspaceDeletionMode) -> None:
        governance = self._governance
        refusal = Forbidden(
            f"A workspace is not deleted together with what is in it (mode {mode.value}): its models would go, or "
            "move, without a rule being asked.",
            hint=f"Delete what is in {workspace} first, then the empty workspace.",
        )
        with governance.translated():
            registry.refused(governance.ports, "", f"delete workspace {workspace}", governance.who(), refusal)
            raise refusal

    def _recorded(self, action: str, workspace: str) -> AbstractContextManager[None]:
        before: list[_Columns | None] = []

        def look(work: Work, connection: Connection) -> None:
            authorise(work, self._governance.who(), Act.CALL_ROUTERS)
            before[:] = [_columns(connection, workspace)]

        def record(work: Work, session: Session) -> None:
            governance = self._governance
            change = registry.Change("", governance.who(), governance.ports.clock.now())
            after = _columns(session.connection(), workspace)
            registry.workspace_changed(work, action, workspace, change, before[0], after)

        return changing(Change(None, look, record))


_Columns = dict[str, str | None]


def _columns(connection: Connection, workspace: str) -> _Columns | None:
    """What MLflow holds of the workspace; None where there is none."""
    table: Table = SqlWorkspace.__table__
    row = connection.execute(select(table).where(table.c.name == workspace)).first()
    return None if row is None else dict(row._mapping)
