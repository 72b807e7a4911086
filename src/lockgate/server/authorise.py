"""What each route takes, and whether the caller has it: deny by default, and a no is on the record."""

from __future__ import annotations

from collections.abc import Callable

import anyio.to_thread

from lockgate.domain.access import Act, Role, acts_of, allowed, either, missing
from lockgate.domain.errors import Forbidden, LockgateError
from lockgate.domain.identity import Who
from lockgate.server.identity import CALLER, Asking
from lockgate.server.limits import SAFE
from lockgate.server.logins import WHOLE, Known
from lockgate.server.problems import Problem, explain
from lockgate.server.registry import known_routes
from lockgate.server.registry.known_routes import LOGGED_IN, Route
from lockgate.server.replies import Scope
from lockgate.wire.requests import PREFIX

LONGEST_TOLD = 200
_READS = frozenset({Act.READ})
# whoever may read may read of every model; the others belong to no single one
_NOT_BY_MODEL = WHOLE | {Act.READ, Act.READ_RECORD}
# with a password that was given out once
_BEFORE = frozenset({f"{PREFIX}/whoami", f"{PREFIX}/password"})
_NOWHERE: frozenset[Act] = frozenset()

Refused = Callable[[Who, str, str, Forbidden], None]
"""Puts a refusal on the record: who, what they asked for, the model it was about ("" for none) and why. Blocks."""


class Leaves:
    """Judges requests by the table of routes: what is not in it is nowhere."""

    def __init__(self, refused: Refused) -> None:
        self.put_on_record = refused

    def takes(self, scope: Scope) -> frozenset[Act] | None:
        """The acts of which a caller needs one; None for a route that is open to everybody.

        Empty for a route that takes no act, or that nobody knows: `refusal` tells the two apart.
        """
        route = _route(scope)
        if route is not None:
            return route.acts
        return _READS if scope["method"] == "OPTIONS" else _NOWHERE

    async def refusal(self, scope: Scope, asking: Asking) -> Problem | None:
        """Why somebody who logged in may not ask this, or None where they may; a refusal is on the record then."""
        known, route = asking.known, _route(scope)
        method, path = scope["method"], scope["path"]
        if known is None:
            return None
        if route is None and method != "OPTIONS":
            return _nowhere(method, path)
        if route is not None and route.acts == LOGGED_IN and (not known.must_change or route.path in _BEFORE):
            return None
        refusal = _first_the_password(known) if known.must_change else _lacks(known, asking.acts)
        try:
            told = f"{method} {path[:LONGEST_TOLD]}"
            await anyio.to_thread.run_sync(self.put_on_record, asking.who, told, "", refusal)
        except LockgateError as error:
            return explain(error)
        return explain(refusal)


def lacking(model: str) -> Forbidden | None:
    """Why the caller of this request may not do what its route does to that model, None where they may.

    As they were known when the request came in, which is some seconds ago at most.
    """
    asking = CALLER.get()
    known = asking.known
    if known is None or not asking.acts:
        return None
    if not asking.acts.isdisjoint(_NOT_BY_MODEL & known.may):
        return None
    if any(allowed(known.grants, act, model, known.kind) for act in asking.acts - _NOT_BY_MODEL):
        return None
    return Forbidden(missing(known.grants, _first(asking.acts), model, known.kind))


def _route(scope: Scope) -> Route | None:
    method, path = scope["method"], scope["path"]
    if path.startswith(PREFIX):
        return known_routes.find_own(method, path)
    return known_routes.find(method, path)


def _nowhere(method: str, path: str) -> Problem | None:
    """A change that nobody knows is refused, and put on the record, by the gatekeeper behind us."""
    if method not in SAFE and not path.startswith(PREFIX):
        return None
    told = path[:LONGEST_TOLD]
    return Problem(404, "ENDPOINT_NOT_FOUND", f"There is no {method} {told} here: docs/reference/routes.md lists all.")


def _first_the_password(known: Known) -> Forbidden:
    return Forbidden(
        f"The password of {known.name} was given out once, and has to be replaced before anything else.",
        hint="lockgate users password",
    )


def _lacks(known: Known, acts: frozenset[Act]) -> Forbidden:
    """The refusal of somebody who may do none of these, whatever the model."""
    act = _first(acts)
    if act in WHOLE:
        return Forbidden(missing(known.grants, act, "", known.kind))
    roles = [role.value for role in Role if acts & acts_of(role, known.kind)]
    have = ", ".join(str(grant) for grant in sorted(known.grants)) or "none"
    would = either(roles) if roles else "of a person"
    return Forbidden(f"To {act} takes the role {would}. Yours: {have}.")


def _first(acts: frozenset[Act]) -> Act:
    """The one that a refusal names: the first in the order of the list of acts."""
    return next(act for act in Act if act in acts)
