"""What another policy would have said of a move of the past, on the evidence that was kept of it.

Only what the rules of that day looked at was kept. A gate that needs more is not guessed: it is unknown.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace

from lockgate.domain import custom
from lockgate.domain.evidence import Evidence, plan_digest
from lockgate.domain.policy import Policy, StageRules
from lockgate.domain.rules import judge
from lockgate.domain.verdict import Gate, Level, Standing, Verdict

UNKNOWN = "unknown"
EVIDENCE = "the evidence, which is not kept as it was"
_FIELD = r"(?:\s*\.\s*(\w+)|\s*\[\s*'([^'\\]*)'\s*\]|\s*\[\s*\"([^\"\\]*)\"\s*\])"


@dataclass(frozen=True, slots=True)
class Simulated:
    """What was said then and what would be said: a standing, or UNKNOWN.

    `because` tells of each gate that makes the difference, `lacking` what the kept evidence does not say.
    """

    then: Standing
    now: str
    because: tuple[str, ...] = ()
    lacking: tuple[str, ...] = ()

    @property
    def same(self) -> bool:
        """Whether nothing would have been decided otherwise."""
        return self.now == self.then


def as_if(evidence: Evidence, old: StageRules, policy: Policy, new: StageRules) -> Evidence:
    """The evidence as if that policy had been in force: who approved the plan of that day approved this one."""
    as_it_was = plan_digest(evidence, old)
    evidence = replace(evidence, policy_digest=policy.digest, custom={})
    if evidence.request is None:
        return evidence
    as_it_would_be = plan_digest(evidence, new)
    decisions = tuple(
        replace(decision, plan_digest=as_it_would_be) if decision.plan_digest == as_it_was else decision
        for decision in evidence.request.decisions
    )
    signed = evidence.request.plan_digest
    request = replace(
        evidence.request, decisions=decisions, plan_digest=as_it_would_be if signed == as_it_was else signed
    )
    return replace(evidence, request=request)


def simulated(then: Verdict, evidence: Evidence, old: StageRules, new: StageRules, level: Level) -> Simulated:
    """What these rules say of evidence that `as_if` made, and whose custom rules were evaluated."""
    missing = lacking(evidence, old, new)
    now = judge(evidence, new, level)
    known = Verdict(tuple(gate for gate in now.gates if gate.name not in missing))
    unknown = [gate for gate in now.gates if gate.name in missing and gate.level is Level.ENFORCE]
    told = tuple(dict.fromkeys(missing[gate.name] for gate in unknown))
    if known.standing is Standing.FAILS or not unknown:
        return Simulated(then.standing, known.standing, tuple(_difference(then, known)), told)
    return Simulated(then.standing, UNKNOWN, (), told)


def lacking(evidence: Evidence, old: StageRules, new: StageRules) -> dict[str, str]:
    """What is not known of each gate that needs it, by the gate's name. `old` are the rules it was gathered for."""
    had = _Had.of(evidence, old)
    found: dict[str, str] = {}
    for gate, facts in _needs(had, new):
        if missing := [fact for fact in facts if fact]:
            found[gate] = ", ".join(dict.fromkeys(missing))
    return found


@dataclass(frozen=True, slots=True)
class _Had:
    """What was gathered that day. None: whatever there was."""

    evidence: Evidence
    rules: StageRules
    metrics: frozenset[str] | None
    compared: frozenset[str] | None
    tags: frozenset[str] | None
    checks: bool

    @classmethod
    def of(cls, evidence: Evidence, rules: StageRules) -> _Had:
        asked = rules.everywhere
        names = custom.names_in(custom.asked(rules).values())
        compared = frozenset(name for each in asked for name in each.champion)
        bounded = frozenset(name for each in asked for name in (*each.metrics, *each.ceilings))
        tags = frozenset(key for each in asked for key in each.required_tags)
        tags |= {custom.SEMANTIC_VERSION} if "model" in names else frozenset()
        return cls(
            evidence=evidence,
            rules=rules,
            metrics=None if "metrics" in names else compared | bounded | frozenset(evidence.metrics),
            compared=None if "champion" in names else compared,
            tags=None if "tags" in names else tags | frozenset(evidence.tags),
            checks="checks" in names or any(each.checks for each in asked),
        )

    def metric(self, name: str) -> str:
        return "" if self.metrics is None or name in self.metrics else f"the metric {name}"

    def champions(self, name: str, new: StageRules) -> str:
        looked = self.compared is None or bool(self.compared)
        if not looked or self.rules.champion_stage is not new.champion_stage:
            return "the champion"
        known = self.evidence.champion is None or self.compared is None or name in self.compared
        return "" if known else f"the champion's {name}"

    def tag(self, key: str) -> str:
        return "" if self.tags is None or key in self.tags else f"the tag {key}"

    def check(self) -> str:
        return "" if self.checks else "the checks from outside"


def _needs(had: _Had, new: StageRules) -> Iterator[tuple[str, list[str]]]:
    """Each gate with what is missing for it; a fact that is there is an empty text."""
    for name in new.metrics:
        yield f"min_{name}", [had.metric(name)]
    for name in new.ceilings:
        yield f"max_{name}", [had.metric(name)]
    for name in new.champion:
        yield f"champion:{name}", [had.metric(name), had.champions(name, new)]
    known = [key for key in new.required_tags if not had.tag(key)]
    if all(had.evidence.tags.get(key) for key in known):  # one that was missing decides, whatever the others were
        yield "required_tags", [had.tag(key) for key in new.required_tags]
    for check in new.checks:
        yield f"check:{check.name}", [had.check()]
    for rule in new.custom:
        yield f"rule:{rule.name}", list(_read(had, new, rule.cel))
    for group in new.groups:
        inner = [fact for branch in group.branches for _, facts in _needs(had, branch) for fact in facts]
        yield f"{group.how}:{group.name}", inner
    evidence = had.evidence
    if new.approval is not None and had.rules.approval is None and evidence.quarantine is None:
        yield "approval_required", ["who approved it"]
    if new.max_versions is not None and had.rules.max_versions is None and not evidence.archive_existing:
        yield "max_production_versions", [f"what else was in {evidence.target}"]


def _read(had: _Had, new: StageRules, rule: str) -> Iterator[str]:
    """What a custom rule reads and was not gathered."""
    names = custom.names_in([rule])
    if "champion" in names:
        fields = _fields(rule, r"\bchampion\s*\.\s*metrics")
        found = [had.champions(name, new) for name in fields or ()]
        # without a field it may still only ask whether there is one
        yield from found or [had.champions("", new) if had.compared is not None and not had.compared else ""]
        if fields is None and had.compared is not None:
            yield "the champion's metrics"
    if "metrics" in names and had.metrics is not None:
        fields = _fields(re.sub(r"\bchampion\s*\.\s*metrics", "", rule), r"\bmetrics")
        yield from ["the metrics"] if fields is None else [had.metric(name) for name in fields]
    if "tags" in names and had.tags is not None:
        fields = _fields(rule, r"\btags")
        yield from ["the tags"] if fields is None else [had.tag(name) for name in fields]
    if "model" in names and "semantic_version" in rule:
        yield "the semantic version" if had.tag(custom.SEMANTIC_VERSION) else ""
    if "checks" in names:
        yield had.check()


def _fields(rule: str, of: str) -> list[str] | None:
    """The names that a rule reads of a map; None where it may read others too, as in `metrics.all(…)`."""
    found = [next(filter(None, match.groups()), "") for match in re.finditer(of + _FIELD + r"(?!\s*\()", rule)]
    return found if len(found) == len(re.findall(of + r"\b", rule)) else None


def _difference(then: Verdict, now: Verdict) -> Iterator[str]:
    """The gates that make another decision of it."""
    if now.standing is then.standing:
        return
    before: Mapping[str, Gate] = {gate.name: gate for gate in then.binding}
    after: Mapping[str, Gate] = {gate.name: gate for gate in now.binding}
    for name, gate in after.items():
        if name not in before or before[name].standing is not gate.standing:
            yield f"{name} {gate.standing}: {gate.because}"
    for name, gate in before.items():
        if name not in after:
            yield f"{name} would not stop it ({gate.standing} then)"
