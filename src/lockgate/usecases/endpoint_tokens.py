"""Tokens of endpoints: who may ask a model for predictions, where that is not everybody on this machine."""

from __future__ import annotations

import secrets
from collections.abc import Sequence
from dataclasses import dataclass

from lockgate.domain.access import Act
from lockgate.domain.audit import Entry
from lockgate.domain.canonical import Plain
from lockgate.domain.errors import BadInput, Conflict, NotFound
from lockgate.domain.identity import Who
from lockgate.domain.serving import EndpointToken
from lockgate.usecases.authorise import authorise, refusals_recorded
from lockgate.usecases.login import secret_digest
from lockgate.usecases.ports import Ports, Work

SECRET_PREFIX = "lge_"  # noqa: S105 - how every secret begins, so that a scanner knows one when it sees it
MOST = 100  # good ones of one endpoint: each worker is told all of them
LONGEST_LABEL = 100
_BYTES = 32


@dataclass(frozen=True, slots=True)
class MadeToken:
    """A new token, and its secret, which is kept nowhere."""

    token: EndpointToken
    secret: str


def create(ports: Ports, environment: str, model: str, who: Who, label: str = "") -> MadeToken:
    """Make a token for one model in one environment. From its first one on, the endpoint takes no request without.

    Raises BadInput for an environment or a label that cannot be, NotFound for the model, Forbidden, and Conflict when
    there are too many.
    """
    secret = SECRET_PREFIX + secrets.token_urlsafe(_BYTES)
    told = _label(label)
    with refusals_recorded(ports, who, "endpoints token create", model), ports.store.writing(model) as work:
        authorise(work, who, Act.OPERATE, model)
        _known(work, environment, model)
        good = [each for each in work.endpoint_tokens.of(model, environment) if each.revoked_at is None]
        if len(good) >= MOST:
            raise Conflict(
                f"The {environment} endpoint of {model} has {MOST} tokens.", hint="Revoke those nobody uses any more."
            )
        now = ports.clock.now()
        token = EndpointToken(ports.ids.new("ept"), environment, model, told, now, str(who))
        work.endpoint_tokens.add(token, secret_digest(secret))
        work.record.write(Entry("endpoint:token-created", who, now, model, after="active", detail=_told(token)))
    return MadeToken(token, secret)


def listed(ports: Ports, model: str | None = None, environment: str | None = None) -> Sequence[EndpointToken]:
    """The tokens, newest first, revoked ones among them. Raises NotFound for a model that is not there."""
    with ports.store.reading() as work:
        if model is not None:
            _there(work, model)
        return work.endpoint_tokens.of(model, environment)


def revoke(ports: Ports, id: str, who: Who, reason: str = "") -> EndpointToken:
    """Let a token in no longer. Raises NotFound and Forbidden; once more changes nothing."""
    with ports.store.reading() as work:
        model = _token(work, id).model
    with refusals_recorded(ports, who, "endpoints token revoke", model), ports.store.writing(model) as work:
        authorise(work, who, Act.OPERATE, model)
        token = _token(work, id)
        if token.revoked_at is None:
            now = ports.clock.now()
            work.endpoint_tokens.revoke(id, now)
            entry = Entry(
                "endpoint:token-revoked", who, now, model, None, "active", "revoked", reason, detail=_told(token)
            )
            work.record.write(entry)
        return _token(work, id)


def _known(work: Work, environment: str, model: str) -> None:
    _there(work, model)
    policy = work.policies.in_force()
    if policy.environment(environment) is None:
        names = ", ".join(each.name for each in policy.environments)
        raise BadInput(f"There is no environment {environment!r}.", hint=f"The policy names {names}.")


def _there(work: Work, model: str) -> None:
    if not work.catalog.has_model(model):
        raise NotFound(f"Registered Model with name={model} not found", hint="lockgate status lists the models.")


def _token(work: Work, id: str) -> EndpointToken:
    found = work.endpoint_tokens.get(id)
    if found is None:
        raise NotFound(f"There is no endpoint token {id}.", hint="lockgate endpoints token list shows them.")
    return found


def _label(written: str) -> str:
    label = written.strip()
    if len(label) > LONGEST_LABEL or not label.isprintable():
        raise BadInput(
            "The label cannot stand on the record.", hint=f"It is printable, of at most {LONGEST_LABEL} characters."
        )
    return label


def _told(token: EndpointToken) -> dict[str, Plain]:
    return {"token": token.id, "environment": token.environment, "label": token.label}
