"""One request for approval as a page on the terminal: the version beside the one it would follow."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING

from lockgate.cli import show

if TYPE_CHECKING:
    from lockgate.wire.approvals import ApprovalView, BreakGlass, MetricBeside, Side
    from lockgate.wire.shapes import Validation

_NONE = "-"


def tell(found: ApprovalView) -> None:
    """Print the page."""
    _head(found)
    _answers(found)
    _beside(found)
    _origin(found.candidate)
    show.line("")
    show.line(f"Gates of {found.plan.stage} ({found.plan.verdict.standing}):")
    show.gates(found.plan.verdict.gates)
    _next(found)


def tell_reviews(glasses: Iterable[BreakGlass]) -> None:
    """A line for each broken glass that somebody has to look at, the loudest for one that is overdue."""
    for glass in glasses:
        line = review_line(glass)
        if line:
            show.line(line)


def review_line(glass: BreakGlass) -> str:
    """What is to be said of a broken glass as long as it is open; "" afterwards."""
    by = f"{glass.asked_by}" + (f" and {glass.confirmed_by}" if glass.confirmed_by else "")
    what = f"{glass.ref} to {glass.stage} ({glass.id}): {glass.reason}"
    if glass.state == "asked":
        confirm = f"lockgate break-glass --confirm {glass.id}"
        return f"BREAK-GLASS asked for by {by}: {what}. A second person confirms with: {confirm}"
    if glass.state == "broken":
        return f"BREAK-GLASS by {by}, gates are set aside until {show.when(glass.expires_at)} UTC: {what}"
    if glass.state == "to review":
        late = "OVERDUE since" if glass.overdue else "due by"
        review = f"lockgate break-glass review {glass.id} --comment '…'"
        return f"BREAK-GLASS by {by}, review {late} {show.when(glass.review_due)} UTC: {what}. A third person: {review}"
    return ""


def _head(found: ApprovalView) -> None:
    request, plan = found.request, found.plan
    show.line(
        f"{request.ref} to {request.stage} ({request.id}): {request.state}{' (expired)' if found.expired else ''}"
    )
    show.line(f"  asked by   {request.asked_by} at {show.when(request.asked_at)} UTC: {request.reason}")
    if found.expires_at:
        show.line(f"  answer by  {show.when(found.expires_at)} UTC")
    show.line(f"  plan       {show.short(plan.digest)} (what an approval signs)")
    show.line(f"  artifacts  {show.short(plan.artifacts)}")
    show.line(f"  leaves     {', '.join(f'version {number}' for number in plan.leavers) or 'nobody'}")
    if plan.environment is not None and plan.release is not None:
        release = plan.release
        how = f"{release.workers} workers" if release.workers != 1 else "1 worker"
        now = "nothing" if plan.serves_now is None else f"version {plan.serves_now}"
        show.line(f"  serves     in {plan.environment}, where {now} serves now; {how}, {release.timeout_seconds:g} s")
    if found.candidate.description:
        show.line(f"  says       {found.candidate.description}")
    for change in found.changed:
        show.line(f"  CHANGED    {change.told} since it was put up for approval")


def _answers(found: ApprovalView) -> None:
    counted = [f"{_name(d.who, d.behalf)} at {show.when(d.at)} UTC: {d.comment or 'yes'}" for d in found.counted]
    for line in counted:
        show.line(f"  yes        {line}")
    for each in found.ignored:
        show.line(f"  not counted {_name(each.decision.who, each.decision.behalf)}: {each.because}")
    for decision in found.request.decisions:
        if not decision.approved:
            show.line(f"  NO         {decision.who}: {decision.comment}")
    if found.missing:
        show.line(f"  missing    {', '.join(found.missing)}")
    if found.unverified:
        show.line("  note       nobody checked these names: there are no users yet, or were none then")


def _name(who: object, behalf: str) -> str:
    return f"{who} for {behalf}" if behalf else str(who)


def _beside(found: ApprovalView) -> None:
    champion = found.champion
    show.line("")
    if champion is None:
        show.line("No other version is the champion now, so there is nothing to compare with.")
    else:
        show.line(f"Beside version {champion.version}, which is in {champion.stage} now:")
    if found.metrics:
        head = ("metric", "this", f"version {champion.version}" if champion else "champion", "difference", "grade")
        show.table(head, [_metric_row(each) for each in found.metrics])
    if champion is not None:
        changed = found.signature
        told = "not known yet" if changed is None else "; ".join(changed) or "the same"
        show.line(f"Signature: {told}")
        show.line(f"Libraries: {_libraries(found, champion)}")
    _tests(found.candidate, champion)
    tags = ", ".join(f"{key}={value}" for key, value in sorted(found.candidate.tags.items()))
    show.line(f"Tags: {tags or 'none'}")


def _libraries(found: ApprovalView, champion: Side) -> str:
    looked_at = [
        side.validation is not None and bool(side.validation.libraries) for side in (found.candidate, champion)
    ]
    same = "the same" if all(looked_at) else "not known yet: one of the two was not validated"
    return "; ".join(change.told for change in found.libraries) or same


def _metric_row(each: MetricBeside) -> Sequence[str]:
    delta = _NONE if each.delta is None else f"{each.delta:+.6g}"
    return (each.name, _number(each.candidate), _number(each.champion), delta, each.grade)


def _number(value: float | None) -> str:
    return _NONE if value is None else f"{value:.6g}"


def _tests(candidate: Side, champion: Side | None) -> None:
    names = dict.fromkeys(
        result.name for side in (candidate, champion) if side and side.validation for result in side.validation.results
    )
    if not names:
        show.line("Tests: none was run. Run them with: " + f"lockgate validate {candidate.model}@{candidate.version}")
        return
    theirs = champion.validation if champion else None
    rows = [(name, _result(candidate.validation, name), _result(theirs, name)) for name in names]
    show.table(("test", "this", f"version {champion.version}" if champion else "champion"), rows)


def _result(validation: Validation | None, name: str) -> str:
    found = next((result for result in validation.results if result.name == name), None) if validation else None
    return _NONE if found is None else "passed" if found.passed else f"failed: {found.because}"


def _origin(candidate: Side) -> None:
    training = candidate.training
    if training is None:
        run = f"run {candidate.run_id} is not there any more" if candidate.run_id else "no run is known"
        show.line(f"Made by: {run}; registered by {candidate.registered_by}")
        return
    commit = f" at {training.commit[:12]}" if training.commit else ""
    when = f" on {show.when(training.started_at)} UTC" if training.started_at else ""
    show.line(
        f"Made by: {training.user or 'somebody'}{when}, run {training.run_id}"
        f"{f' ({training.name})' if training.name else ''}, from {training.source or 'an unknown source'}{commit};"
        f" registered by {candidate.registered_by}"
    )
    for data in training.datasets:
        show.line(f"Data: {data.name} ({data.digest}, {data.kind}{f', {data.context}' if data.context else ''})")
    if not training.datasets:
        show.line("Data: the run names no data set")


def _next(found: ApprovalView) -> None:
    request = found.request
    if request.state not in ("pending", "approved") or not found.missing:
        return
    to = "" if request.stage == "Production" else f" --to {request.stage.lower()}"
    show.line("")
    plan = show.short(found.plan.digest)
    show.line(f"Approve this very plan: lockgate approve {request.ref}{to} --plan {plan} --comment '…'")
    show.line(f"Or: lockgate reject {request.ref}{to} --reason '…'")
