"""What the rules are: per stage, per model, for governance, and where each stage is served."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from enum import StrEnum
from fnmatch import fnmatchcase

from lockgate.domain.grades import Grade
from lockgate.domain.stages import DEFAULT_ALIASES, Stage
from lockgate.domain.verdict import Level, Standing


@dataclass(frozen=True, slots=True)
class Threshold:
    """The least value of a metric, the least grade it must have, and how old it may be."""

    at_least: float
    grade: Grade = Grade.CLAIMED
    level: Level | None = None
    max_age: timedelta | None = None


@dataclass(frozen=True, slots=True)
class Ceiling:
    """The largest value of a metric, the least grade it must have, and how old it may be."""

    at_most: float
    grade: Grade = Grade.CLAIMED
    level: Level | None = None
    max_age: timedelta | None = None


class Direction(StrEnum):
    """Which of two values of a metric is the better one."""

    HIGHER = "higher"
    LOWER = "lower"


@dataclass(frozen=True, slots=True)
class Comparison:
    """A metric held against the champion's: as good, or worse by no more than the tolerance.

    The tolerance is `absolute` plus `relative`, a share of the champion's value. Without a champion the answer is
    `if_no_champion`. Both values must have the grade.
    """

    direction: Direction
    absolute: float = 0.0
    relative: float = 0.0
    if_no_champion: Standing = Standing.FAILS
    grade: Grade = Grade.CLAIMED
    level: Level | None = None


@dataclass(frozen=True, slots=True)
class RequiredCheck:
    """A named result from outside that must be there, about the pinned artifacts, and how old it may be."""

    name: str
    max_age: timedelta | None = None
    level: Level | None = None


@dataclass(frozen=True, slots=True)
class CustomRule:
    """A rule in the Common Expression Language: anything but true is a no."""

    name: str
    cel: str
    level: Level | None = None


class Combined(StrEnum):
    """How the branches of a group count together."""

    ALL_OF = "all_of"
    ANY_OF = "any_of"


@dataclass(frozen=True, slots=True)
class Group:
    """Named branches, each a set of requirements: every one must hold, or one is enough."""

    name: str
    how: Combined
    branches: tuple[StageRules, ...]
    level: Level | None = None


@dataclass(frozen=True, slots=True)
class Origin:
    """Where a requirement comes from: the keys that lead to it, the line, what it says, and what it outweighed."""

    key: str
    line: int
    says: str
    over: tuple[Origin, ...] = ()

    def __str__(self) -> str:
        told = f"{self.says} from {self.key} (line {self.line})"
        return f"{told} over {', '.join(str(other) for other in self.over)}" if self.over else told


@dataclass(frozen=True, slots=True)
class Team:
    """Of these people `approvals` must agree: those who have the role, or those who are named."""

    role: str = ""
    people: tuple[str, ...] = ()
    approvals: int = 1

    def __str__(self) -> str:
        return f"the role {self.role}" if self.role else " or ".join(self.people)


@dataclass(frozen=True, slots=True)
class ApprovalRule:
    """How many people must agree, in which roles, and whether the requester may be one of them.

    Of each team so many must agree as it says, and nobody speaks for two teams. A yes counts for `expires`, a request
    may be answered for `request_expires` (None: without end). `comment_required`: a yes says why.
    """

    approvals: int = 1
    roles: tuple[str, ...] = ()
    not_the_requester: bool = True
    level: Level | None = None
    teams: tuple[Team, ...] = ()
    expires: timedelta | None = None
    request_expires: timedelta | None = None
    comment_required: bool = False


@dataclass(frozen=True, slots=True)
class StageRules:
    """Everything asked of a version on its way into one stage.

    `max_versions` None is no limit. `level` None takes the policy's own. `required_tags` names every tag that must be
    set, `tag_values` those that must have one of the values. `champion` compares with the primary of `champion_stage`.
    `origins` says of each gate which key of the file asks for it.
    """

    alias: str
    metrics: Mapping[str, Threshold] = field(default_factory=dict)
    validation_tests: tuple[str, ...] = ()
    required_tags: tuple[str, ...] = ()
    previous_stage: Stage | None = None
    approval: ApprovalRule | None = None
    soak: timedelta | None = None
    require_signature: bool = False
    max_versions: int | None = None
    evict_oldest: bool = False
    level: Level | None = None
    ceilings: Mapping[str, Ceiling] = field(default_factory=dict)
    champion: Mapping[str, Comparison] = field(default_factory=dict)
    champion_stage: Stage = Stage.PRODUCTION
    tag_values: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    validation_max_age: timedelta | None = None
    checks: tuple[RequiredCheck, ...] = ()
    custom: tuple[CustomRule, ...] = ()
    groups: tuple[Group, ...] = ()
    origins: Mapping[str, Origin] = field(default_factory=dict, compare=False, repr=False)

    @property
    def everywhere(self) -> tuple[StageRules, ...]:
        """These rules and those of every branch of their groups: all that is asked, wherever it stands."""
        return (self, *(rules for group in self.groups for branch in group.branches for rules in branch.everywhere))


@dataclass(frozen=True, slots=True)
class Environment:
    """A place that serves one stage. `port` 0 takes any free one."""

    name: str
    stage: Stage
    port: int


class EngineKind(StrEnum):
    """How a worker computes predictions. `PYFUNC` is MLflow's own way, `NATIVE` the flavor's own predict with the same
    answers, `ONNX` a converted model whose answers were found to be the same.
    """

    PYFUNC = "pyfunc"
    NATIVE = "native"
    ONNX = "onnx"


@dataclass(frozen=True, slots=True)
class EndpointRule:
    """How the endpoints of models matching a pattern are served.

    After a cutover the old release stays warm for `park`, as long as all that is parked on a machine takes no more than
    `park_memory` bytes. A request may wait `batch_wait` for others to be predicted with. `log_predictions` is the share
    of predictions that is kept, 0 to 1. `runtime` is another Python interpreter that has the models' libraries.
    """

    serve: bool = True
    workers: int = 1
    timeout: timedelta = timedelta(seconds=60)
    engine: EngineKind = EngineKind.NATIVE
    park: timedelta = timedelta(minutes=30)
    park_memory: int = 2 * 2**30
    batch_wait: timedelta = timedelta()
    log_predictions: float = 0.0
    runtime: str | None = None


@dataclass(frozen=True, slots=True)
class ValidationRule:
    """How validations run. Models that match `on_registration` are validated as soon as they are registered."""

    sample: str | None = None
    time_limit: timedelta = timedelta(seconds=120)
    latency_limit: timedelta = timedelta(milliseconds=50)
    on_registration: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Policy:
    """The policy in force. `digest` is of the text it was read from; `models` are overrides, the first match wins.

    `endpoints` None: the text says nothing about serving. Then `serves_unasked` decides, which is off for a database
    that was adopted.
    """

    digest: str
    level: Level
    stages: Mapping[Stage, StageRules]
    environments: tuple[Environment, ...]
    models: tuple[tuple[str, Mapping[Stage, StageRules]], ...] = ()
    endpoints: tuple[tuple[str, EndpointRule], ...] | None = None
    validation: ValidationRule = ValidationRule()
    max_endpoints: int = 20
    warm_limit: timedelta = timedelta(seconds=120)
    serves_unasked: bool = True

    def rules(self, model: str, stage: Stage) -> StageRules:
        """The rules for one model into one stage."""
        for pattern, stages in self.models:
            if fnmatchcase(model, pattern) and stage in stages:
                return stages[stage]
        return self.stages.get(stage) or StageRules(alias=DEFAULT_ALIASES.get(stage, ""))

    def level_for(self, rules: StageRules) -> Level:
        return rules.level or self.level

    def endpoint_rule(self, model: str) -> EndpointRule:
        """How this model is served; a model no pattern names is not served."""
        if self.endpoints is None:
            return EndpointRule(serve=self.serves_unasked)
        for pattern, rule in self.endpoints:
            if fnmatchcase(model, pattern):
                return rule
        return EndpointRule(serve=False)

    def environment_for(self, stage: Stage) -> Environment | None:
        """The environment bound to a stage, if any."""
        return next((e for e in self.environments if e.stage is stage), None)

    def environment(self, name: str) -> Environment | None:
        return next((e for e in self.environments if e.name == name), None)

    def stage_of_alias(self, model: str, alias: str) -> Stage | None:
        """The stage a protected alias is bound to, or None for an alias of the user's own."""
        for stage in (Stage.STAGING, Stage.PRODUCTION):
            if self.rules(model, stage).alias == alias:
                return stage
        return None

    def aliases_of(self, stage: Stage) -> frozenset[str]:
        """Every alias that is bound to the stage, for whatever models."""
        rules = [self.rules("", stage), *(stages[stage] for _, stages in self.models if stage in stages)]
        return frozenset(rule.alias for rule in rules if rule.alias)

    def names_for_registration(self, model: str) -> bool:
        """Whether a version of this model is validated as soon as it is registered."""
        return any(fnmatchcase(model, pattern) for pattern in self.validation.on_registration)
