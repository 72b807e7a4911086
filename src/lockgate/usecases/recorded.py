"""How much of a long text goes on the record: its beginning, and a digest that proves the rest."""

from __future__ import annotations

import hashlib

LONGEST = 500


def short(text: str) -> str:
    """The text itself, or where it is long its beginning and a digest that proves the rest."""
    if len(text) <= LONGEST:
        return text
    proof = hashlib.sha256(text.encode(errors="surrogatepass")).hexdigest()
    return f"{text[:LONGEST]}… (sha256:{proof}, {len(text)} characters)"
