"""Asks for a validation of one version, and runs the next one of the queue."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime

from lockgate.domain.access import Act
from lockgate.domain.audit import Entry
from lockgate.domain.canonical import Plain
from lockgate.domain.errors import BadInput, NotFound
from lockgate.domain.identity import LOCKGATE, Who
from lockgate.domain.policy import Policy
from lockgate.domain.promotion import Claim
from lockgate.domain.stages import Stage
from lockgate.domain.validation import ExamineRequest, Validation, ValidationState
from lockgate.domain.versions import VersionRef
from lockgate.usecases.artifact_ports import Sandbox
from lockgate.usecases.authorise import authorise, refusals_recorded
from lockgate.usecases.gather import catalog_version, inspect_artifacts
from lockgate.usecases.ports import Ports, Work


def ask(ports: Ports, ref: VersionRef, who: Who, trigger: str = "asked") -> Validation:
    """Queue a validation, or join the one that is queued or running.

    Raises NotFound, Forbidden, and BadInput for a prompt.
    """
    with refusals_recorded(ports, who, f"validate {ref}", ref.model), ports.store.writing(ref.model) as work:
        authorise(work, who, Act.ASK, ref.model)
        catalog_version(work, ref)
        if work.catalog.is_prompt(ref.model):
            raise BadInput(f"{ref.model} is a prompt, and prompts are not validated.", hint="Name a model.")
        now = ports.clock.now()
        return queue(work, id=ports.ids.new("val"), ref=ref, who=who, trigger=trigger, at=now)


def queue(work: Work, *, id: str, ref: VersionRef, who: Who, trigger: str, at: datetime) -> Validation:
    """As `ask`, inside the caller's transaction."""
    already = work.validations.open_for(ref)
    if already is not None:
        return already
    validation = Validation(id, ref, ValidationState.QUEUED, who, at, trigger)
    work.validations.add(validation)
    detail: dict[str, Plain] = {"validation": id, "trigger": trigger}
    entry = Entry("validation:requested", who, at, ref.model, ref.version, None, "queued", detail=detail)
    work.record.write(entry)
    return validation


def look(ports: Ports, id: str) -> Validation:
    """One validation. Raises NotFound."""
    with ports.store.reading() as work:
        found = work.validations.get(id)
    if found is None:
        raise NotFound(f"There is no validation {id}.", hint="lockgate status MODEL shows each version's latest.")
    return found


def run(ports: Ports, sandbox: Sandbox, validation: Validation, claim: Claim) -> Validation:
    """Examine the version's pinned artifacts and store what was found with their digest.

    Raises LostClaim when another controller took the work over meanwhile: then nothing is stored.
    """
    with ports.store.writing(validation.ref.model) as work:
        validation = replace(validation, state=ValidationState.RUNNING)
        ports.queue.save_validation(work, claim, validation, release=False)
        policy = work.policies.in_force()
    finished = _examine(ports, sandbox, validation, policy)
    now = ports.clock.now()
    finished = replace(finished, finished_at=now)
    with ports.store.writing(validation.ref.model) as work:
        ports.queue.save_validation(work, claim, finished, release=True)
        work.record.write(_entry(finished, now))
        work.promotions.due(validation.ref.model, now)
    return finished


def _examine(ports: Ports, sandbox: Sandbox, validation: Validation, policy: Policy) -> Validation:
    try:
        facts = inspect_artifacts(ports, validation.ref)
    except NotFound as gone:
        return replace(validation, state=ValidationState.ERROR, because=gone.message)
    if facts.digest is None:
        return replace(validation, state=ValidationState.ERROR, because=facts.unreadable)
    if facts.differences:
        because = f"the artifacts are no longer what was pinned: {', '.join(facts.differences)}"
        return replace(validation, state=ValidationState.ERROR, because=because, digest=facts.digest)
    rule = policy.validation
    request = ExamineRequest(
        ref=validation.ref,
        artifacts=str(ports.artifacts.folder(facts.digest)),
        sample=rule.sample,
        require_signature=any(policy.rules(validation.ref.model, stage).require_signature for stage in Stage),
        time_limit=rule.time_limit,
        latency_limit=rule.latency_limit,
        runtime=policy.endpoint_rule(validation.ref.model).runtime,
    )
    examination = sandbox.examine(request)
    state = ValidationState.PASSED if examination.passed else ValidationState.FAILED
    failed = [f"{result.name}: {result.because}" for result in examination.results if not result.passed]
    return replace(validation, state=state, digest=facts.digest, examination=examination, because="; ".join(failed))


def _entry(validation: Validation, now: datetime) -> Entry:
    results: dict[str, Plain] = {}
    if validation.examination is not None:
        results = {r.name: "passed" if r.passed else f"failed: {r.because}" for r in validation.examination.results}
    detail: dict[str, Plain] = {
        "validation": validation.id,
        "digest": validation.digest,
        "results": results,
        "asked_by": str(validation.asked_by),
        "request": validation.asked_by.request,
    }
    ref = validation.ref
    action = f"validation:{validation.state}"
    state = validation.state.value
    return Entry(action, LOCKGATE, now, ref.model, ref.version, "running", state, validation.because, detail)
