"""The gates on what others say of a version: its tags, the checks of systems outside, and custom rules."""

from __future__ import annotations

from lockgate.domain.custom import FALSE, wants_validation
from lockgate.domain.durations import spoken
from lockgate.domain.evidence import Evidence
from lockgate.domain.gates.ages import in_the_future, too_old
from lockgate.domain.policy import CustomRule, RequiredCheck, StageRules
from lockgate.domain.verdict import Gate, Level, Standing

HOLDS, WAITS, FAILS = Standing.HOLDS, Standing.WAITS, Standing.FAILS


def required_tags(evidence: Evidence, rules: StageRules, level: Level) -> Gate:
    """Whether every tag is set, and to one of its wanted values where there are some."""
    key, wanted, ref = "required_tags", rules.required_tags, evidence.ref
    required = ", ".join(_wanted(name, rules.tag_values.get(name, ())) for name in wanted)
    missing = [name for name in wanted if not evidence.tags.get(name)]
    other = [
        name
        for name in wanted
        if name not in missing and rules.tag_values.get(name) and evidence.tags[name] not in rules.tag_values[name]
    ]
    if not missing and not other:
        return Gate(key, HOLDS, "every required tag is set", ", ".join(wanted), required, level=level)
    told = [f"missing: {', '.join(missing)}"] if missing else []
    told += [f"{name} is {evidence.tags[name]!r}, not {_either(rules.tag_values[name])}" for name in other]
    first = (missing + other)[0]
    value = repr(rules.tag_values[first][0]) if rules.tag_values.get(first) else "…"
    hint = f"client.set_model_version_tag({ref.model!r}, '{ref.version}', {first!r}, {value})"
    present = ", ".join(name for name in wanted if name not in missing) or "none of them"
    return Gate(key, FAILS, "; ".join(told), present, required, hint, level)


def check(evidence: Evidence, wanted: RequiredCheck, level: Level) -> Gate:
    """Whether a system outside said yes to these very artifacts, and not too long ago."""
    key, ref = f"check:{wanted.name}", evidence.ref
    required = "passed" if wanted.max_age is None else f"passed in the last {spoken(wanted.max_age)}"
    hint = f"lockgate check report {ref.model} {ref.version} {wanted.name} --pass --url …"
    given = [each for each in evidence.checks if each.name == wanted.name]
    if not given:
        return Gate(key, WAITS, "nobody has reported it", "no report", required, hint, level)
    newest = max(given, key=lambda each: each.at)
    seen = f"{'passed' if newest.passed else 'failed'} ({newest.grade}, by {newest.who})"
    if newest.digest != evidence.artifacts.digest:
        because = "it was reported of other artifacts than those pinned now"
        return Gate(key, WAITS, because, seen, required, hint, level)
    if wrong := in_the_future(newest.at, evidence.now):
        return Gate(key, FAILS, f"it was reported {wrong}", seen, required, hint, level)
    if not newest.passed:
        told = f": {newest.comment}" if newest.comment else ""
        look = f"Look at {newest.url}, and report it again when it is right." if newest.url else hint
        return Gate(key, FAILS, f"{newest.who} reported that it failed{told}", seen, required, look, level)
    if wanted.max_age is not None and (old := too_old(newest.at, evidence.now, wanted.max_age)):
        return Gate(key, WAITS, f"it was reported {old}", seen, required, hint, level)
    return Gate(key, HOLDS, f"{newest.who} reported that it passed", seen, required, level=level)


def custom(evidence: Evidence, rule: CustomRule, level: Level) -> Gate:
    """Whether the rule is true. What was not evaluated, or gave anything else, is a no."""
    key, result = f"rule:{rule.name}", evidence.custom.get(rule.name)
    required = " ".join(rule.cel.split())
    if result is None:
        return Gate(key, FAILS, "it was not evaluated", "nothing", required, "lockgate doctor", level)
    if result.value is True:
        return Gate(key, HOLDS, result.because, "true", required, level=level)
    seen = "false" if result.because == FALSE else "no answer"
    if result.because != FALSE and wants_validation(rule.cel) and not _is_validated(evidence):
        return Gate(key, WAITS, result.because, seen, required, f"lockgate validate {evidence.ref}", level)
    hint = "Change what it looks at, or the rule: docs/reference/custom-rules.md says what a rule sees."
    return Gate(key, FAILS, result.because, seen, required, hint, level)


def _is_validated(evidence: Evidence) -> bool:
    """Whether a validation of the very files is over."""
    validation = evidence.validation
    return validation is not None and validation.state.is_over and validation.digest == evidence.artifacts.digest


def _wanted(name: str, values: tuple[str, ...]) -> str:
    return f"{name}: {_either(values)}" if values else name


def _either(values: tuple[str, ...]) -> str:
    shown = [repr(value) for value in values]
    return shown[0] if len(shown) == 1 else f"{', '.join(shown[:-1])} or {shown[-1]}"
