"""Routes about users: who they are, what they were given, their passwords and tokens, and who the caller is."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Annotated

from fastapi import APIRouter

from lockgate.domain import access
from lockgate.domain.access import EVERYWHERE, Grant, Role, model_pattern
from lockgate.domain.errors import BadInput
from lockgate.domain.identity import PERSON, SERVICE
from lockgate.domain.newcomers import Newcomer
from lockgate.server.api.answering import Json
from lockgate.server.api.asking import body_of, described
from lockgate.server.identity import caller
from lockgate.usecases import import_people, people, tokens
from lockgate.usecases.access_ports import Passwords
from lockgate.usecases.ports import Ports
from lockgate.wire import people as wire


def routes(ports: Ports, passwords: Passwords) -> APIRouter:
    """The routes over these ports."""
    router = APIRouter(tags=["users"])
    _about_oneself(router, ports, passwords)
    _about_users(router, ports, passwords)
    _about_grants(router, ports, passwords)
    _about_tokens(router, ports)
    return router


def _about_oneself(router: APIRouter, ports: Ports, passwords: Passwords) -> None:
    @router.get("/whoami", response_model=wire.WhoAmI)
    def who_am_i() -> Json:
        """Who the server takes the caller for, and what they may act under."""
        who = caller()
        found = people.oneself(ports, who)
        grants = tuple(_grant(each) for each in found.grants)
        shape = wire.WhoAmI(who.name, who.verified, who.kind, found.users, grants, who.token, found.must_change)
        return Json(shape)

    @router.post("/password", response_model=wire.User, openapi_extra=described(wire.PasswordAsk))
    def change_password(body: Annotated[wire.PasswordAsk, body_of(wire.PasswordAsk)]) -> Json:
        """Replace one's own password. 401 when the old one is wrong, 400 when the new one is too weak."""
        return Json(_user(people.change_password(ports, passwords, caller(), body.old, body.new)))


def _about_users(router: APIRouter, ports: Ports, passwords: Passwords) -> None:
    @router.get("/users", response_model=wire.UserList)
    def list_users() -> Json:
        """Everybody, by name, disabled ones among them."""
        return Json(wire.UserList(tuple(_user(each) for each in people.listed(ports, caller()))))

    @router.get("/users/named", response_model=wire.User)
    def read_user(name: str) -> Json:
        """One of them; oneself needs no role."""
        return Json(_user(people.shown(ports, name, caller())))

    @router.post("/users", response_model=wire.NewUser, openapi_extra=described(wire.UserAsk))
    def add_user(body: Annotated[wire.UserAsk, body_of(wire.UserAsk)]) -> Json:
        """Add a person or a service account; the first person becomes the administrator. The password is shown once."""
        kind, grants = _kind(body.kind), _read(body.grants)
        added = people.add(ports, passwords, body.name, caller(), kind=kind, grants=grants)
        return Json(wire.NewUser(_user(added.person), added.one_time))

    @router.post("/users/import", response_model=wire.Imported, openapi_extra=described(wire.ImportAsk))
    def import_users(body: Annotated[wire.ImportAsk, body_of(wire.ImportAsk)]) -> Json:
        """Add people that come from elsewhere, 500 at most, or give them what they lack: all of them or none."""
        newcomers = [Newcomer(each.name, each.kind, tuple(_read(each.grants)), each.password) for each in body.people]
        brought = import_people.bring(ports, passwords, newcomers, caller(), body.source, try_only=body.try_only)
        return Json(wire.Imported(tuple(_outcome(each) for each in brought)))


def _about_grants(router: APIRouter, ports: Ports, passwords: Passwords) -> None:
    @router.post("/users/grant", response_model=wire.User, openapi_extra=described(wire.GrantAsk))
    def grant(body: Annotated[wire.GrantAsk, body_of(wire.GrantAsk)]) -> Json:
        """Give a role on the models that a pattern names; having it already is no error."""
        return Json(_user(people.grant(ports, body.name, _given(body.role, body.pattern), caller())))

    @router.post("/users/revoke", response_model=wire.User, openapi_extra=described(wire.GrantAsk))
    def revoke(body: Annotated[wire.GrantAsk, body_of(wire.GrantAsk)]) -> Json:
        """Take a role away as it was given. 409 when nobody could manage people then."""
        return Json(_user(people.revoke(ports, body.name, _given(body.role, body.pattern), caller())))

    @router.post("/users/disable", response_model=wire.User, openapi_extra=described(wire.NameAsk))
    def disable(body: Annotated[wire.NameAsk, body_of(wire.NameAsk)]) -> Json:
        """Let somebody in no longer. 409 when nobody could manage people then."""
        return Json(_user(people.disable(ports, body.name, caller(), body.reason)))

    @router.post("/users/enable", response_model=wire.User, openapi_extra=described(wire.NameAsk))
    def enable(body: Annotated[wire.NameAsk, body_of(wire.NameAsk)]) -> Json:
        """Let somebody in again."""
        return Json(_user(people.enable(ports, body.name, caller(), body.reason)))

    @router.post("/users/password", response_model=wire.NewUser, openapi_extra=described(wire.NameAsk))
    def reset_password(body: Annotated[wire.NameAsk, body_of(wire.NameAsk)]) -> Json:
        """A new one-time password for somebody; the old one is good no longer. It is shown once."""
        reset = people.reset_password(ports, passwords, body.name, caller(), body.reason)
        return Json(wire.NewUser(_user(reset.person), reset.one_time))


def _about_tokens(router: APIRouter, ports: Ports) -> None:
    @router.get("/tokens", response_model=wire.TokenList)
    def list_tokens(person: str | None = None, everybody: bool = False) -> Json:
        """The caller's own tokens, those of one person, or everybody's; newest first, without their secrets."""
        who = caller()
        wanted = None if everybody else person or who.name
        return Json(wire.TokenList(tuple(_token(ports, each) for each in tokens.listed(ports, who, wanted))))

    @router.post("/tokens", response_model=wire.NewToken, openapi_extra=described(wire.TokenAsk))
    def create_token(body: Annotated[wire.TokenAsk, body_of(wire.TokenAsk)]) -> Json:
        """Make a token for oneself, or for a service account. Its secret is shown once."""
        made = tokens.create(
            ports,
            caller(),
            person=body.person,
            label=body.label,
            roles=[Role.parse(role) for role in body.roles],
            pattern=body.pattern,
            expires_in=tokens.lasting(body.expires_in),
        )
        return Json(wire.NewToken(_token(ports, made.token), made.secret))

    @router.post("/tokens/revoke", response_model=wire.TokenList, openapi_extra=described(wire.RevokeAsk))
    def revoke_tokens(body: Annotated[wire.RevokeAsk, body_of(wire.RevokeAsk)]) -> Json:
        """Revoke one token, or all that somebody has; those that were good until now."""
        if bool(body.id) == bool(body.person):
            raise BadInput("Name a token by its id, or a person whose tokens all go.", hint='Send {"id": "tok-…"}.')
        if body.id:
            revoked = [tokens.revoke(ports, body.id, caller(), body.reason)]
        else:
            revoked = list(tokens.revoke_all(ports, body.person, caller(), body.reason))
        return Json(wire.TokenList(tuple(_token(ports, each) for each in revoked)))


def _user(of: access.Person) -> wire.User:
    return wire.User(
        name=of.name,
        kind=of.kind,
        active=of.active,
        created_at=of.created_at,
        created_by=of.created_by,
        grants=tuple(_grant(each) for each in of.grants),
        must_change=of.must_change,
        disabled_at=of.disabled_at,
    )


def _grant(of: Grant) -> wire.Grant:
    return wire.Grant(of.role.value, of.pattern, of.within)


def _token(ports: Ports, of: access.Token) -> wire.Token:
    return wire.Token(
        id=of.id,
        person=of.person,
        label=of.label,
        roles=tuple(sorted(of.roles)),
        pattern=of.pattern,
        state=of.state(ports.clock.now()).value,
        created_at=of.created_at,
        created_by=of.created_by,
        expires_at=of.expires_at,
        used_at=of.used_at,
        revoked_at=of.revoked_at,
    )


def _outcome(of: import_people.Brought) -> wire.Outcome:
    grants = tuple(_grant(each) for each in of.grants)
    return wire.Outcome(of.name, of.outcome, grants, of.one_time, of.because)


def _given(role: str, pattern: str) -> Grant:
    return Grant(Role.parse(role), model_pattern(pattern))


def _read(grants: Iterable[wire.Grant]) -> list[Grant]:
    for each in grants:
        if each.within != EVERYWHERE:
            raise BadInput("A person's grant has no `within`: only a token's has.", hint="Leave it out.")
    return [_given(each.role, each.pattern) for each in grants]


def _kind(written: str) -> str:
    if written not in (PERSON, SERVICE):
        raise BadInput(f"{written!r} is no kind of user.", hint=f"Send {PERSON} or {SERVICE}.")
    return written
