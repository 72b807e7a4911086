"""Where checkpoints may be written besides: places as they are told in a setting."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from enum import StrEnum
from urllib.parse import parse_qs, unquote, urlsplit

from lockgate.domain.errors import BadInput

EXAMPLES = (
    "file:///var/log/checkpoints.jsonl, git:///srv/checkpoints, s3://bucket/prefix, s3://bucket/prefix?days=400 or "
    "webhook:"
)
MOST_DAYS = 36_500


class Kind(StrEnum):
    """A file, a git repository, a bucket, or the webhooks that hear of checkpoints."""

    FILE = "file"
    GIT = "git"
    S3 = "s3"
    WEBHOOK = "webhook"


@dataclass(frozen=True, slots=True)
class Place:
    """`path` is a file's or a repository's, or the prefix in the bucket; `lock` is how long an object is locked."""

    kind: Kind
    path: str = ""
    bucket: str = ""
    lock: timedelta | None = None


def parse_place(written: str) -> Place:
    """The place that an address names. Raises BadInput saying what one looks like."""
    try:
        found = urlsplit(written.strip())
        kind = Kind(found.scheme)
    except ValueError:
        raise _wrong(written, "it begins with none of file:, git:, s3: and webhook:") from None
    if kind is Kind.WEBHOOK:
        if written.strip().rstrip("/") != "webhook:":
            raise _wrong(written, "which webhooks hear of checkpoints is said by their subscriptions")
        return Place(kind)
    if "@" in found.netloc:
        raise _wrong("…", "it holds a name or a password; keys belong into the environment")
    if kind is Kind.S3:
        if not found.netloc:
            raise _wrong(written, "it names no bucket")
        return Place(kind, found.path.strip("/"), found.netloc, _lock(written, found.query))
    if found.netloc or not found.path.startswith("/") or found.path.endswith("/") or found.query:
        raise _wrong(written, "it names no absolute path on this machine")
    return Place(kind, unquote(found.path))


def _lock(written: str, query: str) -> timedelta | None:
    told = parse_qs(query, keep_blank_values=True)
    if not told:
        return None
    days = told.pop("days", [""])[0]
    if told or not days.isdecimal() or not 0 < int(days) <= MOST_DAYS:
        raise _wrong(written, f"after the ? it may say days=N, from 1 to {MOST_DAYS}")
    return timedelta(days=int(days))


def _wrong(written: str, because: str) -> BadInput:
    return BadInput(f"{written[:200]!r} is no place for checkpoints: {because}.", hint=f"Write it like {EXAMPLES}.")
