"""How values go on the record: long texts with their beginning and a digest, addresses without what may be secret."""

from __future__ import annotations

import hashlib
from urllib.parse import urlsplit

LONGEST = 500
_SECRET_LENGTH = 16


def short(text: str) -> str:
    """The text itself, or where it is long its beginning and a digest that proves the rest."""
    if len(text) <= LONGEST:
        return text
    proof = hashlib.sha256(text.encode(errors="surrogatepass")).hexdigest()
    return f"{text[:LONGEST]}… (sha256:{proof}, {len(text)} characters)"


def address(url: str, *, hooks: bool = False) -> str:
    """The address without user, password, query and fragment, where some have a secret; "" for what is no address.

    With `hooks` without the long parts of its path too: chat services put a hook's secret there.
    """
    try:
        found = urlsplit(url)
    except ValueError:
        return ""
    path = found.path
    if hooks:
        path = "/".join("…" if len(part) >= _SECRET_LENGTH else part for part in path.split("/"))
    return short(found._replace(netloc=found.netloc.rpartition("@")[2], path=path, query="", fragment="").geturl())
