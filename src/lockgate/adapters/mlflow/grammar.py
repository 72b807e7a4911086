"""MLflow's filter strings and orders, read by MLflow's own parsers, and what they refuse in vain: see `docs/reference`.

What MLflow accepts means what it means there. What it refuses is read once more, with `OR`, parentheses and a few more
attributes; what is none of these either keeps MLflow's error.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import lru_cache
from typing import Any, Literal, TypeAlias

from mlflow.entities.model_registry.model_version_stages import get_canonical_stage
from mlflow.exceptions import MlflowException
from mlflow.protos.databricks_pb2 import INVALID_PARAMETER_VALUE
from mlflow.store.model_registry.sqlalchemy_store import SqlAlchemyStore
from mlflow.utils.search_utils import SearchModelUtils, SearchModelVersionUtils
from sqlalchemy.sql import operators
from sqlparse.tokens import Token

from lockgate.domain.search import LEAST, MOST, By, Compare, Condition, Either, Every, Value

Kind: TypeAlias = Literal["models", "versions"]
PROMPT_TAG = "mlflow.prompt.is_prompt"
_NUMERIC = frozenset({"creation_timestamp", "last_updated_timestamp"})
_TEXTS = frozenset({"current_stage", "stage", "aliases", "user_id"})
_FIELDS = {
    "version_number": "version", "source_path": "source", "creation_timestamp": "created",
    "last_updated_timestamp": "updated", "current_stage": "stage", "creation_time": "created",
    "last_updated_time": "updated",
}  # fmt: skip
_NUMBER_COMPARATORS = frozenset({"=", "!=", "<", "<=", ">", ">="})
_EQUALITIES = frozenset({"=", "!=", "IN", "NOT IN"})
_TEXT_COMPARATORS = _EQUALITIES | {"LIKE", "ILIKE"}
# sqlparse's own idea of what is quoted, so that a word within quotes is no word of the grammar
_TOKENS = re.compile(
    r"(?P<quoted>'(?:''|\\'|[^'])*'|\"(?:\"\"|\\\"|[^\"])*\"|`(?:``|[^`])*`)"
    r"|(?P<open>\()|(?P<close>\))|(?P<space>\s+)|(?P<word>[\w.]+)|(?P<rest>.)",
    re.DOTALL,
)
# what clients and pages ask most: all versions of a model, or of a run
_USUAL = re.compile(r"(?P<field>name|run_id) ?= ?'(?P<value>[^'\"`\\\x00-\x1f]*)'")
_EVERYTHING: tuple[Condition, bool] = (Every(()), False)
_REMEMBERED = 2_000  # characters of a filter that is worth remembering
_DEEPEST = 32  # parentheses within parentheses
_MOST = 200  # comparisons: each takes a parser's time, and no database takes them by the thousand
_LONGEST = 65536  # characters; no client writes more, and a request line holds no more
# one that was never opened: MLflow's checks of a parsed filter ask it for nothing but the workspace
_RULES: Any = SqlAlchemyStore.__new__(SqlAlchemyStore)


class _Versions(SearchModelVersionUtils):
    VALID_SEARCH_ATTRIBUTE_KEYS = frozenset({*SearchModelVersionUtils.VALID_SEARCH_ATTRIBUTE_KEYS, *_NUMERIC, *_TEXTS})
    LIST_SUPPORTED_KEYS = frozenset({*SearchModelVersionUtils.LIST_SUPPORTED_KEYS, *_TEXTS})


class _Models(SearchModelUtils):
    VALID_SEARCH_ATTRIBUTE_KEYS = frozenset({*SearchModelUtils.VALID_SEARCH_ATTRIBUTE_KEYS, *_NUMERIC, "aliases"})
    LIST_SUPPORTED_KEYS = frozenset({*SearchModelUtils.LIST_SUPPORTED_KEYS, "aliases"})

    @classmethod
    def _get_value(cls, identifier_type: str, key: str, token: Any) -> Any:
        if key in _NUMERIC and token.ttype in cls.NUMERIC_VALUE_TYPES:
            return int(token.value) if token.ttype == Token.Literal.Number.Integer else float(token.value)
        return super()._get_value(identifier_type, key, token)


_STOCK: dict[Kind, Any] = {"versions": SearchModelVersionUtils, "models": SearchModelUtils}
_OURS: dict[Kind, Any] = {"versions": _Versions, "models": _Models}


def condition(kind: Kind, dialect: str, written: str) -> tuple[Condition, bool]:
    """What a filter string asks for, and whether it asks for prompts. Raises MLflow's error for one it cannot mean."""
    if not written:
        return _EVERYTHING
    usual = _USUAL.fullmatch(written)
    if usual is not None and (kind == "versions" or usual["field"] == "name"):
        # one of each model and run is too many to remember, and a parser would take longer than the search
        return Every((Compare(usual["field"], "=", usual["value"]),)), False
    understand = _understood if len(written) <= _REMEMBERED else _understood.__wrapped__
    return understand(kind, dialect, written)


@lru_cache(maxsize=512)
def _understood(kind: Kind, dialect: str, written: str) -> tuple[Condition, bool]:
    try:
        return _stock(kind, dialect, written)
    except MlflowException as refused:
        if len(written) > _LONGEST:
            raise
        try:
            return _Parser(kind, dialect, written).whole()
        except _Ours:
            raise  # it names an addition, and is told what is wrong with it
        except MlflowException:
            raise refused from None


def parses(kind: Kind, written: str) -> bool:
    """Whether MLflow's parser takes the filter, whatever is said about it afterwards."""
    try:
        _parsed(_STOCK[kind], written)
    except MlflowException:
        return False
    return True


@lru_cache(maxsize=256)
def order(kind: Kind, written: tuple[str, ...]) -> tuple[By, ...]:
    """The fields to sort by; the last ones name a row. Raises MLflow's error for an order it refuses."""
    with _refusing(f"Invalid order_by clause '{', '.join(map(str, written))}'. Could not be parsed."):
        if kind == "models":
            clauses = SqlAlchemyStore._parse_search_registered_models_order_by(list(written))
        else:
            # MLflow's own default
            wanted = list(written) or ["last_updated_timestamp DESC", "name ASC", "version_number DESC"]
            clauses = SqlAlchemyStore._parse_search_model_versions_order_by(wanted)
    return tuple(
        By(_FIELDS.get(clause.element.key, clause.element.key), clause.modifier is operators.asc_op)
        for clause in clauses
    )


class _Ours(MlflowException):
    """A fault in what only our grammar has."""

    def __init__(self, message: str) -> None:
        super().__init__(message, error_code=INVALID_PARAMETER_VALUE)


@contextmanager
def _refusing(message: str) -> Iterator[None]:
    """Whatever MLflow's parsers stumble over is refused: it would be answered with a page that says 500."""
    try:
        yield
    except MlflowException:
        raise
    except (ValueError, TypeError, AttributeError, LookupError, RecursionError, SyntaxError):
        raise MlflowException(message, error_code=INVALID_PARAMETER_VALUE) from None


def _parsed(parser: Any, written: str) -> list[dict[str, Any]]:
    with _refusing(f"Invalid filter '{written}'. Could not be parsed."):
        found: list[dict[str, Any]] = parser.parse_search_filter(written)
        return found


def _stock(kind: Kind, dialect: str, written: str) -> tuple[Condition, bool]:
    parsed = _parsed(_STOCK[kind], written)
    _check(kind, dialect, parsed)
    prompts = SqlAlchemyStore._is_querying_prompt(parsed)
    return Every(tuple(_compare(part) for part in parsed if prompts or not _of_prompts(part))), prompts


def _check(kind: Kind, dialect: str, parsed: Sequence[dict[str, Any]]) -> None:
    """Whatever MLflow refuses once a filter is parsed, it refuses here."""
    if kind == "versions":
        _RULES._get_search_model_versions_filter_clauses(list(parsed), dialect)
    else:
        _RULES._get_search_registered_model_filter_query(None, list(parsed), dialect)


def _of_prompts(part: dict[str, Any]) -> bool:
    return bool(part["type"] == "tag" and part["key"] == PROMPT_TAG)


def _compare(part: dict[str, Any]) -> Compare:
    field = str(part["key"])
    if part["type"] == "tag":
        return Compare(field, part["comparator"], part["value"], tag=True)
    value: Any = part["value"]
    name = _FIELDS.get(field, field)
    if name in ("version", "created", "updated"):
        # beyond what a database can hold there is nothing, on either side
        value = max(LEAST, min(MOST, int(value)))
    return Compare(name, part["comparator"], value)


class _Parser:
    """Comparisons joined by AND and OR, with parentheses; each comparison is MLflow's to read."""

    def __init__(self, kind: Kind, dialect: str, written: str) -> None:
        self._kind = kind
        self._dialect = dialect
        self._tokens = [(str(found.lastgroup), found.group()) for found in _TOKENS.finditer(written)]
        self._at = 0
        self._leaves: list[dict[str, Any]] = []

    def whole(self) -> tuple[Condition, bool]:
        found = self._either(0)
        if self._next() != "":
            raise MlflowException("")
        prompts = SqlAlchemyStore._is_querying_prompt(self._leaves)
        return (found if prompts else _without_prompts(found)), prompts

    def _either(self, depth: int) -> Condition:
        parts = [self._every(depth)]
        while self._word() == "OR":
            self._at += 1
            parts.append(self._every(depth))
        return parts[0] if len(parts) == 1 else Either(tuple(parts))

    def _every(self, depth: int) -> Condition:
        parts = [self._one(depth)]
        while self._word() == "AND":
            self._at += 1
            parts.append(self._one(depth))
        return parts[0] if len(parts) == 1 else Every(tuple(parts))

    def _one(self, depth: int) -> Condition:
        if self._next() == "open":
            if depth == _DEEPEST:
                raise _Ours(f"The filter has parentheses within more than {_DEEPEST} others.")
            self._at += 1
            inner = self._either(depth + 1)
            if self._next() != "close":
                raise MlflowException("")
            self._at += 1
            return inner
        return self._comparison("".join(self._words()).strip())

    def _words(self) -> Iterator[str]:
        """The text of one comparison, up to what joins it to the next."""
        depth = 0
        while self._at < len(self._tokens):
            kind, text = self._tokens[self._at]
            if depth == 0 and (kind == "close" or (kind == "word" and text.upper() in ("AND", "OR"))):
                return
            depth += {"open": 1, "close": -1}.get(kind, 0)
            self._at += 1
            yield text

    def _comparison(self, text: str) -> Condition:
        if len(self._leaves) == _MOST:
            raise _Ours(f"The filter has more than {_MOST} comparisons. Ask for a part of them at a time.")
        parsed = _parsed(_OURS[self._kind], text)
        if len(parsed) != 1:
            raise MlflowException("")
        part = parsed[0]
        self._leaves.append(part)
        if part["type"] == "attribute" and part["key"] not in _STOCK[self._kind].VALID_SEARCH_ATTRIBUTE_KEYS:
            return _added(part)
        _check(self._kind, self._dialect, parsed)
        return _compare(part)

    def _next(self) -> str:
        """What kind of token comes next, spaces aside; nothing at the end."""
        while self._at < len(self._tokens) and self._tokens[self._at][0] == "space":
            self._at += 1
        return self._tokens[self._at][0] if self._at < len(self._tokens) else ""

    def _word(self) -> str:
        return self._tokens[self._at][1].upper() if self._next() == "word" else ""


def _added(part: dict[str, Any]) -> Compare:
    key, comparator, value = part["key"], part["comparator"], part["value"]
    if key in _NUMERIC:
        if comparator not in _NUMBER_COMPARATORS or not isinstance(value, int):
            raise _Ours(
                f"{key} is compared with whole milliseconds since 1970 by one of {_list(_NUMBER_COMPARATORS)}; "
                f"got {comparator} {value!r}."
            )
        return _compare(part)
    allowed = _EQUALITIES if key in ("stage", "current_stage") else _TEXT_COMPARATORS
    fits = isinstance(value, tuple if comparator.endswith("IN") else str)
    if comparator not in allowed or not fits:
        raise _Ours(
            f"{key} is compared with a quoted text, or by IN with a list of them, by one of {_list(allowed)}; "
            f"got {comparator} {value!r}."
        )
    if key in ("stage", "current_stage"):
        value = tuple(map(_stage, value)) if isinstance(value, tuple) else _stage(value)
    told: Value = value
    return Compare(_FIELDS.get(key, key), comparator, told)


def _stage(written: str) -> str:
    try:
        return str(get_canonical_stage(written))
    except MlflowException as unknown:
        raise _Ours(unknown.message) from None


def _without_prompts(part: Condition) -> Condition:
    """MLflow overlooks the tag that tells prompts where it leaves them out anyway: every row left agrees with it."""
    match part:
        case Compare(field=field, tag=True) if field == PROMPT_TAG:
            return Every(())
        case Compare():
            return part
        case Every(parts):
            return Every(tuple(map(_without_prompts, parts)))
        case Either(parts):
            return Either(tuple(map(_without_prompts, parts)))


def _list(comparators: frozenset[str]) -> str:
    return ", ".join(sorted(comparators))
