"""The gates on a version's own files, and on what a validation of them found."""

from __future__ import annotations

from collections.abc import Iterator

from lockgate.domain.durations import spoken
from lockgate.domain.evidence import Evidence
from lockgate.domain.gates.ages import in_the_future, too_old
from lockgate.domain.policy import StageRules
from lockgate.domain.validation import ModelFacts, ValidationState
from lockgate.domain.verdict import Gate, Level, Standing

HOLDS, WAITS, FAILS = Standing.HOLDS, Standing.WAITS, Standing.FAILS


def artifacts_pinned(evidence: Evidence, level: Level) -> Gate:
    """Whether the files are readable, and as they were pinned."""
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


def validated(evidence: Evidence, rules: StageRules, level: Level) -> Iterator[Gate]:
    """The gates on what a validation found: the tests that are asked for, and a signature."""
    for test in rules.validation_tests:
        yield _validation_test(evidence, rules, test, level)
    if rules.require_signature:
        yield _signature(evidence, rules, level)


def runtime_matches(evidence: Evidence, rules: StageRules, level: Level) -> Gate:
    """Whether the libraries installed here are those the model was logged with."""
    key, required = "runtime_matches", "the library versions it was logged with"
    facts = _facts(evidence)
    if facts is None:
        return _unexamined(evidence, key, "no validation has looked at its libraries yet", required, level)
    if (untimely := _untimely(evidence, rules, key, required, level)) is not None:
        return untimely
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


def is_of_other_artifacts(evidence: Evidence) -> bool:
    """Whether the finished validation ran on files that are not the ones pinned: it says nothing about these."""
    validation = evidence.validation
    return validation is not None and validation.state.is_over and validation.digest != evidence.artifacts.digest


def _validation_test(evidence: Evidence, rules: StageRules, test: str, level: Level) -> Gate:
    validation = evidence.validation
    required = "passed"
    if rules.validation_max_age is not None:
        required += f" in the last {spoken(rules.validation_max_age)}"
    hint = f"lockgate validate {evidence.ref}"
    if validation is None:
        return Gate(test, WAITS, "it has not been validated", "not run", required, hint, level)
    if not validation.state.is_over:
        because = f"validation {validation.id} is {validation.state}"
        return Gate(test, WAITS, because, validation.state, required, f"lockgate status {evidence.ref.model}", level)
    if is_of_other_artifacts(evidence):
        because = f"validation {validation.id} looked at other artifacts than those pinned now"
        return Gate(test, WAITS, because, "outdated", required, hint, level)
    if (untimely := _untimely(evidence, rules, test, required, level)) is not None:
        return untimely
    if validation.state is ValidationState.ERROR or validation.examination is None:
        because = validation.because or "the validation could not be run"
        return Gate(test, FAILS, because, "error", required, hint, level)
    result = next((r for r in validation.examination.results if r.name == test), None)
    if result is None:
        return Gate(test, WAITS, "the last validation did not include it", "not run", required, hint, level)
    if result.passed:
        return Gate(test, HOLDS, result.because, "passed", required, level=level)
    return Gate(test, FAILS, result.because, "failed", required, hint, level)


def _signature(evidence: Evidence, rules: StageRules, level: Level) -> Gate:
    key, required = "require_signature", "a signature"
    facts = _facts(evidence)
    if facts is None:
        return _unexamined(evidence, key, "no validation has looked for a signature yet", required, level)
    if (untimely := _untimely(evidence, rules, key, required, level)) is not None:
        return untimely
    if facts.has_signature:
        return Gate(key, HOLDS, "it has a signature", "signature", required, level=level)
    return Gate(key, FAILS, "it has no signature", "none", required, "Log it with signature= or input_example=.", level)


def _facts(evidence: Evidence) -> ModelFacts | None:
    """What a validation of these very artifacts read in the model's files, or None."""
    validation = evidence.validation
    if validation is None or validation.examination is None or is_of_other_artifacts(evidence):
        return None
    return validation.examination.facts


def _unexamined(evidence: Evidence, key: str, unseen: str, required: str, level: Level) -> Gate:
    """The answer while no facts are known: it waits for a validation, unless one was tried and could not tell."""
    validation, hint = evidence.validation, f"lockgate validate {evidence.ref}"
    if validation is not None and validation.state.is_over and not is_of_other_artifacts(evidence):
        because = f"validation {validation.id} could not read the model's files"
        if validation.because:
            because += f": {validation.because}"
        return Gate(key, FAILS, because, validation.state, required, hint, level)
    return Gate(key, WAITS, unseen, "not run", required, hint, level)


def _untimely(evidence: Evidence, rules: StageRules, key: str, required: str, level: Level) -> Gate | None:
    """The answer where the policy asks how old a validation is, and this one is too old or of no time there was."""
    validation, limit = evidence.validation, rules.validation_max_age
    if validation is None or limit is None:
        return None
    hint = f"lockgate validate {evidence.ref}"
    at = validation.finished_at
    if at is None:
        because = f"nobody knows when validation {validation.id} ended, and the policy asks how old it is"
        return Gate(key, FAILS, because, "no time", required, hint, level)
    if wrong := in_the_future(at, evidence.now):
        return Gate(key, FAILS, f"validation {validation.id} ended {wrong}", "the future", required, hint, level)
    if old := too_old(at, evidence.now, limit):
        return Gate(key, WAITS, f"validation {validation.id} ended {old}", "too old", required, hint, level)
    return None
