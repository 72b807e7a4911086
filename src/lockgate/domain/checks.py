"""What a system outside says of a version: a named yes or no, by whom, when, and of which artifacts."""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import datetime
from urllib.parse import urlsplit

from lockgate.domain.errors import BadInput
from lockgate.domain.grades import Grade
from lockgate.domain.identity import Who

LONGEST_URL = 2_000
LONGEST_COMMENT = 2_000
_NAME = re.compile(r"[a-z0-9][a-z0-9_./-]{0,99}")
_URL_HINT = "Give the page of the run, for example https://ci.example.com/runs/42."


@dataclass(frozen=True, slots=True)
class Check:
    """One result from outside, of grade *attested*. `digest` is that of the artifacts it is about."""

    name: str
    passed: bool
    who: Who
    at: datetime
    digest: str
    url: str = ""
    comment: str = ""

    @property
    def grade(self) -> Grade:
        """Neither claimed by who logged the model, nor measured by Lockgate."""
        return Grade.ATTESTED


def check_name(written: object) -> str:
    """A check's name. Raises BadInput with the expected form."""
    if not isinstance(written, str) or not _NAME.fullmatch(written):
        raise BadInput(
            f"{_shown(written)} is not the name of a check.",
            hint="Write 1 to 100 of a-z 0-9 _ . / -, beginning with a letter or digit, for example ci/bias-audit.",
        )
    return written


def check_url(written: object) -> str:
    """Where the result can be looked at: empty, or http and https.

    Raises BadInput, also where it carries a password: the record is for everybody to read.
    """
    if written == "":
        return ""
    if not isinstance(written, str) or len(written) > LONGEST_URL or not written.isprintable() or " " in written:
        raise BadInput(f"{_shown(written)} is not the address of a page.", hint=_URL_HINT)
    try:
        parts = urlsplit(written)
        host, secret = parts.hostname, parts.username is not None or parts.password is not None
    except ValueError:
        raise BadInput(f"{_shown(written)} is not the address of a page.", hint=_URL_HINT) from None
    if parts.scheme.lower() not in ("http", "https") or not host:
        raise BadInput(f"{_shown(written)} is not an address of http or https.", hint=_URL_HINT)
    if secret:
        raise BadInput("The address names a user or a password, and it would be on the record.", hint=_URL_HINT)
    return written


def check_comment(written: object) -> str:
    """What the reporter adds. Raises BadInput when it is too long, or no text that every database takes."""
    if not isinstance(written, str) or len(written) > LONGEST_COMMENT or "\0" in written:
        raise BadInput(
            f"The comment is no text of at most {LONGEST_COMMENT} characters without NUL.",
            hint="Say it in short, and give the rest at --url.",
        )
    return written


def _shown(written: object) -> str:
    told = repr(written)
    return told if len(told) <= 120 else f"{told[:117]}…"
