"""What the API answers: frozen values that say nothing of the inside, the same for server, SDK and command line.

Times are aware and in UTC. Names of stages are MLflow's: None, Staging, Production, Archived. A standing is `holds`,
`waits` or `fails`; a level is `observe`, `warn` or `enforce`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

DONE, REFUSED, FAILED, CANCELLED = "done", "refused", "failed", "cancelled"
OVER = frozenset({DONE, REFUSED, FAILED, CANCELLED})
VALIDATION_OVER = frozenset({"passed", "failed", "error"})


@dataclass(frozen=True, slots=True)
class Who:
    """A caller. `verified` is False where the name is only a claim; `via` is the door: api, sdk, cli, mlflow…

    `kind` is person or service; `address`, `request` and `token` are from where, in which request and with which token
    (its id), where that is told.
    """

    name: str
    verified: bool = False
    via: str = "api"
    kind: str = "person"
    address: str = ""
    request: str = ""
    token: str = ""

    def __str__(self) -> str:
        return self.name if self.verified else f"{self.name} (unverified)"


@dataclass(frozen=True, slots=True)
class Gate:
    """One rule judged on the evidence, with its reason, what was seen, what is required and the next command."""

    name: str
    standing: str
    level: str
    because: str
    seen: str = ""
    required: str = ""
    next: str = ""

    @property
    def binds(self) -> bool:
        """Whether this gate stops the move."""
        return self.level == "enforce" and self.standing != "holds"


@dataclass(frozen=True, slots=True)
class Verdict:
    """All gates of one move. `would_be` is the standing with every gate enforced."""

    standing: str
    would_be: str
    gates: tuple[Gate, ...] = ()

    @property
    def open(self) -> tuple[Gate, ...]:
        """The gates that do not hold, binding or not."""
        return tuple(gate for gate in self.gates if gate.standing != "holds")


@dataclass(frozen=True, slots=True)
class Promotion:
    """One asked-for move of one version to one stage.

    `kind` is transition, alias, promote, rollback or break-glass. `state` is judging, validating, waiting, warming,
    switching, and at the end done, refused, failed or cancelled. `leaves` is the version a rollback leaves behind, or
    the one that was named to make room. `asked_plan` is the digest of the one plan it may carry out, `evidence_digest`
    that of what its verdict was based on.
    """

    id: str
    model: str
    version: int
    stage: str
    kind: str
    state: str
    lasting: bool
    archive_existing: bool
    asked_by: Who
    reason: str
    asked_at: datetime
    because: str = ""
    verdict: Verdict | None = None
    plan_digest: str = ""
    policy_digest: str = ""
    validation: str = ""
    endpoint: str = ""
    generation: int = 0
    leaves: int | None = None
    state_since: datetime | None = None
    closed_at: datetime | None = None
    asked_plan: str = ""
    evidence_digest: str = ""
    semantic_version: str | None = None

    @property
    def ref(self) -> str:
        """The version as people write it, `fraud@7`."""
        return f"{self.model}@{self.version}"

    @property
    def is_over(self) -> bool:
        return self.state in OVER


@dataclass(frozen=True, slots=True)
class ReleaseSettings:
    """How a version would be served: engine, workers, and seconds that a request may take."""

    engine: str
    workers: int
    timeout_seconds: float


@dataclass(frozen=True, slots=True)
class Plan:
    """What a promotion would do now, and the evidence for it. `leavers` are the versions that would leave the stage.

    `digest` is what an approval signs, and `parts` are what it is made of. `environment` is where it would be served
    (None: nowhere) and `release` how, `serves_now` the version that serves there today.
    """

    model: str
    version: int
    stage: str
    verdict: Verdict
    digest: str
    artifacts: str | None
    leavers: tuple[int, ...]
    environment: str | None
    policy_digest: str
    serves_now: int | None
    parts: Mapping[str, str | None] = field(default_factory=dict)
    release: ReleaseSettings | None = None
    semantic_version: str | None = None

    @property
    def ref(self) -> str:
        """The version as people write it, `fraud@7`."""
        return f"{self.model}@{self.version}"


@dataclass(frozen=True, slots=True)
class Decision:
    """One person's answer to a request, on the plan whose digest it names.

    `behalf` is whom they stood in for. A yes that was taken back has the time and the reason of that.
    """

    approved: bool
    who: Who
    comment: str
    at: datetime
    plan_digest: str
    behalf: str = ""
    withdrawn_at: datetime | None = None
    withdrawn_because: str = ""


@dataclass(frozen=True, slots=True)
class ApprovalRequest:
    """Someone asked for a yes to moving one version into one stage.

    `state` is pending, approved, rejected, withdrawn or expired; `closed_because` says why it was closed.
    """

    id: str
    model: str
    version: int
    stage: str
    asked_by: Who
    reason: str
    asked_at: datetime
    plan_digest: str
    state: str
    decisions: tuple[Decision, ...] = ()
    closed_because: str = ""
    semantic_version: str | None = None

    @property
    def ref(self) -> str:
        """The version as people write it, `fraud@7`."""
        return f"{self.model}@{self.version}"


@dataclass(frozen=True, slots=True)
class TestResult:
    """One test of the suite. What was measured is in the unit its name ends with."""

    __test__ = False  # not a test class, whatever pytest thinks of the name

    name: str
    passed: bool
    because: str
    measured: Mapping[str, float] = field(default_factory=dict)
    warnings: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Library:
    """A library the model was logged with, and the version installed here (None when it is missing)."""

    name: str
    logged: str
    installed: str | None


@dataclass(frozen=True, slots=True)
class Validation:
    """One run of the suite. `state` is queued, running, passed, failed, or error: it could not be run at all."""

    id: str
    model: str
    version: int
    state: str
    asked_by: Who
    asked_at: datetime
    trigger: str
    digest: str | None = None
    results: tuple[TestResult, ...] = ()
    libraries: tuple[Library, ...] = ()
    has_signature: bool | None = None
    inputs: str | None = None
    seconds: float | None = None
    because: str = ""
    finished_at: datetime | None = None
    semantic_version: str | None = None

    @property
    def ref(self) -> str:
        """The version as people write it, `fraud@7`."""
        return f"{self.model}@{self.version}"

    @property
    def is_over(self) -> bool:
        return self.state in VALIDATION_OVER


@dataclass(frozen=True, slots=True)
class Check:
    """A result that a system outside reported: its `grade` is attested. `digest` is of the artifacts it is about."""

    model: str
    version: int
    name: str
    passed: bool
    who: Who
    at: datetime
    digest: str
    grade: str = "attested"
    url: str = ""
    comment: str = ""

    @property
    def ref(self) -> str:
        """The version as people write it, `fraud@7`."""
        return f"{self.model}@{self.version}"


@dataclass(frozen=True, slots=True)
class Release:
    """The immutable thing that serves. `baked_at` is when it finished its bake, None before."""

    id: str
    model: str
    version: int
    digest: str
    engine: str
    promotion: str
    created_at: datetime
    baked_at: datetime | None = None
    semantic_version: str | None = None


@dataclass(frozen=True, slots=True)
class Group:
    """A worker group as the agent saw it: its release, and the pids that answer.

    `state` is starting, ready, serving, draining, failed, or parked: one that served before and is kept warm. `memory`
    is what it takes, in bytes; what processes share is divided among them.
    """

    release: str
    state: str
    pids: tuple[int, ...] = ()
    because: str = ""
    seen_at: datetime | None = None
    version: int | None = None
    memory: int = 0


@dataclass(frozen=True, slots=True)
class Endpoint:
    """One model in one environment. `state` is pending, serving, vacant, degraded or retired.

    `generation` is what was committed, `acknowledged` what the agent has made real. `candidate` is being warmed.
    """

    environment: str
    model: str
    version: int | None
    port: int | None
    url: str | None
    state: str
    because: str
    release: Release | None
    generation: int
    acknowledged: int
    candidate: Release | None = None
    groups: tuple[Group, ...] = ()


@dataclass(frozen=True, slots=True)
class Rollout:
    """A promotion that moved an endpoint, or tried to. `id` and `kind` are the promotion's; no `from_version`: none."""

    id: str
    environment: str
    model: str
    from_version: int | None
    to_version: int
    state: str
    started: datetime
    ended: datetime | None = None
    because: str = ""
    kind: str = ""


@dataclass(frozen=True, slots=True)
class Quarantine:
    """The version was rolled back: when and why."""

    at: datetime
    reason: str


@dataclass(frozen=True, slots=True)
class VersionStatus:
    """Where one version is, what serves it, and what is still missing for the next stage.

    `missing` are the gates of `next_stage` that do not hold; `served_by` names environments. `semantic_because` says
    why the semantic version is that, or why there is none yet. `checks` are those that count of each name.
    """

    model: str
    version: int
    stage: str
    since: datetime
    primary: bool
    digest: str | None
    aliases: tuple[str, ...] = ()
    quarantine: Quarantine | None = None
    next_stage: str | None = None
    missing: tuple[Gate, ...] = ()
    served_by: tuple[str, ...] = ()
    validation: Validation | None = None
    provenance: str = ""
    open_promotion: Promotion | None = None
    semantic_version: str | None = None
    semantic_because: str = ""
    checks: tuple[Check, ...] = ()

    @property
    def ref(self) -> str:
        """The version as people write it, `fraud@7`."""
        return f"{self.model}@{self.version}"


@dataclass(frozen=True, slots=True)
class Difference:
    """Something that MLflow's tables say otherwise than Lockgate holds, because somebody wrote past Lockgate.

    `kind` is stage, alias, version deleted, model gone or model replaced. `held` is what Lockgate holds, `found` what
    MLflow's tables say. `restore` and `accept` are the commands that settle it one way or the other, empty where none.
    """

    kind: str
    model: str
    because: str
    version: int | None = None
    alias: str = ""
    held: str = ""
    found: str = ""
    restore: str = ""
    accept: str = ""


@dataclass(frozen=True, slots=True)
class ModelStatus:
    """One model: its versions, newest first, its endpoints, pending requests, and what was changed past Lockgate."""

    model: str
    versions: tuple[VersionStatus, ...]
    endpoints: tuple[Endpoint, ...] = ()
    pending: tuple[ApprovalRequest, ...] = ()
    drift: tuple[Difference, ...] = ()


@dataclass(frozen=True, slots=True)
class ModelSummary:
    """One model on one line: how many versions, the primary of each stage, how many requests are pending."""

    model: str
    versions: int
    staging: int | None
    production: int | None
    endpoints: tuple[Endpoint, ...] = ()
    pending: int = 0


@dataclass(frozen=True, slots=True)
class Overview:
    """All models, and the policy in force. `builtin`: no policy file was applied; `troubles` are of the whole node."""

    models: tuple[ModelSummary, ...]
    level: str
    policy_digest: str
    builtin: bool
    troubles: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class AuditEntry:
    """One entry of the record in its place. `text` is the canonical JSON whose SHA-256 is `hash`.

    `before` and `after` are a text, a map where several things changed, or None where there was nothing.
    """

    hash: str
    chain: str
    number: int
    previous: str
    at: datetime
    who: Who
    action: str
    model: str
    version: int | None
    before: Any
    after: Any
    why: str
    detail: Mapping[str, Any] = field(default_factory=dict)
    text: str = ""


@dataclass(frozen=True, slots=True)
class AuditBreak:
    """Where the record does not hold, and what is wrong there. `position` is the entry's in the tree, if it has one."""

    chain: str
    number: int
    because: str
    position: int | None = None


@dataclass(frozen=True, slots=True)
class AuditCheck:
    """How many entries were checked, and every place where the record does not hold: the first of `count`.

    `placed` of them have a position in the tree, and the first `size` are signed, by `key` at `at`.
    """

    entries: int
    breaks: tuple[AuditBreak, ...] = ()
    count: int = 0
    placed: int = 0
    checkpoints: int = 0
    size: int = 0
    key: str = ""
    at: datetime | None = None

    @property
    def holds(self) -> bool:
        return not self.breaks


@dataclass(frozen=True, slots=True)
class PolicyInForce:
    """The policy by which gates are judged now. `text` is None for the built-in one."""

    digest: str
    level: str
    builtin: bool
    text: str | None = None


@dataclass(frozen=True, slots=True)
class PolicyCheck:
    """Whether a policy text is right; when it is not, `because` names line, key and what was expected."""

    valid: bool
    digest: str = ""
    level: str = ""
    because: str = ""
    hint: str = ""


@dataclass(frozen=True, slots=True)
class PromotionList:
    """Promotions, newest first."""

    promotions: tuple[Promotion, ...]


@dataclass(frozen=True, slots=True)
class ValidationList:
    """Validations, newest first."""

    validations: tuple[Validation, ...]


@dataclass(frozen=True, slots=True)
class ApprovalList:
    """Pending requests for approval, oldest first. `next` is what to ask the next page with, "" for none."""

    approvals: tuple[ApprovalRequest, ...]
    next: str = ""


@dataclass(frozen=True, slots=True)
class RolloutList:
    """Rollouts, newest first."""

    rollouts: tuple[Rollout, ...]


@dataclass(frozen=True, slots=True)
class EndpointList:
    """Endpoints by environment and model."""

    endpoints: tuple[Endpoint, ...]


@dataclass(frozen=True, slots=True)
class DriftList:
    """Differences by model and version."""

    drift: tuple[Difference, ...]


@dataclass(frozen=True, slots=True)
class AuditList:
    """Entries of the record, newest first."""

    entries: tuple[AuditEntry, ...]


@dataclass(frozen=True, slots=True)
class ProblemDetail:
    """The part of an error that is Lockgate's own: the promotion it is about, its standing, gates and next command.

    `kind` is bad_input, not_found, forbidden, refused, waits, conflict, failed, unreadable, unavailable or internal.
    """

    kind: str = ""
    promotion: str = ""
    standing: str = ""
    gates: tuple[Gate, ...] = ()
    next: str = ""


@dataclass(frozen=True, slots=True)
class Problem:
    """Every error of the API. `error_code` and `message` are where MLflow's clients look for them."""

    error_code: str
    message: str
    hint: str = ""
    lockgate: ProblemDetail = field(default_factory=ProblemDetail)
