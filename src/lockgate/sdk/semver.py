"""Semantic versions, as `Lockgate(…).semver`."""

from __future__ import annotations

from lockgate.sdk.http import Http
from lockgate.sdk.written import Version, read_version
from lockgate.wire import semver as wire
from lockgate.wire.plain import from_json, to_json


class SemanticVersions:
    """Which version bears which number, what changed, and setting one by hand."""

    def __init__(self, http: Http) -> None:
        self._http = http

    def all(self, model: str) -> tuple[wire.Numbered, ...]:
        """Every version of a model, newest first."""
        return from_json(wire.NumberedList, self._http.get("/semver", model=model)).versions

    def find(self, model: str, number: str) -> wire.Numbered:
        """The version of the model that bears the number. Raises NotFound."""
        return from_json(wire.NumberedList, self._http.get("/semver", model=model, number=number)).versions[0]

    def of(self, version: Version, against: int | None = None) -> wire.Compared:
        """One version's number, and what changed since the version before it, or since version `against`."""
        model, number = read_version(version)
        answer = self._http.get("/semver/version", model=model, version=number, against=against)
        return from_json(wire.Compared, answer)

    def set(self, version: Version, number: str, reason: str) -> wire.Numbered:
        """Set a version's number by hand. Raises Conflict when it does not fit between its neighbours'."""
        model, told = read_version(version)
        body = wire.SemverAsk(model, told, number, reason)
        return from_json(wire.Numbered, self._http.post("/semver", to_json(body)))
