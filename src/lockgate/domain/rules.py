"""The gates: each policy key judged on the evidence. Pure, so a verdict can be replayed years later."""

from __future__ import annotations

import math
from collections.abc import Iterator
from datetime import timedelta

from lockgate.domain.consent import approval_gate, quarantine_gate
from lockgate.domain.durations import spoken
from lockgate.domain.evidence import Evidence
from lockgate.domain.grades import Grade
from lockgate.domain.policy import StageRules, Threshold
from lockgate.domain.stages import Stage
from lockgate.domain.validation import ModelFacts, ValidationState
from lockgate.domain.verdict import Gate, Level, Standing, Verdict
from lockgate.domain.versions import VersionRef

HOLDS, WAITS, FAILS = Standing.HOLDS, Standing.WAITS, Standing.FAILS


def judge(evidence: Evidence, rules: StageRules, level: Level) -> Verdict:
    """Every gate for the target stage, in the order a person would clear them.

    Leaving a stage is never gated: a verdict for None or Archived has no gates and holds.
    """
    if not evidence.target.is_gated:
        return Verdict(())
    return Verdict(tuple(_gates(evidence, rules, level)))


def leavers(evidence: Evidence, rules: StageRules) -> tuple[VersionRef, ...]:
    """The versions that leave the target stage when this one enters.

    All of them when asked to archive, else the oldest over the limit where the policy says so.
    """
    if not evidence.target.is_gated:
        return ()
    if evidence.archive_existing:
        return evidence.occupants
    if rules.evict_oldest and rules.max_versions is not None:
        return evidence.occupants[: max(0, len(evidence.occupants) + 1 - rules.max_versions)]
    return ()


def _gates(evidence: Evidence, rules: StageRules, level: Level) -> Iterator[Gate]:
    yield _artifacts_pinned(evidence, level)
    if rules.previous_stage is not None:
        yield _previous_stage(evidence, rules.previous_stage, level)
    for name, threshold in rules.metrics.items():
        yield _metric(evidence, name, threshold, threshold.level or level)
    if rules.required_tags:
        yield _required_tags(evidence, rules.required_tags, level)
    if evidence.validation is not None or rules.validation_tests:
        yield _runtime_matches(evidence, level)
    for test in rules.validation_tests:
        yield _validation_test(evidence, test, level)
    if rules.require_signature:
        yield _signature(evidence, level)
    if rules.soak is not None:
        yield _soak(evidence, rules.soak, level)
    if evidence.quarantine is not None:
        yield quarantine_gate(evidence, rules, level)
    if rules.approval is not None:
        yield approval_gate(evidence, rules, rules.approval, rules.approval.level or level)
    if rules.max_versions is not None:
        yield _limit(evidence, rules, rules.max_versions, level)


def _artifacts_pinned(evidence: Evidence, level: Level) -> Gate:
    facts = evidence.artifacts
    if facts.differences:
        # Not a matter of level: what changed after it was pinned is not what anyone agreed to.
        told = ", ".join(facts.differences)
        because = f"the artifacts are no longer what was pinned: {told}"
        hint = "Restore the files, or register the changed model as a new version."
        return Gate("artifacts_pinned", FAILS, because, told, "unchanged since pinned", hint, Level.ENFORCE)
    if facts.digest is None:
        because = facts.unreadable or "the artifacts have not been read yet"
        standing = FAILS if facts.unreadable else WAITS
        hint = f"lockgate validate {evidence.ref}"
        if facts.unreadable:
            look = f"lockgate plan {evidence.ref} --to {evidence.target.value.lower()}"
            hint = f"Make its files readable from here and look again: {look}; or log the model again."
        return Gate("artifacts_pinned", standing, because, "unpinned", "a digest of every file", hint, level)
    because = "every file is as it was pinned"
    return Gate("artifacts_pinned", HOLDS, because, facts.digest[:19], "unchanged", level=level)


def _previous_stage(evidence: Evidence, wanted: Stage, level: Level) -> Gate:
    if evidence.stage in (wanted, evidence.target):
        return Gate("previous_stage", HOLDS, f"it is in {evidence.stage}", evidence.stage, wanted, level=level)
    because = f"it is in stage {evidence.stage} and must be in {wanted} first"
    hint = "Register the model again as a new version."
    if wanted.is_gated:
        hint = f"lockgate promote {evidence.ref} --to {wanted.lower()}"
    return Gate("previous_stage", FAILS, because, evidence.stage, wanted, hint, level)


def _metric(evidence: Evidence, name: str, threshold: Threshold, level: Level) -> Gate:
    key, required = f"min_{name}", f">= {threshold.at_least!r}"
    if threshold.grade is Grade.MEASURED:
        required += " (measured)"
    metric = evidence.metrics.get(name)
    if metric is None or math.isnan(metric.value):
        seen = "absent" if metric is None else "NaN"
        hint = f"Log it with mlflow.log_metric({name!r}, …) in the run that made this version."
        return Gate(key, FAILS, f"the metric {name} is {seen}", seen, required, hint, level)
    value = f"{metric.value:.6g}"
    if metric.value < threshold.at_least <= float(value):
        value = repr(float(metric.value))  # 0.8999999 must not read as 0.9
    seen = f"{value} ({metric.grade}, from the {metric.source})"
    if threshold.grade is Grade.MEASURED and metric.grade is not Grade.MEASURED:
        because = f"{name} was claimed by a client and the policy asks for a measured value"
        return Gate(key, FAILS, because, seen, required, "Lower the grade, or wait for measured metrics.", level)
    if metric.value < threshold.at_least:
        because = f"{name} is {value}, below {threshold.at_least!r}"
        return Gate(key, FAILS, because, seen, required, "Train a better model and register it.", level)
    return Gate(key, HOLDS, f"{name} is {value}", seen, required, level=level)


def _required_tags(evidence: Evidence, wanted: tuple[str, ...], level: Level) -> Gate:
    missing = [key for key in wanted if not evidence.tags.get(key)]
    if not missing:
        names = ", ".join(wanted)
        return Gate("required_tags", HOLDS, "every required tag is set", names, names, level=level)
    because = f"missing: {', '.join(missing)}"
    ref = evidence.ref
    hint = f"client.set_model_version_tag({ref.model!r}, '{ref.version}', {missing[0]!r}, …)"
    present = ", ".join(key for key in wanted if key not in missing) or "none of them"
    return Gate("required_tags", FAILS, because, present, ", ".join(wanted), hint, level)


def _runtime_matches(evidence: Evidence, level: Level) -> Gate:
    key, required = "runtime_matches", "the library versions it was logged with"
    facts = _facts(evidence)
    if facts is None:
        return _unexamined(evidence, key, "no validation has looked at its libraries yet", required, level)
    missing = [library for library in facts.libraries if library.installed is None]
    if missing:
        told = ", ".join(f"{library.name}=={library.logged}" for library in missing)
        hint = f"pip install '{missing[0].name}=={missing[0].logged}'"
        return Gate(key, FAILS, f"not installed here: {told}", "missing", told, hint, level)
    other = [library for library in facts.libraries if not library.matches]
    if other:
        told = ", ".join(f"{x.name} {x.logged} when logged, {x.installed} here" for x in other)
        hint = f"pip install '{other[0].name}=={other[0].logged}', or log the model again."
        return Gate(key, FAILS, told, told, required, hint, level)
    seen = ", ".join(f"{library.name} {library.installed}" for library in facts.libraries) or "no flavor library"
    return Gate(key, HOLDS, "the same library versions are installed here", seen, required, level=level)


def _validation_test(evidence: Evidence, test: str, level: Level) -> Gate:
    validation = evidence.validation
    hint = f"lockgate validate {evidence.ref}"
    if validation is None:
        return Gate(test, WAITS, "it has not been validated", "not run", "passed", hint, level)
    if not validation.state.is_over:
        because = f"validation {validation.id} is {validation.state}"
        return Gate(test, WAITS, because, validation.state, "passed", f"lockgate status {evidence.ref.model}", level)
    if _is_of_other_artifacts(evidence):
        because = f"validation {validation.id} looked at other artifacts than those pinned now"
        return Gate(test, WAITS, because, "outdated", "passed", hint, level)
    if validation.state is ValidationState.ERROR or validation.examination is None:
        because = validation.because or "the validation could not be run"
        return Gate(test, FAILS, because, "error", "passed", hint, level)
    result = next((r for r in validation.examination.results if r.name == test), None)
    if result is None:
        return Gate(test, WAITS, "the last validation did not include it", "not run", "passed", hint, level)
    if result.passed:
        return Gate(test, HOLDS, result.because, "passed", "passed", level=level)
    return Gate(test, FAILS, result.because, "failed", "passed", hint, level)


def _facts(evidence: Evidence) -> ModelFacts | None:
    """What a validation of these very artifacts read in the model's files, or None."""
    validation = evidence.validation
    if validation is None or validation.examination is None or _is_of_other_artifacts(evidence):
        return None
    return validation.examination.facts


def _is_of_other_artifacts(evidence: Evidence) -> bool:
    """Whether the finished validation ran on files that are not the ones pinned: it says nothing about these."""
    validation = evidence.validation
    return validation is not None and validation.state.is_over and validation.digest != evidence.artifacts.digest


def _unexamined(evidence: Evidence, key: str, unseen: str, required: str, level: Level) -> Gate:
    """The answer while no facts are known: it waits for a validation, unless one was tried and could not tell."""
    validation, hint = evidence.validation, f"lockgate validate {evidence.ref}"
    if validation is not None and validation.state.is_over and not _is_of_other_artifacts(evidence):
        because = f"validation {validation.id} could not read the model's files"
        if validation.because:
            because += f": {validation.because}"
        return Gate(key, FAILS, because, validation.state, required, hint, level)
    return Gate(key, WAITS, unseen, "not run", required, hint, level)


def _signature(evidence: Evidence, level: Level) -> Gate:
    facts = _facts(evidence)
    if facts is None:
        unseen = "no validation has looked for a signature yet"
        return _unexamined(evidence, "require_signature", unseen, "a signature", level)
    if facts.has_signature:
        return Gate("require_signature", HOLDS, "it has a signature", "signature", "a signature", level=level)
    hint = "Log it with signature= or input_example=."
    return Gate("require_signature", FAILS, "it has no signature", "none", "a signature", hint, level)


def _soak(evidence: Evidence, wanted: timedelta, level: Level) -> Gate:
    key, required = "staging_duration_hours", f"{spoken(wanted)} in Staging"
    if evidence.stage is evidence.target:
        return Gate(key, HOLDS, f"it is in {evidence.stage} already", evidence.stage, required, level=level)
    if evidence.stage is not Stage.STAGING:
        because = f"it is in stage {evidence.stage}, so no time in Staging counts"
        hint = f"lockgate promote {evidence.ref} --to staging"
        return Gate(key, FAILS, because, "0 s", required, hint, level)
    spent = evidence.now - evidence.stage_since
    if spent >= wanted:
        return Gate(key, HOLDS, f"in Staging for {spoken(spent)}", spoken(spent), required, level=level)
    because = f"in Staging for {spoken(spent)}, {spoken(wanted - spent)} to go"
    hint = f"lockgate promote {evidence.ref} --to {evidence.target.lower()} --wait"
    return Gate(key, WAITS, because, spoken(spent), required, hint, level)


def _limit(evidence: Evidence, rules: StageRules, limit: int, level: Level) -> Gate:
    key = "max_production_versions"
    after = len(evidence.occupants) - len(leavers(evidence, rules)) + 1
    required = f"at most {limit} in {evidence.target}"
    if after <= limit:
        return Gate(key, HOLDS, f"{after} of {limit} with this one", str(after), required, level=level)
    names = ", ".join(str(ref) for ref in evidence.occupants[: after - limit]) or "another version"
    because = f"{evidence.target} holds {len(evidence.occupants)} already; {names} would have to leave"
    hint = "Ask to archive existing versions, or set governance.evict: oldest."
    return Gate(key, FAILS, because, str(after), required, hint, level)
