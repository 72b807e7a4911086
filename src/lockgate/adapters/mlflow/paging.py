"""MLflow's page tokens: ours say behind which row the next page begins, and MLflow's own are understood as well."""

from __future__ import annotations

import base64
import binascii
import json
from collections.abc import Sequence
from typing import Any, TypeAlias

from mlflow.exceptions import MlflowException
from mlflow.protos.databricks_pb2 import INVALID_PARAMETER_VALUE
from mlflow.utils.search_utils import SearchUtils

from lockgate.domain.search import LEAST, MOST, NUMBERS, By

After: TypeAlias = tuple[str | int | None, ...]
_NULLABLE = frozenset({"created", "updated"})


def token(order: Sequence[By], after: After, offset: int) -> str:
    """The token of the page that begins behind `after`. A stock server reads the offset in it."""
    told = {"offset": offset, "order": _written(order), "after": after}
    return base64.b64encode(json.dumps(told, separators=(",", ":")).encode()).decode()


def read(written: str | bytes | None, order: Sequence[By]) -> tuple[After | None, int]:
    """Behind which row a page begins, and how many rows come before it.

    Raises MLflow's error for a token it did not make, and one of the same kind for a token of another order.
    """
    if not written:
        return None, 0
    try:
        offset = SearchUtils.parse_start_offset_from_page_token(written)
        told: dict[str, Any] = json.loads(base64.b64decode(written))
    except (ValueError, AttributeError, TypeError, OverflowError, RecursionError, binascii.Error):
        # where MLflow itself stumbles
        raise _invalid("could not base64-decode") from None
    if not 0 <= offset <= MOST:
        raise _invalid(f"parsed value={told}")
    if "after" not in told:
        return None, offset
    after = told["after"]
    if told.get("order") != _written(order):
        raise _invalid("it belongs to a search in another order")
    if not isinstance(after, list) or len(after) != len(order) or not all(map(_fits, order, after)):
        raise _invalid(f"parsed value={told}")
    return tuple(after), offset


def _fits(by: By, value: Any) -> bool:
    if value is None:
        return by.field in _NULLABLE
    if by.field in NUMBERS:
        return isinstance(value, int) and not isinstance(value, bool) and LEAST <= value <= MOST
    return isinstance(value, str)


def _written(order: Sequence[By]) -> str:
    return ",".join(by.field if by.ascending else f"-{by.field}" for by in order)


def _invalid(why: str) -> MlflowException:
    return MlflowException(f"Invalid page token, {why}", error_code=INVALID_PARAMETER_VALUE)
