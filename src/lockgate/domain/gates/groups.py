"""The gate of a group: branches of requirements of which every one must hold, or one is enough."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence

from lockgate.domain.policy import Combined, Group, StageRules
from lockgate.domain.verdict import Gate, Level, Standing, worst

HOLDS, WAITS, FAILS = Standing.HOLDS, Standing.WAITS, Standing.FAILS
_BEST_FIRST = (HOLDS, WAITS, FAILS)

Judge = Callable[[StageRules], Iterable[Gate]]


def branches(group: Group, judge: Judge) -> tuple[tuple[Gate, ...], ...]:
    """The gates of each branch, in the order of the file. `judge` gives those of one set of requirements."""
    return tuple(tuple(judge(branch)) for branch in group.branches)


def group_gate(group: Group, judged: Sequence[Sequence[Gate]], level: Level) -> Gate:
    """The one answer of all branches. A branch is as good as its worst gate, and an empty one holds nothing."""
    standings = [worst(gates) if gates else FAILS for gates in judged]
    key = f"{group.how}:{group.name}"
    seen = ", ".join(f"branch {number} {standing}" for number, standing in enumerate(standings, start=1))
    required = "every branch" if group.how is Combined.ALL_OF else "one branch"
    required += f" of: {' | '.join(' and '.join(_required(gate) for gate in gates) for gates in judged)}"
    if group.how is Combined.ALL_OF:
        standing = max(standings, key=_BEST_FIRST.index, default=FAILS)
    else:
        standing = min(standings, key=_BEST_FIRST.index, default=FAILS)
    if standing is HOLDS:
        because = "every branch holds"
        if group.how is Combined.ANY_OF:
            number = standings.index(HOLDS)
            because = f"branch {number + 1} holds: {'; '.join(gate.because for gate in judged[number])}"
        return Gate(key, HOLDS, because, seen, required, level=level)
    told = [
        f"branch {number}: {'; '.join(f'{gate.name} {gate.standing}: {gate.because}' for gate in _open(gates))}"
        for number, gates in enumerate(judged, start=1)
        if _open(gates)
    ]
    nearest = next((gates for gates, each in zip(judged, standings, strict=True) if each is standing), ())
    hint = next((gate.next for gate in _open(nearest) if gate.next), "")
    return Gate(
        key, standing, " | ".join(told) or "it has no branch that asks for anything", seen, required, hint, level
    )


def _open(gates: Sequence[Gate]) -> list[Gate]:
    return [gate for gate in gates if gate.standing is not HOLDS]


def _required(gate: Gate) -> str:
    return f"{gate.name} {gate.required}"
