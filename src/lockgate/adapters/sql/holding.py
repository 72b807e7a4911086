"""Locks the model that a change is about, and learns on the way what every change of a model asks first.

That is our number of it, the head of its audit chain, whether it is a prompt, and whether any webhook listens: in one
statement, because each costs a way to the database and back while the next change waits.
"""

from __future__ import annotations

from typing import Any, NamedTuple

from sqlalchemy import Connection, String, and_, bindparam, cast, exists, literal, select

from lockgate.adapters.sql import mlflow_tables as mlflow
from lockgate.adapters.sql.dialects import NAME_LOCK, hold_name, is_sqlite
from lockgate.adapters.sql.names import chain_of
from lockgate.adapters.sql.tables import LIVING_NAME, chains, models
from lockgate.adapters.sql.webhooks import LISTENS, has_webhooks


class Opening(NamedTuple):
    """What was found with the lock. `prompt` is the value of the tag that marks one."""

    model_id: int
    number: int
    hash: str
    prompt: str | None
    listened: bool


def hold(connection: Connection, workspace: str, model: str) -> Opening | None:
    """Lock the model's row and its chain's head until the transaction ends; the name itself where nobody bears it.

    None where we have no row for the model yet, or nobody bears the name. On SQLite the whole file is ours already.
    """
    here = {"workspace": workspace, "name": model}
    if has_webhooks(connection):
        found = connection.execute(_OPENING if is_sqlite(connection) else _OPENING_HELD, here).first()
        if found is not None:
            return Opening(*found)
    if is_sqlite(connection) or connection.execute(_MODEL_ROW, here).first() is not None:
        return None
    # Nobody bears the name, so there is no row to lock: the name itself is, so that nobody takes it meanwhile.
    # Somebody may have, after the first look.
    hold_name(connection, _named(workspace, model))
    connection.execute(_MODEL_ROW, here)
    return None


def hold_new(connection: Connection, workspace: str, model: str) -> bool:
    """Lock a name that nobody is expected to bear. Whether a webhook may listen."""
    named = _named(workspace, model)
    if not has_webhooks(connection):
        hold_name(connection, named)
        return True
    held = {} if is_sqlite(connection) else {"held": named}
    return bool(connection.execute(_NEW_HELD if held else _NEW, {"workspace": workspace, **held}).one()[-1])


def _named(workspace: str, model: str) -> str:
    return f"{workspace}/{model}"


_theirs, _marks, _hooks = mlflow.registered_models, mlflow.registered_model_tags.c, mlflow.webhooks.c
_WORKSPACE: Any = bindparam("workspace")
_NAME: Any = bindparam("name")
_MODEL_ROW = select(_theirs.c.name).where(_theirs.c.workspace == _WORKSPACE, _theirs.c.name == _NAME).with_for_update()
_PROMPT = select(_marks.value).where(
    _marks.workspace == _WORKSPACE, _marks.name == _NAME, _marks.key == mlflow.IS_PROMPT
)
_OURS = select(models.c.id).where(models.c.workspace == _WORKSPACE, models.c.name == _NAME, LIVING_NAME)
_CHAIN = _OURS.with_only_columns(literal(chain_of("")).concat(cast(models.c.id, String)))
_LISTENED = exists().where(LISTENS, _hooks.workspace == _WORKSPACE)
_NEW = select(_LISTENED)
_NEW_HELD = select(NAME_LOCK, _LISTENED)
# looked up rather than joined: whatever a database thinks of the tables' sizes, these are looks into indexes
_OPENING = select(
    _OURS.scalar_subquery(),
    chains.c.number,
    chains.c.hash,
    _PROMPT.scalar_subquery(),
    _LISTENED,
).where(chains.c.chain == _CHAIN.scalar_subquery())
# Where it had to wait, PostgreSQL reads the rows it locks anew, and none where the model is gone or bears another name.
# Our own row changes only along with MLflow's; a prompt is never anything else; and a webhook that was made while this
# change was under way may have come after it.
_OPENING_HELD = _OPENING.join_from(
    _theirs, chains, and_(_theirs.c.workspace == _WORKSPACE, _theirs.c.name == _NAME)
).with_for_update(of=[_theirs, chains])
