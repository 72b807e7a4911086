"""Results from outside, as `Lockgate(…).checks`."""

from __future__ import annotations

from lockgate.sdk.http import Http
from lockgate.sdk.written import Version, read_version
from lockgate.wire import checks as wire
from lockgate.wire.plain import from_json, to_json
from lockgate.wire.shapes import Check


class Checks:
    """Reporting what a system outside found, and reading what was reported."""

    def __init__(self, http: Http) -> None:
        self._http = http

    def report(
        self, version: Version, name: str, *, passed: bool, url: str = "", comment: str = "", digest: str = ""
    ) -> Check:
        """Report that a version passed or failed. A later report under the same name replaces it.

        With `digest` only if the version's artifacts have that digest. Raises Forbidden where the caller is neither a
        service account nor an operator, Conflict where the artifacts are others or cannot be read.
        """
        model, number = read_version(version)
        body = wire.CheckAsk(model, number, name, passed, url, comment, digest)
        return from_json(Check, self._http.post("/checks", to_json(body)))

    def of(self, version: Version, *, every: bool = False, limit: int = 100) -> tuple[Check, ...]:
        """The one that counts of each name; with `every` all that were reported, newest first."""
        model, number = read_version(version)
        told = "true" if every else None
        answer = self._http.get("/checks", model=model, version=number, every=told, limit=limit if every else None)
        return from_json(wire.CheckList, answer).checks
