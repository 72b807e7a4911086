"""Our own row for each model: what its versions, promotions and audit chain hang on, whatever it is called today."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from sqlalchemy import Connection, String, bindparam, cast, insert, literal, select, update
from sqlalchemy.dialects import postgresql, sqlite

from lockgate.adapters.sql import mlflow_tables as mlflow
from lockgate.adapters.sql.dialects import is_sqlite
from lockgate.adapters.sql.tables import LIVING_NAME, chains, models
from lockgate.domain.audit import BEGINNING, SYSTEM

DEFAULT_WORKSPACE = "default"


def chain_of(model_id: int | str) -> str:
    """The name of a model's audit chain: it stays when the model is renamed."""
    return f"model:{model_id}"


# made once: making a statement takes longer than running it
_LIVING = select(models.c.id).where(
    models.c.workspace == bindparam("workspace"), models.c.name == bindparam("name"), LIVING_NAME
)
_NEW: Any = {"index_elements": [models.c.workspace, models.c.name], "index_where": LIVING_NAME}
_ADD_MODEL = sqlite.insert(models).on_conflict_do_nothing(**_NEW).inline().execution_options(preserve_rowcount=True)
_ADD_HEAD = insert(chains).inline()
_ADDED = (
    postgresql.insert(models)
    .values(workspace=bindparam("workspace_"), name=bindparam("name_"))
    .on_conflict_do_nothing(**_NEW)
    .returning(models.c.id)
    .cte("added")
)
_ADD_MODEL_AND_HEAD = (
    insert(chains)
    .from_select(
        ["chain", "number", "hash"],
        select(literal(chain_of("")).concat(cast(_ADDED.c.id, String)), literal(0), literal(BEGINNING)),
    )
    .returning(select(_ADDED.c.id).scalar_subquery())
)


class Names:
    """Finds and keeps the rows of `lockgate_models` within one transaction and workspace."""

    def __init__(self, connection: Connection, workspace: str) -> None:
        self._connection = connection
        self.workspace = workspace
        self._known: dict[str, int | None] = {}
        # the heads of chains that this transaction has locked: the number and the hash of the last entry
        self.heads: dict[str, tuple[int, str]] = {}

    def found(self, model: str, id: int, head: tuple[int, str]) -> None:
        """Keep the row of the model and the head of its chain, which were locked."""
        self._known[model] = id
        self.heads[chain_of(id)] = head

    def id_of(self, model: str) -> int | None:
        """The row of the model that bears this name now, or None."""
        if model not in self._known:
            self._known[model] = self._connection.execute(
                _LIVING, {"workspace": self.workspace, "name": model}
            ).scalar()
        return self._known[model]

    def key(self, model: str) -> int:
        """The row as a condition names it; 0, which no row has, when there is none: IS NULL would read all rows."""
        return self.id_of(model) or 0

    def ensure(self, model: str) -> int:
        """The row of the model that bears this name; made, with the head of its audit chain, when there is none."""
        found = self.id_of(model)
        if found is None:
            self.begin(model)
            found = self.id_of(model)
        if found is None:
            raise RuntimeError(f"the row of model {model!r} was inserted and is not there")
        return found

    def begin(self, model: str) -> bool:
        """Make the row of the model, with the head of its audit chain; False when a model bears the name already."""
        if is_sqlite(self._connection):
            made = self._connection.execute(_ADD_MODEL, {"workspace": self.workspace, "name": model})
            id = made.lastrowid if made.rowcount else None
            if id is not None:
                head = {"chain": chain_of(id), "number": 0, "hash": BEGINNING}
                self._connection.execute(_ADD_HEAD, head)
        else:
            id = self._connection.execute(_ADD_MODEL_AND_HEAD, {"workspace_": self.workspace, "name_": model}).scalar()
        if id is None:
            self._known.pop(model, None)
            return False
        self.found(model, id, (0, BEGINNING))
        return True

    def chain(self, model: str) -> str:
        """The audit chain for an entry about this name.

        A name that no model bears any more goes on in the chain of the last one that did; one that none ever bore
        belongs to the system's chain.
        """
        if not model:
            return SYSTEM
        found = self.id_of(model)
        if found is None and self._is_registered(model):
            found = self.ensure(model)
        if found is None:
            here = (models.c.workspace == self.workspace, models.c.name == model)
            found = self._connection.execute(
                select(models.c.id).where(*here).order_by(models.c.id.desc()).limit(1)
            ).scalar()
        return SYSTEM if found is None else chain_of(found)

    def rename(self, old: str, new: str, at: datetime) -> None:
        """Call the row of `old` by the name `new`; a row left over under that name lets go of it."""
        self.let_go(new, at)
        model_id = self.ensure(old)
        self._connection.execute(update(models).where(models.c.id == model_id).values(name=new))
        self._known.clear()

    def let_go(self, model: str, at: datetime) -> int | None:
        """End the row that bears this name; its id."""
        found = self.id_of(model)
        if found is not None:
            self._connection.execute(update(models).where(models.c.id == found).values(deleted_at=at))
            self._known.clear()
        return found

    def _is_registered(self, model: str) -> bool:
        table = mlflow.registered_models.c
        here = (table.workspace == self.workspace, table.name == model)
        return self._connection.execute(select(table.name).where(*here)).first() is not None
