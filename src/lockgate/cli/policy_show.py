"""How `lockgate policy` tells what it found: the gates of a move, and what another policy would have decided."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

from lockgate.cli import show

if TYPE_CHECKING:
    from lockgate.wire.policies import ExplainedGate, Explanation, Rejudged

_ANSWERS = {"holds": "would go through", "waits": "would wait", "fails": "would be refused"}
ALWAYS = "always judged"
LONGEST = 60


def explanation(found: Explanation) -> None:
    """Every gate with what it saw, what is required, what asks for it and how its evidence is known."""
    of = "the built-in policy" if found.builtin else f"policy {show.short(found.policy_digest)}"
    answer = _ANSWERS.get(found.standing, found.standing)
    show.line(f"{found.ref} to {found.stage} {answer} under {of} (level {found.level}).")
    show.line("")
    rows = [_row(gate) for gate in found.gates]
    show.table(("gate", "answer", "seen", "required", "level", "line", "evidence"), rows)
    for gate in found.gates:
        _tell_more(gate)
    _tell_sources(found.gates)
    if found.would_be != found.standing:
        show.line("")
        show.line(f"With every gate enforced it {_ANSWERS.get(found.would_be, found.would_be)}.")


def rejudged(found: Iterable[Rejudged]) -> None:
    """The verdicts that would have been others."""
    rows = [(show.when(each.at), each.ref, each.stage, each.then, each.now, _why(each)) for each in found]
    show.table(("at (UTC)", "version", "to", "then", "now", "because"), rows)


def _why(of: Rejudged) -> str:
    if of.now == "unknown":
        return f"not known of that day: {', '.join(of.lacking)}"
    return "; ".join(of.because)


def _row(gate: ExplainedGate) -> tuple[str, ...]:
    # a rule or a group may be long, and stands in the file for who wants all of it
    required = gate.required if len(gate.required) <= LONGEST else f"{gate.required[:LONGEST]}…"
    line = str(gate.source.line) if gate.source is not None else ""
    return (gate.name, gate.standing, gate.seen, required, gate.level, line, _known(gate))


def _known(gate: ExplainedGate) -> str:
    return f"{gate.grade} {show.when(gate.at)[:10]}" if gate.at is not None else gate.grade


def _tell_more(gate: ExplainedGate) -> None:
    """Below the table: why a gate does not hold, and the branches of a group."""
    told = []
    if gate.standing != "holds":
        if not gate.branches:  # a group's reason is that of its branches, which follow
            told.append(f"  {gate.because}")
        if gate.next:
            told.append(f"  Next: {gate.next}")
    if told or gate.branches:
        show.line("")
        show.line(f"{gate.name} {gate.standing}:")
    for line in told:
        show.line(line)
    for number, branch in enumerate(gate.branches, start=1):
        show.line(f"  branch {number}:")
        for inner in branch.gates:
            show.line(f"    {inner.name} {inner.standing}: {inner.because}")


def _tell_sources(gates: Iterable[ExplainedGate]) -> None:
    """Which key of the policy asks for each gate, and which weaker ones it outweighs."""
    show.line("")
    show.line("Asked for by:")
    for gate in gates:
        source = gate.source
        if source is None:
            show.line(f"  {gate.name}: {ALWAYS}")
            continue
        over = f", which outweighs {', '.join(source.over)}" if source.over else ""
        show.line(f"  {gate.name}: {source.key} (line {source.line}){over}")
