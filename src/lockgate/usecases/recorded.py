"""How values go on the record: long texts with their beginning and a digest, addresses without what may be secret."""

from __future__ import annotations

import hashlib
from urllib.parse import urlsplit

LONGEST = 500


def short(text: str) -> str:
    """The text itself, or where it is long its beginning and a digest that proves the rest."""
    if len(text) <= LONGEST:
        return text
    proof = hashlib.sha256(text.encode(errors="surrogatepass")).hexdigest()
    return f"{text[:LONGEST]}… (sha256:{proof}, {len(text)} characters)"


def address(url: str) -> str:
    """The address without user, password, query and fragment, where some have a secret; "" for what is no address."""
    try:
        found = urlsplit(url)
    except ValueError:
        return ""
    return short(found._replace(netloc=found.netloc.rpartition("@")[2], query="", fragment="").geturl())
