"""What the content type of a request says, as MLflow reads it."""

from __future__ import annotations

_JSON = "application/json"
_MOST_KNOWN = 32
_known: dict[bytes, bool] = {b"application/json": True}


def is_plain_json(content_type: bytes) -> bool:
    """Whether MLflow takes a body of this content type for JSON in UTF-8."""
    known = _known.get(content_type)
    if known is None:
        known = _judged(content_type)
        if len(_known) < _MOST_KNOWN:
            _known[content_type] = known
    return known


def _judged(content_type: bytes) -> bool:
    kind, *parameters = (part.strip() for part in content_type.decode("latin-1").split(";"))
    named = (parameter.partition("=") for parameter in parameters)
    return kind == _JSON and all(name == "charset" and value.lower() == "utf-8" for name, _, value in named)
