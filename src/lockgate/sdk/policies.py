"""Policies as `Lockgate(…).policies`: what each gate asks of a version, the past under another policy, applying one."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime

from lockgate.sdk.http import Http
from lockgate.sdk.written import Version, read_version
from lockgate.wire import policies as wire
from lockgate.wire.plain import from_json, to_json


class Policies:
    """The policy that gates are judged by."""

    def __init__(self, http: Http) -> None:
        self._http = http

    def explain(self, version: Version, to: str = "Production", *, archive_existing: bool = True) -> wire.Explanation:
        """Each gate of a move with what it sees now, what is required, and the line of the policy that asks for it."""
        model, number = read_version(version)
        body = wire.ExplainAsk(model, number, to, archive_existing)
        return from_json(wire.Explanation, self._http.post("/policy/explain", to_json(body)))

    def simulate(
        self, text: str, *, since: datetime | None = None, model: str = "*", page: int = 100
    ) -> Iterator[wire.SimulatedPage]:
        """Judge the history under the policy of this text, page by page, oldest first. Changes nothing.

        `model` is a shell pattern. Raises BadRequest for a text that is no policy.
        """
        after = ""
        while True:
            body = wire.SimulateAsk(text, since, model, after, page)
            found = from_json(wire.SimulatedPage, self._http.post("/policy/simulate", to_json(body)))
            yield found
            if not found.next:
                return
            after = found.next

    def apply(self, text: str, reason: str = "") -> wire.AppliedPolicy:
        """Put a policy in force. Raises BadRequest listing every fault of the text, Forbidden."""
        body = wire.ApplyAsk(text, reason)
        return from_json(wire.AppliedPolicy, self._http.post("/policy/apply", to_json(body)))

    def replay(self, entry: str) -> wire.ReplayedVerdict:
        """Judge the verdict of an entry (`model:3#12`) again, by the evidence and the policy of that day.

        Raises NotFound, and BadRequest for an entry that tells of no verdict or was changed.
        """
        return from_json(wire.ReplayedVerdict, self._http.post("/audit/replay", to_json(wire.ReplayAsk(entry))))
