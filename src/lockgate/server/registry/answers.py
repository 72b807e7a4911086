"""Rows of the registry as MLflow's JSON: what MLflow leaves out of an answer is left out of these."""

from __future__ import annotations

from collections.abc import Sequence
from operator import itemgetter
from typing import Any

import orjson

from lockgate.domain.registered import ModelRow, VersionRow

# a newest version of a model has the first version of its stage at its front, and then what a `VersionRow` has
_BY_FIRST, _BY_STAGE = itemgetter(0), itemgetter(7)


def version(row: VersionRow) -> dict[str, Any]:
    """A version, with its aliases."""
    told = _version(row[:-1])
    if row.aliases and row.aliases != "[]":
        told["aliases"] = sorted(orjson.loads(row.aliases))
    return told


def model(row: ModelRow, *, found_by_search: bool) -> dict[str, Any]:
    """A model with the newest version of each stage: a search has them in the order of the stages' names."""
    told: dict[str, Any] = {"name": row.name}
    if row.created is not None:
        told["creation_timestamp"] = row.created
    if row.updated:
        told["last_updated_timestamp"] = row.updated
    if row.description:
        told["description"] = row.description
    if row.latest and row.latest != "[]":
        latest = sorted(orjson.loads(row.latest), key=_BY_STAGE if found_by_search else _BY_FIRST)
        told["latest_versions"] = [_version(fields[1:]) for fields in latest]
    if row.tags and row.tags != "[]":
        told["tags"] = _tags(row.tags)
    if row.aliases and row.aliases != "[]":
        aliases = sorted(orjson.loads(row.aliases))
        told["aliases"] = [{"alias": alias, "version": str(number)} for alias, number in aliases]
    return told


def _version(row: Sequence[Any]) -> dict[str, Any]:
    """A version without its aliases, from the fields of a `VersionRow` before them: a page has hundreds."""
    name, number, created, updated, description, user, stage, source, run, link, status, message, tags = row
    told: dict[str, Any] = {"name": name, "version": str(number), "creation_timestamp": created}
    if updated is not None:
        told["last_updated_timestamp"] = updated
    if user is not None:
        told["user_id"] = user
    if stage is not None:
        told["current_stage"] = stage
    if description is not None:
        told["description"] = description
    if source is not None:
        told["source"] = source
    if run is not None:
        told["run_id"] = run
    if status is not None:
        told["status"] = status
    if message:
        told["status_message"] = message
    if link is not None:
        told["run_link"] = link
    if tags and tags != "[]":
        told["tags"] = _tags(tags)
    return told


def _tags(written: str) -> Any:
    # the database wrote them as they are sent, but for a tag without a value
    return [_tag(tag) for tag in orjson.loads(written)] if "null}" in written else orjson.Fragment(written)


def _tag(tag: dict[str, str | None]) -> dict[str, str | None]:
    return tag if tag["value"] is not None else {"key": tag["key"]}
