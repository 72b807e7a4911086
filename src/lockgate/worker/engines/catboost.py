"""A CatBoost model asked on one thread, without the data frame."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from lockgate.worker.engines.proof import Candidate


def candidates(raw: Any, method: str) -> Iterator[Candidate]:
    """Every way that may give what MLflow gives for a CatBoost model."""
    ask = getattr(raw, method)
    if not raw.get_cat_feature_indices() and not raw.get_text_feature_indices():
        yield Candidate("CatBoost's own trees on one thread", lambda rows: ask(rows, thread_count=1))


def width(raw: Any) -> int | None:
    """How many columns a model takes."""
    names = raw.feature_names_
    return len(names) if names else None


def names(raw: Any) -> tuple[str, ...] | None:
    """The names a data frame's columns must have; a model that saw none has numbers for names."""
    told = raw.feature_names_
    return None if not told or list(told) == [str(place) for place in range(len(told))] else tuple(told)
