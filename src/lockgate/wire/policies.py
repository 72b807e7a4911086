"""What the API says of policies: a gate explained, the history judged under another policy, a policy applied."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any, ClassVar

from lockgate.wire.shapes import Gate

_CLOSED: dict[str, Any] = {"extra": "forbid"}


@dataclass(frozen=True, slots=True)
class ExplainAsk:
    """What does each gate of this move see, and what asks for it?"""

    __pydantic_config__: ClassVar = _CLOSED

    model: str
    version: int
    to: str = "Production"
    archive_existing: bool = True


@dataclass(frozen=True, slots=True)
class Source:
    """What asks for a gate: the keys of the policy file, the line, what it says, and the weaker ones it outweighs."""

    key: str
    line: int
    says: str
    over: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class ExplainedBranch:
    """The gates of one branch of a group."""

    gates: tuple[ExplainedGate, ...]


@dataclass(frozen=True, slots=True)
class ExplainedGate:
    """One gate with its reason, what was seen, what is required and the next command.

    `source` is None for what is always judged. `grade` is claimed, attested, measured or, for what Lockgate's own rows
    say, recorded; empty where there is nothing. `at` is when it was logged or measured, where that is known.
    """

    name: str
    standing: str
    level: str
    because: str
    seen: str = ""
    required: str = ""
    next: str = ""
    grade: str = ""
    at: datetime | None = None
    source: Source | None = None
    branches: tuple[ExplainedBranch, ...] = ()


@dataclass(frozen=True, slots=True)
class Explanation:
    """Every gate of one move, judged now. `standing` is what the enforced gates say, `would_be` what all would say."""

    model: str
    version: int
    stage: str
    standing: str
    would_be: str
    level: str
    policy_digest: str
    builtin: bool
    gates: tuple[ExplainedGate, ...] = ()

    @property
    def ref(self) -> str:
        """The version as people write it, `fraud@7`."""
        return f"{self.model}@{self.version}"


@dataclass(frozen=True, slots=True)
class SimulateAsk:
    """Judge a page of the history under this policy text. `after` is the `next` of the page before; oldest first.

    `model` is a shell pattern. `since` leaves out what was judged before.
    """

    __pydantic_config__: ClassVar = _CLOSED

    text: str
    since: datetime | None = None
    model: str = "*"
    after: str = ""
    limit: int = 100


@dataclass(frozen=True, slots=True)
class Rejudged:
    """One verdict of the past and what it would have been. `now` is holds, waits, fails or unknown.

    `because` names the gates that make the difference; `lacking` what the stored evidence does not say.
    """

    promotion: str
    model: str
    version: int
    stage: str
    at: datetime
    then: str
    now: str
    because: tuple[str, ...] = ()
    lacking: tuple[str, ...] = ()

    @property
    def ref(self) -> str:
        """The version as people write it, `fraud@7`."""
        return f"{self.model}@{self.version}"


@dataclass(frozen=True, slots=True)
class SimulatedPage:
    """A page of the history under another policy. `different` holds those that would have been decided otherwise.

    `judged` counts the verdicts of this page that were asked about, and `same` those that stay. `looked_at` counts
    those of other models too, of `total` that there are, which only the first page tells. A page may be shorter than it
    was asked for. `next` is empty on the last one.
    """

    policy_digest: str
    judged: int
    same: int
    looked_at: int
    total: int
    different: tuple[Rejudged, ...] = ()
    next: str = ""


@dataclass(frozen=True, slots=True)
class ApplyAsk:
    """Put this policy text in force. `reason` stands on the record."""

    __pydantic_config__: ClassVar = _CLOSED

    text: str
    reason: str = ""


@dataclass(frozen=True, slots=True)
class AppliedPolicy:
    """What became of it: in force now, or waiting for a second person (`proposal` is its id then)."""

    digest: str
    level: str
    in_force: bool
    changed: bool = True
    before: str = ""
    proposal: str = ""


@dataclass(frozen=True, slots=True)
class ReplayAsk:
    """Judge the verdict of this entry again: `model:3#12`, the chain and the number in it."""

    __pydantic_config__: ClassVar = _CLOSED

    entry: str


@dataclass(frozen=True, slots=True)
class ReplayedVerdict:
    """A verdict of the record judged again. `differences` is empty where it comes out the same, gate by gate."""

    entry: str
    model: str
    version: int
    stage: str
    then: str
    now: str
    evidence: str
    policy: str
    gates: tuple[Gate, ...] = ()
    differences: tuple[str, ...] = ()

    @property
    def agrees(self) -> bool:
        return not self.differences

    @property
    def ref(self) -> str:
        """The version as people write it, `fraud@7`."""
        return f"{self.model}@{self.version}"
