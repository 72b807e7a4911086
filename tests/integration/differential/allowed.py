"""Every difference from stock MLflow that is meant; docs/reference/differences.md gives the reason for each."""

from __future__ import annotations

import copy
import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any
from urllib.parse import unquote_plus

from tests.integration.differential.pair import Answer, Request

PROTECTED = frozenset({"staging", "production"})
RESERVED = frozenset(
    {"approval_request", "production_approved", "staging_timestamp", "model_version", "mlflow.prompt.is_prompt"}
)
# OR, parentheses, and what only our filters know
_ADDED = re.compile(
    r"\bOR\b|\(|\b(creation_timestamp|last_updated_timestamp|current_stage|stage|aliases|user_id)\b", re.I
)
_REGISTRY = ("registered-models/", "model-versions/", "webhooks")

Mend = Callable[[Request, Answer, Answer], Answer | None]


@dataclass(frozen=True)
class Difference:
    """`mend` gives our answer as stock would have given it, or None when this difference is not there."""

    name: str
    mend: Mend


def explained(request: Request, stock: Answer, ours: Answer) -> tuple[str, ...]:
    """The names of the differences that make one answer into the other; empty when they do not."""
    names = []
    for difference in DIFFERENCES:
        if ours == stock:
            break
        mended = difference.mend(request, stock, ours)
        if mended is not None and mended != ours:
            names.append(difference.name)
            ours = mended
    return tuple(names) if ours == stock else ()


def _no_object(request: Request, stock: Answer, ours: Answer) -> Answer | None:
    return stock if stock.status == 500 and ours.status == 400 and "no object" in _message(ours) else None


def _stumbled(request: Request, stock: Answer, ours: Answer) -> Answer | None:
    reads = request.method in ("GET", "HEAD")
    return (
        stock if stock.status == 500 and (ours.status in (400, 500) or (reads and ours.status in (200, 404))) else None
    )


def _no_page(request: Request, stock: Answer, ours: Answer) -> Answer | None:
    return stock if stock.status == 200 and ours.status == 400 and "max_results" in _message(ours) else None


def _wrong_method(request: Request, stock: Answer, ours: Answer) -> Answer | None:
    there = any(part in request.path for part in _REGISTRY)
    return stock if there and stock.status in (404, 405) and "no way to change the registry" in _message(ours) else None


def _reserved_tag(request: Request, stock: Answer, ours: Answer) -> Answer | None:
    named = any(key.encode() in (request.body or b"") or key in request.query for key in RESERVED)
    return stock if named and ours.status in (400, 403) and stock.status == 200 else None


def _more_filters(request: Request, stock: Answer, ours: Answer) -> Answer | None:
    written = unquote_plus(request.query) + (request.body or b"").decode("utf-8", "replace")
    asked = request.path.endswith("/search") and _ADDED.search(written)
    return stock if asked and stock.status == 400 and ours.status in (200, 400) else None


def _no_sql(request: Request, stock: Answer, ours: Answer) -> Answer | None:
    there = stock.status == ours.status and "Error: (" in _message(stock)
    return stock if there and _message(stock).startswith(_message(ours)) else None


def _user(request: Request, stock: Answer, ours: Answer) -> Answer | None:
    return _each_version(ours, lambda version: version.pop("user_id", None))


def _aliases_found(request: Request, stock: Answer, ours: Answer) -> Answer | None:
    if not request.path.endswith(("model-versions/search", "registered-models/search")) or ours.status != 200:
        return None
    return _each_version(ours, lambda version: version.pop("aliases", None))


def _stage_alias(request: Request, stock: Answer, ours: Answer) -> Answer | None:
    def plain(told: dict[str, Any]) -> None:
        _keep(told, "tags", lambda tag: tag.get("key") != "staging_timestamp")
        _keep(told, "aliases", lambda one: (one["alias"] if isinstance(one, dict) else one) not in PROTECTED)

    return _each_version(ours, plain)


def _prompt_stage(request: Request, stock: Answer, ours: Answer) -> Answer | None:
    return stock if "prompt" in _message(ours).lower() and ours.status in (400, 403) and stock.status == 200 else None


DIFFERENCES = (
    Difference("bodies that are no object", _no_object),
    Difference("answers of 500", _stumbled),
    Difference("pages of no size", _no_page),
    Difference("unknown ways to change the registry", _wrong_method),
    Difference("reserved tags", _reserved_tag),
    Difference("stages of prompts", _prompt_stage),
    Difference("no SQL in messages", _no_sql),
    Difference("more in filters", _more_filters),
    Difference("user_id", _user),
    Difference("aliases in what a search finds", _aliases_found),
    Difference("alias and time of a stage", _stage_alias),
)


def _message(answer: Answer) -> str:
    return str(answer.body.get("message", "")) if isinstance(answer.body, dict) else ""


def _keep(told: dict[str, Any], key: str, wanted: Callable[[Any], bool]) -> None:
    if key in told:
        told[key] = [one for one in told[key] if wanted(one)]
        if not told[key]:  # as protobuf leaves out what is empty
            del told[key]


def _each_version(answer: Answer, change: Callable[[dict[str, Any]], object]) -> Answer:
    """A copy with `change` done to everything in it that is a version or a model."""
    body = copy.deepcopy(answer.body)

    def walk(value: Any) -> None:
        if isinstance(value, dict):
            if "name" in value:
                change(value)
            for member in value.values():
                walk(member)
        elif isinstance(value, list):
            for member in value:
                walk(member)

    walk(body)
    return Answer(answer.status, body, answer.token)
