"""MLflow's registered models and versions, as one read of its tables gives them."""

from __future__ import annotations

from typing import NamedTuple


class VersionRow(NamedTuple):
    """A version. Times are milliseconds since 1970; tags and aliases are the JSON lists that the database wrote."""

    name: str
    version: int
    created: int | None
    updated: int | None
    description: str | None
    user_id: str | None
    stage: str | None
    source: str | None
    run_id: str | None
    run_link: str | None
    status: str | None
    status_message: str | None
    tags: str | None  # [{"key": …, "value": …}, …]
    aliases: str | None  # ["champion", …]


class ModelRow(NamedTuple):
    """A registered model or prompt. Times and JSON as in `VersionRow`."""

    name: str
    created: int | None
    updated: int | None
    description: str | None
    tags: str | None  # [{"key": …, "value": …}, …]
    aliases: str | None  # [["champion", 3], …]
    latest: str | None  # the newest version of each stage: lists of a VersionRow's fields, without its aliases


class LatestRow(NamedTuple):
    """The newest version of a stage, and the first version that is in it: MLflow lists the stages in that order."""

    first: int
    version: VersionRow
