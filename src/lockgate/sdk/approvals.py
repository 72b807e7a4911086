"""What goes with approvals: standing in, breaking the glass, and agreeing to a policy; parts of `Lockgate(…)`."""

from __future__ import annotations

from datetime import datetime

from lockgate.sdk.http import Http
from lockgate.sdk.written import Version, read_version, segment
from lockgate.wire import approvals as wire
from lockgate.wire.plain import from_json, to_json


class Delegations:
    """Who may answer in whose place, and until when."""

    def __init__(self, http: Http) -> None:
        self._http = http

    def all(self, limit: int = 100) -> tuple[wire.Delegation, ...]:
        """The latest, newest first; those that are over among them."""
        return from_json(wire.DelegationList, self._http.get("/delegations", limit=limit)).delegations

    def give(self, to: str, until: datetime, reason: str) -> wire.Delegation:
        """Let somebody approve and reject in one's place until then. Raises Conflict while there are no users."""
        body = wire.DelegateAsk(to, until, reason)
        return from_json(wire.Delegation, self._http.post("/delegations", to_json(body)))

    def end(self, id: str, reason: str = "") -> wire.Delegation:
        """End one before its time. What was answered by it stands."""
        answer = self._http.post(f"/delegations/{segment(id)}/end", to_json(wire.EndAsk(reason)))
        return from_json(wire.Delegation, answer)


class BreakGlass:
    """Setting the gates aside in an emergency: two people break the glass, and a third one reviews it."""

    def __init__(self, http: Http) -> None:
        self._http = http

    def all(self, model: str | None = None, limit: int = 100) -> tuple[wire.BreakGlass, ...]:
        """The latest of one model or of all, newest first."""
        return from_json(wire.BreakGlassList, self._http.get("/break-glass", model=model, limit=limit)).glasses

    def show(self, id: str) -> wire.BreakGlass:
        """One of them. Raises NotFound."""
        return from_json(wire.BreakGlass, self._http.get(f"/break-glass/{segment(id)}"))

    def ask(self, version: Version, reason: str, to: str = "Production", expires: str = "1h") -> wire.BreakGlass:
        """Ask for it; nothing happens before a second person confirms. `expires` is a length of time."""
        model, number = read_version(version)
        body = wire.BreakGlassAsk(model, number, reason, to, expires)
        return from_json(wire.BreakGlass, self._http.post("/break-glass", to_json(body)))

    def confirm(self, id: str) -> wire.Broken:
        """As the second person set the gates aside and make the move, which may go on after this returns.

        Raises Forbidden for whoever asked, Conflict once it expired or was used.
        """
        return from_json(wire.Broken, self._http.post(f"/break-glass/{segment(id)}/confirm", None))

    def review(self, id: str, comment: str) -> wire.BreakGlass:
        """As a third person write down what a look at it gave. Raises Forbidden for the two who broke it."""
        answer = self._http.post(f"/break-glass/{segment(id)}/review", to_json(wire.CommentAsk(comment)))
        return from_json(wire.BreakGlass, answer)


class Proposals:
    """Policies that one administrator proposed and another one puts in force."""

    def __init__(self, http: Http) -> None:
        self._http = http

    def all(self, limit: int = 100) -> tuple[wire.Proposal, ...]:
        """The latest, newest first."""
        return from_json(wire.ProposalList, self._http.get("/policy/proposals", limit=limit)).proposals

    def show(self, id: str) -> wire.Proposal:
        """One of them, with its text. Raises NotFound."""
        return from_json(wire.Proposal, self._http.get(f"/policy/proposals/{segment(id)}"))

    def approve(self, id: str, comment: str = "") -> wire.Proposal:
        """Put it in force. Raises Forbidden for whoever proposed it, Conflict when it is not open any more."""
        return self._decided(id, "approve", comment)

    def reject(self, id: str, comment: str) -> wire.Proposal:
        """Turn it down. Raises as approve does."""
        return self._decided(id, "reject", comment)

    def _decided(self, id: str, how: str, comment: str) -> wire.Proposal:
        answer = self._http.post(f"/policy/proposals/{segment(id)}/{how}", to_json(wire.CommentAsk(comment)))
        return from_json(wire.Proposal, answer)
