"""The gates that people open: an approval of this very plan, and a fresh one for what was rolled back."""

from __future__ import annotations

from lockgate.domain.approvals import (
    AGAIN,
    EARLIER,
    OWN,
    ApprovalRequest,
    Asked,
    Decision,
    RequestState,
    Tally,
    expired,
    outdated,
    rejection,
    tally,
)
from lockgate.domain.evidence import Evidence
from lockgate.domain.plans import changes, digest_of_parts, parts, told
from lockgate.domain.policy import ApprovalRule, StageRules
from lockgate.domain.stages import Stage
from lockgate.domain.verdict import Gate, Level, Standing

HOLDS, WAITS, FAILS = Standing.HOLDS, Standing.WAITS, Standing.FAILS


def asked_of(evidence: Evidence, rules: StageRules) -> Asked:
    """What the yeses on a request are held against."""
    rule = rules.approval or ApprovalRule()
    return Asked(rule, digest_of_parts(parts(evidence, rules)), evidence.now, evidence.roles)


def approval_gate(evidence: Evidence, rules: StageRules, rule: ApprovalRule, level: Level) -> Gate:
    """Whether enough people agreed to the plan as it is now."""
    key, request, needed = "approval_required", evidence.request, _needed(rule)
    ask = command("request", evidence, "--reason …")
    if request is None or request.state is RequestState.WITHDRAWN:
        because = "nobody has asked for approval"
        if request is not None:
            because = f"the request was withdrawn: {request.closed_because}"
        return Gate(key, WAITS, because, "no request", needed, ask, level)
    no = rejection(request)
    if no or request.state is RequestState.REJECTED:
        because = f"rejected by {no}: {no.comment}" if no else "rejected"
        return Gate(key, FAILS, because, "rejected", needed, ask, level)
    if (rule.roles or any(team.role for team in rule.teams)) and not evidence.roles:
        names = ", ".join(dict.fromkeys([*rule.roles, *(team.role for team in rule.teams if team.role)]))
        because = f"the policy asks for the roles {names}, and there are no users with roles yet"
        hint = "Take the roles out of approval_required, or make users: lockgate users add NAME"
        return Gate(key, FAILS, because, "no roles", needed, hint, level)
    found = tally(request, asked_of(evidence, rules))
    seen = str(len(found.counted))
    if found.enough:
        names = ", ".join(str(decision) for decision in found.counted)
        return Gate(key, HOLDS, f"approved by {names}", seen, needed, level=level)
    if (decision := outdated(request, asked_of(evidence, rules).plan_digest)) is not None:
        because = f"the approval is stale: {changed_since(request, decision, evidence, rules)}"
        return Gate(key, WAITS, because, "stale", needed, ask, level)
    if expired(request, rule, evidence.now):
        because = f"the request of {request.asked_by} was not answered in time"
        return Gate(key, WAITS, because, "expired", needed, ask, level)
    because = f"{seen} of {_counted(rule.approvals)}, asked for by {request.asked_by}{_remarks(found, rule)}"
    return Gate(key, WAITS, because, seen, needed, command("approve", evidence, "--comment …"), level)


def quarantine_gate(evidence: Evidence, rules: StageRules, level: Level) -> Gate:
    """Whether what was rolled back was approved again since."""
    quarantine, request = evidence.quarantine, evidence.request
    assert quarantine is not None, "only judged when the version is quarantined"
    required = "an approval given after the rollback"
    # the same approvals that would count for the stage: not the requester's own, and of this very plan
    good = tally(request, asked_of(evidence, rules)).counted if request else ()
    if any(decision.at > quarantine.at for decision in good) and request is not None and _stands(request):
        return Gate("not_quarantined", HOLDS, "approved again after its rollback", "approved", required, level=level)
    because = f"it was rolled back at {quarantine.at:%Y-%m-%d %H:%M:%S} UTC: {quarantine.reason}"
    hint = command("request", evidence, "--reason …")
    if request is not None and request.state is RequestState.PENDING and request.asked_at > quarantine.at:
        hint = command("approve", evidence, "--comment …")
    return Gate("not_quarantined", WAITS, because, "quarantined", required, hint, level)


def changed_since(request: ApprovalRequest, decision: Decision, evidence: Evidence, rules: StageRules) -> str:
    """What is different now from the plan that this answer signed."""
    signed = request.plans.get(decision.plan_digest)
    if signed is None:
        return "the artifacts, the evidence or the policy changed after it"
    return told(changes(signed, parts(evidence, rules))) or "the way in which a plan is written changed after it"


def command(verb: str, evidence: Evidence, option: str) -> str:
    """The command about this move; into Production is what the commands understand without `--to`."""
    to = "" if evidence.target is Stage.PRODUCTION else f" --to {evidence.target.lower()}"
    return f"lockgate {verb} {evidence.ref}{to} {option}"


def _stands(request: ApprovalRequest) -> bool:
    return request.state.may_be_answered and rejection(request) is None


def _needed(rule: ApprovalRule) -> str:
    teams = [f"{team.approvals} of {team}" for team in rule.teams]
    return ", ".join([_counted(rule.approvals), *teams])


def _counted(approvals: int) -> str:
    return "1 approval" if approvals == 1 else f"{approvals} approvals"


def _remarks(found: Tally, rule: ApprovalRule) -> str:
    """Why somebody's yes does not count, and what of a team is missing."""
    said = ""
    if any(because == OWN for _, because in found.ignored):
        said += ", whose own does not count"
    others = {f"{decision}: {because}" for decision, because in found.ignored if because not in (OWN, AGAIN, EARLIER)}
    said += "".join(f"; {each}" for each in sorted(others))
    if rule.teams:
        said += f"; still missing: {', '.join(found.missing)}"
    return said
