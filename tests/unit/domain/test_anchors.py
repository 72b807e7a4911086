"""Places outside for checkpoints, as a setting names them."""

from __future__ import annotations

from datetime import timedelta

import pytest

from lockgate.domain.anchors import Kind, Place, parse_place
from lockgate.domain.errors import BadInput

RIGHT = {
    "file:///var/log/checkpoints.jsonl": Place(Kind.FILE, "/var/log/checkpoints.jsonl"),
    "file:///with%20space/ü": Place(Kind.FILE, "/with space/ü"),
    "git:///srv/checkpoints": Place(Kind.GIT, "/srv/checkpoints"),
    "s3://bucket": Place(Kind.S3, "", "bucket"),
    "s3://bucket/a/b/": Place(Kind.S3, "a/b", "bucket"),
    "s3://bucket/a?days=400": Place(Kind.S3, "a", "bucket", timedelta(days=400)),
    " webhook: ": Place(Kind.WEBHOOK),
}
WRONG = (
    *("", "checkpoints.jsonl", "/var/log/x", "ftp://x/y", "file:x", "file://host/x", "file:///", "git:///x?a=b"),
    *("s3://", "s3:///x", "s3://b/x?days=0", "s3://b/x?days=ten", "s3://b/x?days=99999", "s3://b/x?day=3"),
    *("webhook:abc", "http://[", "s3://key:hunter2@bucket/x"),
)


@pytest.mark.parametrize("written", RIGHT)
def test_a_place_is_read(written: str) -> None:
    assert parse_place(written) == RIGHT[written]


@pytest.mark.parametrize("written", WRONG)
def test_what_is_no_place_is_told_so_without_a_password(written: str) -> None:
    with pytest.raises(BadInput, match="no place for checkpoints") as wrong:
        parse_place(written)
    assert "hunter2" not in str(wrong.value)
