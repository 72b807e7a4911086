"""Every difference from stock MLflow that is meant; docs/reference/differences.md gives the reason for each."""

from __future__ import annotations

import copy
import json
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any
from urllib.parse import unquote_plus

from tests.databases.backends import POSTGRESQL, SQLITE
from tests.integration.differential.pair import Answer, Request

PROTECTED = frozenset({"staging", "production"})
RESERVED = frozenset(
    {"approval_request", "production_approved", "staging_timestamp", "model_version", "mlflow.prompt.is_prompt"}
)
# OR, parentheses, and what only our filters know
_ADDED = re.compile(
    r"\bOR\b|\(|\b(creation_timestamp|last_updated_timestamp|current_stage|stage|aliases|user_id)\b", re.I
)
_BY_UPDATE = re.compile(r"order_by=(%60)?(last_updated_)?timestamp", re.I)
# how SQLAlchemy tells what the driver said: when it came to it, its first line, more of it, the statement
_PSYCOPG = re.compile(r"(\(raised as a result of [^\n]+\n)?\(psycopg\.[\w.]+\) (?P<what>[^\n]+)\n.*\[SQL: ", re.S)
_FAR = re.compile(r"\d{10}|e\+?\d", re.I)  # written as a number of ten digits or more
_ON_POSTGRESQL = frozenset({POSTGRESQL})
_REGISTRY = ("registered-models/", "model-versions/", "webhooks")


@dataclass(frozen=True)
class Asked:
    """A request, and what came before it in its story."""

    request: Request
    past: Sequence[Request] = ()
    kind: str = SQLITE


Mend = Callable[[Asked, Answer, Answer], Answer | None]


@dataclass(frozen=True)
class Difference:
    """`mend` gives our answer as stock would have given it, or None when this difference is not there.

    `on` are the databases on which there is such a difference.
    """

    name: str
    mend: Mend
    on: frozenset[str] = frozenset({SQLITE, POSTGRESQL})


def explained(asked: Asked, stock: Answer, ours: Answer) -> tuple[str, ...]:
    """The names of the differences that make one answer into the other; empty when they do not."""
    names = []
    for difference in (each for each in DIFFERENCES if asked.kind in each.on):
        if ours == stock:
            break
        mended = difference.mend(asked, stock, ours)
        if mended is not None and mended != ours:
            names.append(difference.name)
            ours = mended
    return tuple(names) if ours == stock else ()


def _no_object(asked: Asked, stock: Answer, ours: Answer) -> Answer | None:
    return stock if stock.status == 500 and ours.status == 400 and "no object" in _message(ours) else None


def _stumbled(asked: Asked, stock: Answer, ours: Answer) -> Answer | None:
    possible = (400, 404, 500, 200) if asked.request.method in ("GET", "HEAD") else (400, 404, 500)
    return stock if stock.status == 500 and ours.status in possible else None


def _no_page(asked: Asked, stock: Answer, ours: Answer) -> Answer | None:
    told = ours.status == 400 and "It must be a positive integer" in _message(ours)
    return stock if told and stock.status in (200, 400) else None


def _wrong_method(asked: Asked, stock: Answer, ours: Answer) -> Answer | None:
    there = any(part in asked.request.path for part in _REGISTRY)
    return stock if there and stock.status in (404, 405) and "no way to change the registry" in _message(ours) else None


def _reserved_tag(asked: Asked, stock: Answer, ours: Answer) -> Answer | None:
    named = any(key.encode() in (asked.request.body or b"") or key in asked.request.query for key in RESERVED)
    return stock if named and ours.status in (400, 403) and stock.status == 200 else None


def _more_filters(asked: Asked, stock: Answer, ours: Answer) -> Answer | None:
    there = asked.request.path.endswith("/search") and _ADDED.search(_written(asked.request))
    # what else is wrong with the request is told instead, in MLflow's own way
    return stock if there and stock.status == 400 and ours.status in (200, 400, 500) else None


def _no_sql(asked: Asked, stock: Answer, ours: Answer) -> Answer | None:
    there = stock.status == ours.status and "Error: (" in _message(stock)
    return stock if there and _message(stock).startswith(_message(ours)) else None


def _user(asked: Asked, stock: Answer, ours: Answer) -> Answer | None:
    return _each(ours, lambda each: each.pop("user_id", None))


def _aliases_found(asked: Asked, stock: Answer, ours: Answer) -> Answer | None:
    if not asked.request.path.endswith(("model-versions/search", "registered-models/search")) or ours.status != 200:
        return None
    return _each(ours, lambda each: each.pop("aliases", None) if "version" in each else None)


def _stage_alias(asked: Asked, stock: Answer, ours: Answer) -> Answer | None:
    def plain(told: dict[str, Any]) -> None:
        _keep(told, "tags", lambda tag: tag.get("key") not in ("staging_timestamp", "model_version"))
        _keep(told, "aliases", lambda one: (one["alias"] if isinstance(one, dict) else one) not in PROTECTED)

    return _each(ours, plain)


def _prompt_stage(asked: Asked, stock: Answer, ours: Answer) -> Answer | None:
    return stock if "prompt" in _message(ours).lower() and ours.status in (400, 403) and stock.status == 200 else None


def _stays(asked: Asked, stock: Answer, ours: Answer) -> Answer | None:
    moved = any(before.path.endswith("transition-stage") for before in asked.past)
    query, usual = asked.request.query, asked.request.path.endswith("model-versions/search")
    by_update = _BY_UPDATE.search(query) or (usual and "order_by=" not in query)
    first, second = stock, ours
    if asked.kind == POSTGRESQL:  # it gives rows as they were written, and MLflow does not ask for another order
        first, second = _in_order(stock), _in_order(ours)
    same = ours.status == 200 and (first == second or (by_update and _found(first) == _found(second)))
    return stock if moved and same else None


def _psycopgs_words(asked: Asked, stock: Answer, ours: Answer) -> Answer | None:
    said = _PSYCOPG.match(_message(stock))
    same = stock.status == ours.status == 400 and _code(stock) == _code(ours) == "BAD_REQUEST"
    return stock if said and same and _message(ours) == said["what"] else None


def _beyond(asked: Asked, stock: Answer, ours: Answer) -> Answer | None:
    said = _PSYCOPG.match(_message(stock))
    there = said and said["what"] == "integer out of range" and _FAR.search(_written(asked.request))
    missing = ours.status == 404 and _code(ours) == "RESOURCE_DOES_NOT_EXIST"
    found = ours.status == 200 and asked.request.path.endswith("model-versions/search")
    return stock if there and stock.status == 400 and (missing or found) else None


def _archives(asked: Asked, stock: Answer, ours: Answer) -> Answer | None:
    said = _PSYCOPG.match(_message(stock))
    there = asked.request.path.endswith("transition-stage") and "archive" in _written(asked.request)
    failed = said and said["what"] == "operator does not exist: integer <> character varying"
    # its statement comes before MLflow's own look at name and version, which ours gets to
    wrong = _code(ours) == "INVALID_PARAMETER_VALUE" and "parameter" in _message(ours).lower()
    answered = ours.status in (200, 404) or (ours.status == 400 and wrong)
    return stock if there and failed and stock.status == 400 and answered else None


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
    Difference("moves to where a version is", _stays),
    Difference("PostgreSQL: what the database refuses", _psycopgs_words, _ON_POSTGRESQL),
    Difference("PostgreSQL: numbers that no version has", _beyond, _ON_POSTGRESQL),
    Difference("PostgreSQL: archiving what is in a stage", _archives, _ON_POSTGRESQL),
)


def _written(request: Request) -> str:
    return unquote_plus(request.query) + (request.body or b"").decode("utf-8", "replace")


def _code(answer: Answer) -> str:
    return str(answer.body.get("error_code", "")) if isinstance(answer.body, dict) else ""


def _message(answer: Answer) -> str:
    return str(answer.body.get("message", "")) if isinstance(answer.body, dict) else ""


def _found(answer: Answer) -> list[str]:
    """What a search found, whatever its order."""
    body = answer.body if isinstance(answer.body, dict) else {}
    found = [*body.get("registered_models", ()), *body.get("model_versions", ())]
    return sorted(json.dumps(each, sort_keys=True) for each in found)


def _in_order(answer: Answer) -> Answer:
    """A copy in which the latest versions of each model are sorted by number."""

    def sort(told: dict[str, Any]) -> None:
        if "latest_versions" in told:
            told["latest_versions"].sort(key=lambda version: int(version["version"]))

    return _each(answer, sort)


def _keep(told: dict[str, Any], key: str, wanted: Callable[[Any], bool]) -> None:
    if key in told:
        told[key] = [one for one in told[key] if wanted(one)]
        if not told[key]:  # as protobuf leaves out what is empty
            del told[key]


def _each(answer: Answer, change: Callable[[dict[str, Any]], object]) -> Answer:
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
