"""Changes to the registry that are no moves between stages: what is refused, and what goes on the record.

Each `may_…` is asked before the change and each past-tense function records it, both in the transaction of the change.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime

from lockgate.domain.audit import Entry
from lockgate.domain.canonical import Plain
from lockgate.domain.errors import BadInput, Conflict, Forbidden, LockgateError
from lockgate.domain.identity import Who
from lockgate.domain.promotion import Kind
from lockgate.domain.serving import Endpoint, EndpointState
from lockgate.domain.stages import Stage
from lockgate.domain.versions import VersionRef
from lockgate.domain.webhooks import Webhook
from lockgate.usecases import denials, stages, validate, webhooks
from lockgate.usecases.ports import Ports, Work
from lockgate.usecases.promote import Ask
from lockgate.usecases.recorded import address, short

IS_PROMPT = "mlflow.prompt.is_prompt"
APPROVAL_REQUEST = "approval_request"
PRODUCTION_APPROVED = "production_approved"
ACTS = frozenset({APPROVAL_REQUEST, PRODUCTION_APPROVED})
WRITTEN_BY_LOCKGATE: Mapping[str, str] = {
    "staging_timestamp": "Lockgate writes it when a version enters Staging.",
    "model_version": "Lockgate writes it: it is the semantic version. To set it: lockgate semver set MODEL@VERSION …",
}
RESERVED = frozenset({*ACTS, *WRITTEN_BY_LOCKGATE, IS_PROMPT})


@dataclass(frozen=True, slots=True)
class Change:
    """Who changes a model, and when."""

    model: str
    who: Who
    at: datetime


@dataclass(frozen=True, slots=True)
class Given:
    """What a version was registered with."""

    source: str
    run: str | None = None
    description: str | None = None
    tags: Mapping[str, str] = field(default_factory=dict)

    def as_plain(self) -> dict[str, Plain]:
        """As it stands on the record."""
        told: dict[str, Plain] = {"source": short(self.source), "run": self.run or ""}
        return {**told, "description": short(self.description or ""), "tags": _recorded(self.tags)}


# --- models -----------------------------------------------------------------------------------------------------------


def may_register_model(tags: Mapping[str, str]) -> None:
    """Raises Forbidden when a reserved tag is among them; the mark of a prompt is set here or never."""
    for key in sorted(RESERVED & tags.keys() - {IS_PROMPT}):
        raise _reserved_on_model(key)


def model_registered(work: Work, change: Change, tags: Mapping[str, str], description: str | None = None) -> None:
    """A new model, or a new prompt. A row of ours under its name is of one that was deleted past Lockgate.

    Raises Conflict while that one still serves.
    """
    if not work.versions.add_model(change.model):
        for endpoint in _endpoints(work, change.model):
            raise Conflict(
                f"A model {change.model} was deleted past Lockgate and still has a {endpoint.environment} endpoint.",
                hint=f"lockgate endpoints retire {change.model} --environment {endpoint.environment}",
            )
        work.versions.delete_model(change.model, change.at)
        work.versions.add_model(change.model)
    prompt = (tags.get(IS_PROMPT) or "").lower() == "true"
    after: dict[str, Plain] = {"description": short(description or ""), "tags": _recorded(tags)}
    _write(work, change, "prompt:registered" if prompt else "model:registered", before=None, after=after)
    webhooks.model_created(work, change.model, tags, description, change.at)


def model_described(work: Work, change: Change, before: str | None, after: str | None) -> None:
    """A model's description changed."""
    _write(work, change, "model:described", before=_text(before), after=_text(after))


def may_rename_model(work: Work, model: str) -> None:
    """Raises Conflict while the model has an endpoint or an open promotion."""
    _refuse_if_in_use(work, model, "renamed")


def model_renamed(work: Work, change: Change, new_name: str) -> None:
    """Our rows and the record go along with the name."""
    _write(work, change, "model:renamed", before=change.model, after=new_name)
    if new_name != change.model:
        work.versions.rename_model(change.model, new_name)


def may_delete_model(work: Work, model: str) -> None:
    """Raises Conflict while the model has an endpoint or an open promotion."""
    _refuse_if_in_use(work, model, "deleted")


def model_deleted(work: Work, change: Change) -> None:
    """A model made under the same name later starts with nothing."""
    idle = _endpoints(work, change.model)
    before: dict[str, Plain] = {
        "versions": work.versions.count(change.model),
        "endpoints": [endpoint.environment for endpoint in idle],
    }
    _write(work, change, "model:deleted", before=before, after=None)
    for endpoint in idle:
        work.endpoints.set_state(endpoint.id, EndpointState.RETIRED, "its model was deleted before it ever served")
    work.validations.close_of_model(change.model, "its model was deleted", change.at)
    work.measurements.close_of_model(change.model, "its model was deleted", change.at)
    work.versions.delete_model(change.model, change.at)


# --- versions ---------------------------------------------------------------------------------------------------------


def may_register_version(work: Work, model: str, tags: Mapping[str, str]) -> None:
    """Raises Forbidden for a tag that only Lockgate writes, and BadInput for a prompt's version in a model."""
    for key in sorted(WRITTEN_BY_LOCKGATE.keys() & tags.keys()):
        raise _only_lockgate(key)
    prompt = work.catalog.is_prompt(model)
    if tags.get(IS_PROMPT, "false").lower() == "true" and not prompt:
        raise BadInput(
            f"{model} was registered as a model and stays one: it takes no prompt versions.",
            hint="Register the prompt under another name.",
        )
    if prompt and ACTS & tags.keys():
        raise _no_approvals_for_prompts(model)
    if PRODUCTION_APPROVED in tags:
        raise Forbidden(
            f"A version cannot be registered with the tag {PRODUCTION_APPROVED}: nobody has looked at it yet.",
            hint="Register it, ask with lockgate request, and have somebody approve.",
        )


def version_registered(
    ports: Ports, work: Work, change: Change, version: int, given: Given, location: str | None = None
) -> None:
    """A new version in stage None; validated at once where the policy or an endpoint of its model asks for it.

    `location` is where MLflow's row says that its artifacts lie, for who has just written it.
    """
    ref = VersionRef(change.model, version)
    detail = given.as_plain()
    if work.catalog.is_prompt(change.model):
        _write(work, change, "prompt:version-registered", version=version, before=None, detail=detail)
        return
    work.versions.register(ref, change.who, change.at, location=location)
    _write(work, change, "version:registered", version=version, before=None, after=Stage.NONE, detail=detail)
    if work.policies.in_force().names_for_registration(change.model) or _endpoints(work, change.model):
        id = ports.ids.new("val")
        validate.queue(work, id=id, ref=ref, who=change.who, trigger="registration", at=change.at)


def version_described(work: Work, change: Change, version: int, before: str | None, after: str | None) -> None:
    """A version's description changed."""
    _write(work, change, "version:described", version=version, before=_text(before), after=_text(after))


def may_delete_version(work: Work, ref: VersionRef) -> None:
    """Raises Conflict when an endpoint holds the version or a promotion of it is open."""
    for endpoint in _endpoints(work, ref.model):
        held = [release for release in (endpoint.release, endpoint.candidate) if release is not None]
        if any(release.ref == ref for release in held):
            raise Conflict(
                f"{ref} serves at the {endpoint.environment} endpoint of {ref.model}.",
                hint=f"Promote another version first, or archive it and retire the endpoint: "
                f"lockgate endpoints retire {ref.model} --environment {endpoint.environment}",
            )
    _refuse_if_promoting(work, ref.model, ref)


def version_deleted(work: Work, change: Change, version: int) -> None:
    """Its stay in its stage ends; the stage's alias goes to the next version there, if any."""
    ref = VersionRef(change.model, version)
    row = work.versions.get(ref)
    before = row.stage.value if row else ""
    _write(work, change, "version:deleted", version=version, before=before, after=None)
    if row is None:
        return
    work.versions.delete(ref, change.at)
    stages.follow(work, work.policies.in_force(), change.model, {row.stage})


# --- tags -------------------------------------------------------------------------------------------------------------


def may_tag_model(key: str) -> None:
    """Raises Forbidden for a reserved tag."""
    if key in RESERVED:
        raise _reserved_on_model(key)


def may_tag_version(key: str, *, deleting: bool = False) -> None:
    """Raises Forbidden for a reserved tag. Writing `approval_request` or `production_approved` is an act, not a tag."""
    if key in WRITTEN_BY_LOCKGATE:
        raise _only_lockgate(key)
    if key == IS_PROMPT:
        raise _prompt_mark()
    if key in ACTS and deleting:
        raise Forbidden(
            f"The tag {key} shows where the approval stands, and cannot be deleted.",
            hint="To take an approval back, reject it: lockgate reject MODEL@VERSION --reason …",
        )


def may_act_by_tag(work: Work, model: str) -> None:
    """Raises Forbidden for a prompt: there is nothing to approve about it."""
    if work.catalog.is_prompt(model):
        raise _no_approvals_for_prompts(model)


def tagged(
    work: Work, change: Change, key: str, value: str | None, version: int | None = None, *, before: str | None = None
) -> None:
    """A tag of a model or a version was set, or deleted with None; `before` is what it was, None where it was not."""
    subject = "model" if version is None else "version"
    action = f"{subject}:untagged" if value is None else f"{subject}:tagged"
    _write(work, change, action, version=version, before=_text(before), after=_text(value), detail={"key": key})
    webhooks.tagged(work, change.model, version, key, value, change.at)


# --- aliases and stages -----------------------------------------------------------------------------------------------


def protected_stage(work: Work, model: str, alias: str) -> Stage | None:
    """The stage this alias is bound to, or None where anybody may move it: an own alias, or one of a prompt."""
    if work.catalog.is_prompt(model):
        return None
    return work.policies.in_force().stage_of_alias(model, alias)


def ask_by_alias(work: Work, ref: VersionRef, alias: str, who: Who) -> Ask | None:
    """The promotion that setting a protected alias means, or None for an alias of the user's own."""
    stage = protected_stage(work, ref.model, alias)
    if stage is None:
        return None
    limit = work.policies.in_force().rules(ref.model, stage).max_versions
    # an alias names one version: with room for one, moving it replaces the one it named
    return Ask(
        ref, stage, Kind.ALIAS, who, archive_existing=limit is None or limit == 1, reason=f"alias {alias} was set"
    )


def may_delete_alias(work: Work, model: str, alias: str, holder: int | None) -> None:
    """Raises Conflict for a protected alias while a version is the primary of its stage."""
    stage = protected_stage(work, model, alias)
    if stage is not None and holder is not None and _has_primary(work, model, stage):
        raise Conflict(
            f"The alias {alias} of {model} names the primary version of {stage}; "
            f"it goes when {model}@{holder} leaves that stage.",
            hint=f"lockgate promote {model}@{holder} --to archived",
        )


def _has_primary(work: Work, model: str, stage: Stage) -> bool:
    """False too where versions are in the stage since before Lockgate, and no alias named one of them."""
    newest = work.versions.newest_in_stage(model, stage)
    row = work.versions.get(VersionRef(model, newest)) if newest is not None else None
    return row is not None and row.primary


def alias_changed(work: Work, change: Change, alias: str, before: int | None, after: int | None) -> None:
    """An alias of the user's own was set, moved, or (after None) deleted."""
    was, now = (None if version is None else str(version) for version in (before, after))
    action = "alias:deleted" if after is None else "alias:set"
    _write(
        work, change, action, version=before if after is None else after, before=was, after=now, detail={"alias": alias}
    )
    webhooks.alias_moved(work, change.model, alias, after, change.at)


def webhook_changed(
    work: Work, action: str, change: Change, before: Webhook | None, after: Webhook | None, *, new_secret: bool
) -> None:
    """One of MLflow's webhooks was made, changed or deleted. Of its secret the record says that there is a new one."""
    one = after or before
    detail: dict[str, Plain] = {"webhook": one.id, "name": one.name} if one is not None else {}
    if new_secret:
        detail["secret"] = "replaced" if before is not None else "given"
    work.record.write(Entry(action, change.who, change.at, "", None, _webhook(before), _webhook(after), detail=detail))


def _webhook(webhook: Webhook | None) -> dict[str, Plain] | None:
    if webhook is None:
        return None
    return {
        "name": webhook.name,
        "url": address(webhook.url, hooks=True),
        "status": "ACTIVE" if webhook.active else "DISABLED",
        "events": list(webhook.events),
        "description": short(webhook.description),
    }


def workspace_changed(
    work: Work,
    action: str,
    workspace: str,
    change: Change,
    before: Mapping[str, str | None] | None,
    after: Mapping[str, str | None] | None,
) -> None:
    """One of MLflow's workspaces was made, changed or deleted: its columns before and after."""

    def told(columns: Mapping[str, str | None] | None) -> dict[str, Plain] | None:
        return None if columns is None else {name: address(value or "") for name, value in columns.items()}

    detail: dict[str, Plain] = {"workspace": workspace}
    work.record.write(Entry(action, change.who, change.at, "", None, told(before), told(after), detail=detail))


def router_called(ports: Ports, router: str, action: str, who: Who) -> None:
    """Put a call through one of MLflow's opened routers on the record, in a transaction of its own before the call."""
    detail: dict[str, Plain] = {"router": router, "asked": action}
    with ports.store.writing(None) as work:
        work.record.write(Entry("router:called", who, ports.clock.now(), detail=detail))


# --- refusals ---------------------------------------------------------------------------------------------------------


def refused(ports: Ports, model: str, action: str, who: Who, error: LockgateError) -> None:
    """Put a refusal by authorisation on the record, in a transaction of its own; one a minute for each of its kind."""
    denials.denied(ports, who, action, error.message, model)


def _only_lockgate(key: str) -> Forbidden:
    return Forbidden(f"The tag {key} is reserved: {WRITTEN_BY_LOCKGATE[key]}", hint="Choose another name for your tag.")


def _prompt_mark() -> Forbidden:
    return Forbidden(
        f"The tag {IS_PROMPT} is set when a prompt is registered, and never after.",
        hint="Register the prompt under a name of its own.",
    )


def _reserved_on_model(key: str) -> Forbidden:
    if key == IS_PROMPT:
        return _prompt_mark()
    return Forbidden(f"The tag {key} is reserved for versions; a model cannot carry it.", hint="Choose another name.")


def _no_approvals_for_prompts(model: str) -> Forbidden:
    return Forbidden(f"{model} is a prompt, and prompts need no approval.", hint="Choose another name for your tag.")


def _endpoints(work: Work, model: str) -> Sequence[Endpoint]:
    return [endpoint for endpoint in work.endpoints.of_model(model) if endpoint.state is not EndpointState.RETIRED]


def _refuse_if_in_use(work: Work, model: str, done: str) -> None:
    for endpoint in _endpoints(work, model):
        if endpoint.release is None and endpoint.candidate is None:
            continue  # it has never served anything: there is nothing to stop
        raise Conflict(
            f"{model} has a {endpoint.environment} endpoint and cannot be {done}.",
            hint="Archive what it serves and stop it: "
            f"lockgate endpoints retire {model} --environment {endpoint.environment}",
        )
    _refuse_if_promoting(work, model, None)


def _refuse_if_promoting(work: Work, model: str, ref: VersionRef | None) -> None:
    for promotion in work.promotions.open_of_model(model):
        if ref is None or promotion.ref == ref:
            raise Conflict(
                f"Promotion {promotion.id} of {promotion.ref} to {promotion.stage} is open ({promotion.state}).",
                promotion=promotion.id,
                hint=f"Wait for its end: lockgate rollout status {model}",
            )


def _write(
    work: Work,
    change: Change,
    action: str,
    *,
    version: int | None = None,
    before: Plain = "",
    after: Plain = "",
    detail: Mapping[str, Plain] | None = None,
) -> None:
    entry = Entry(action, change.who, change.at, change.model, version, before, after, detail=detail)
    work.record.write(entry)


def _text(value: str | None) -> str | None:
    return None if value is None else short(value)


def _recorded(tags: Mapping[str, str]) -> dict[str, Plain]:
    return {key: short(value) for key, value in tags.items()}
