"""Deleting a trace deletes its archive with it, by an address that anybody can write: not from a registered version."""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import Any

from mlflow.store.tracking.sqlalchemy_store import SqlAlchemyStore
from mlflow.tracing.otel.otel_archival import TRACE_ARCHIVAL_FILENAME

from lockgate.domain.errors import Forbidden
from lockgate.domain.places import place_of

log = logging.getLogger("lockgate.server")
_plain = SqlAlchemyStore._delete_archived_trace_payloads


def guard(judge: Callable[[str, list[str], bool], Forbidden | None]) -> None:
    """Keep each trace whose archive would take a registered version's file along. Done twice, nothing changes.

    MLflow's answer counts the traces that went, so the others are not in it; the refusal is on the record.
    """

    def spared(self: Any, selected: list[Any]) -> Any:
        return _plain(self, [each for each in selected if not _is_held(each.archived_artifact_uri)])

    def _is_held(location: str | None) -> bool:
        place = None if location is None else place_of(f"{location.rstrip('/')}/{TRACE_ARCHIVAL_FILENAME}")
        if place is None:
            return False
        refusal = judge("delete a trace with its archive", [place], True)
        if refusal is not None:
            log.warning("a trace stays, since its archive is among registered artifacts: %s", refusal.message)
        return refusal is not None

    SqlAlchemyStore._delete_archived_trace_payloads = spared
