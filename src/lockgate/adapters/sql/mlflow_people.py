"""The users of MLflow's basic authentication, read from its own database without changing it.

What users may do was once in a table for each kind of resource, and is in roles since; both are understood.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence

from sqlalchemy import Boolean, Column, Connection, Integer, MetaData, String, Table, inspect, select

from lockgate.adapters.sql import readonly
from lockgate.domain.errors import BadInput
from lockgate.domain.newcomers import DEFAULT_WORKSPACE, MlflowUser, Permission

_metadata = MetaData()
_users = Table(
    "users",
    _metadata,
    Column("id", Integer),
    Column("username", String),
    Column("password_hash", String),
    Column("is_admin", Boolean),
)
_roles = Table("roles", _metadata, Column("id", Integer), Column("workspace", String))
_assigned = Table("user_role_assignments", _metadata, Column("user_id", Integer), Column("role_id", Integer))
_permissions = Table(
    "role_permissions",
    _metadata,
    Column("role_id", Integer),
    Column("resource_type", String),
    Column("resource_pattern", String),
    Column("permission", String),
)
_of_models = Table(
    "registered_model_permissions",
    _metadata,
    Column("user_id", Integer),
    Column("name", String),
    Column("permission", String),
    Column("workspace", String),
)
_version = Table("alembic_version_auth", _metadata, Column("version_num", String))

_OF_PLUGINS = "registered_model_group_permissions"

# the revisions before roles were filled from the older tables, which are kept and read by nobody afterwards
_BEFORE_ROLES = frozenset({"8606fa83a998", "0965eb92f5f0", "a1b2c3d4e5f6", "2ed73881770d", "c3d4e5f6a7b8"})


def read(uri: str) -> Sequence[MlflowUser]:
    """Every user with what they may do to models, by name.

    Raises BadInput when that database is none of MLflow's basic authentication, NotFound and Unavailable as they say.
    """
    with readonly.reading(readonly.parse(uri)) as connection:
        there = set(inspect(connection).get_table_names())
        if not _is_its(connection, there):
            raise BadInput(
                "That is no database of MLflow's basic authentication: it has no table of its users.",
                hint="It is the one that database_uri in basic_auth.ini names, by default basic_auth.db where the "
                "server was started.",
            )
        if _OF_PLUGINS in there:
            raise BadInput(
                "That is the database of a plugin for single sign-on: what its groups may do, and passwords that end, "
                "cannot be brought as they are.",
                hint="Write a table of name,role,pattern instead: docs/howto/coming-from-mlflows-basic-auth.md",
            )
        may = _from_roles(connection) if _has_roles(connection, there) else _from_models(connection)
        found = connection.execute(select(_users)).all()
    people = [MlflowUser(row.username, row.password_hash, bool(row.is_admin), tuple(may[row.id])) for row in found]
    return sorted((each for each in people if each.name), key=lambda each: each.name)


def _is_its(connection: Connection, there: set[str]) -> bool:
    if not {_users.name, _of_models.name} <= there and not {_users.name, _permissions.name} <= there:
        return False
    return {"username", "password_hash", "is_admin"} <= _columns(connection, _users)


def _has_roles(connection: Connection, there: set[str]) -> bool:
    if not {_roles.name, _assigned.name, _permissions.name} <= there:
        return False
    if _version.name not in there:
        return True
    return not _BEFORE_ROLES & set(connection.execute(select(_version.c.version_num)).scalars())


def _from_roles(connection: Connection) -> dict[int, list[Permission]]:
    given = _permissions.c
    rows = select(
        _assigned.c.user_id, _roles.c.workspace, given.resource_type, given.resource_pattern, given.permission
    ).select_from(
        _assigned.join(_roles, _roles.c.id == _assigned.c.role_id).join(_permissions, given.role_id == _roles.c.id)
    )
    found: dict[int, list[Permission]] = defaultdict(list)
    for user, *permission in connection.execute(rows):
        found[user].append(Permission(*permission))
    return found


def _from_models(connection: Connection) -> dict[int, list[Permission]]:
    columns = [_of_models.c.user_id, _of_models.c.name, _of_models.c.permission]
    within = "workspace" in _columns(connection, _of_models)
    found: dict[int, list[Permission]] = defaultdict(list)
    for row in connection.execute(select(*columns, *([_of_models.c.workspace] if within else []))):
        workspace = row.workspace if within else DEFAULT_WORKSPACE
        found[row.user_id].append(Permission(workspace, "registered_model", row.name, row.permission or ""))
    return found


def _columns(connection: Connection, table: Table) -> set[str]:
    return {column["name"] for column in inspect(connection).get_columns(table.name)}
