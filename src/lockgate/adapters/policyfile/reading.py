"""From the text of `lockgate.yaml` to the policy it states, or to everything that is wrong with it."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable, Mapping
from dataclasses import replace
from datetime import timedelta
from functools import cache
from importlib import resources
from typing import Any

from lockgate.adapters.policyfile.changes import StageChange
from lockgate.adapters.policyfile.document import compose
from lockgate.adapters.policyfile.outside import CheckRule
from lockgate.adapters.policyfile.places import Place
from lockgate.adapters.policyfile.problems import PolicyFileError
from lockgate.adapters.policyfile.small import read_level
from lockgate.adapters.policyfile.stagerules import (
    GOVERNANCE,
    REQUIREMENTS,
    Governance,
    read_governance,
    read_stages,
)
from lockgate.domain.policy import EndpointRule, EngineKind, Environment, Policy, StageRules, ValidationRule
from lockgate.domain.stages import DEFAULT_ALIASES, Stage
from lockgate.domain.verdict import Level

DEFAULT_PORTS: Mapping[str, int] = {"staging": 5001, "production": 5002}
DEFAULT_STAGES: Mapping[str, Stage] = {"staging": Stage.STAGING, "production": Stage.PRODUCTION}
NAME = "lockgate.yaml"

_KEYS = (
    "level",
    "stages",
    "governance",
    "models",
    "environments",
    "endpoints",
    "max_endpoints",
    "validation",
    "warm_limit",
)
_SHORTEST, _LONGEST_LIMIT = timedelta(seconds=1), timedelta(hours=1)
_ENVIRONMENT = re.compile(r"[a-z][a-z0-9\-]{0,62}")

_HINTS = {
    "staging": "It belongs below stages.",
    "Staging": "It belongs below stages.",
    "production": "It belongs below stages.",
    "Production": "It belongs below stages.",
    **dict.fromkeys(GOVERNANCE, "It belongs below governance."),
    **dict.fromkeys(REQUIREMENTS, "It belongs below a stage, below stages."),
}


def parse_policy(
    text: str | None,
    *,
    ports: Mapping[str, int] | None = None,
    name: str = NAME,
    check_rule: CheckRule | None = None,
) -> Policy:
    """The policy that `text` states; None is the built-in one, judged at level observe.

    `ports` are the environments' ports where the text names none. `name` is how errors call the file. `check_rule` says
    what is wrong with a custom rule's expression; without it expressions are taken as they are.
    Raises PolicyFileError with every problem of the file.
    """
    stated = builtin_text() if text is None else text
    root = Place.root(compose(stated, name))
    policy = _policy(root, digest_of(stated), {**DEFAULT_PORTS, **(ports or {})}, check_rule)
    if root.problems:
        # what is wrong with a stage is found again with every model that builds on it
        raise PolicyFileError(name, list(dict.fromkeys(root.problems)))
    return policy


def digest_of(text: str) -> str:
    """`sha256:` and the hexadecimal SHA-256 of the text as it stands: a comment counts too."""
    return "sha256:" + hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()


def builtin_text() -> str:
    """The policy that holds while there is no file, as the file it would be."""
    return resources.files(__package__).joinpath("builtin.yaml").read_text(encoding="utf-8")


def starter_text() -> str:
    """The file that `lockgate init` writes: strict, enforced, and holding only gates this release can satisfy."""
    return resources.files(__package__).joinpath("starter.yaml").read_text(encoding="utf-8")


def _policy(root: Place, digest: str, ports: Mapping[str, int], check: CheckRule | None) -> Policy:
    children = root.known(_KEYS, _HINTS)
    fields: dict[str, Any] = {}
    for key, read in _READERS.items():
        if child := children.get(key):
            value = read(child)
            if value is not None:
                fields[key] = value
    level = read_level(children["level"]) if "level" in children else None
    environments = children.get("environments")
    changes = read_stages(children["stages"], check=check) if "stages" in children else {}
    governance = read_governance(children["governance"]) if "governance" in children else Governance()
    stages = _stages(changes, governance)
    models = _models(children["models"], changes, governance, check) if "models" in children else ()
    return Policy(
        digest=digest,
        level=level or Level.ENFORCE,
        stages=stages,
        environments=_environments(environments, ports) if environments else _default_environments(ports),
        models=models,
        **fields,
    )


# --- stages and models ------------------------------------------------------------------------------------------


def _stages(
    changes: Mapping[Stage, StageChange], governance: Governance, *over: Mapping[Stage, StageChange]
) -> dict[Stage, StageRules]:
    """Both stages' rules: what the file says, then what a model overrides, then governance."""
    found = {}
    for stage, alias in DEFAULT_ALIASES.items():
        rules = StageRules(alias=alias)
        # silence is no: a stage the file does not speak of is asked what the built-in policy asks
        for layer in (changes if stage in changes else _builtin_changes(), *over):
            if change := layer.get(stage):
                rules = change.on(rules)
        found[stage] = governance.on(rules) if stage is Stage.PRODUCTION else rules
        _refuse_two_rules_of_one_name(found[stage], stage, (*over, changes))
    _refuse_one_alias_for_two(found, (*over, changes))
    return found


@cache
def _builtin_changes() -> dict[Stage, StageChange]:
    root = replace(Place.root(compose(builtin_text(), NAME)), path="the built-in policy")
    return read_stages(root.children()["stages"])


def _refuse_one_alias_for_two(
    stages: Mapping[Stage, StageRules], layers: tuple[Mapping[Stage, StageChange], ...]
) -> None:
    if stages[Stage.STAGING].alias != stages[Stage.PRODUCTION].alias:
        return
    named = [
        layer[stage]
        for layer in layers
        for stage in reversed(Stage)
        if stage in layer and "alias" in layer[stage].fields
    ]
    alias = stages[Stage.STAGING].alias
    named[0].place.refuse(f"the alias '{alias}' for Staging and for Production", "another alias for each stage")


def _refuse_two_rules_of_one_name(
    rules: StageRules, stage: Stage, layers: tuple[Mapping[Stage, StageChange], ...]
) -> None:
    """A rule in a branch and another one beside it, say: their results are known by name."""
    seen: dict[str, str] = {}
    for rule in (rule for each in rules.everywhere for rule in each.custom):
        if seen.setdefault(rule.name, rule.cel) != rule.cel:
            place = next(layer[stage].place for layer in layers if stage in layer)
            place.refuse(f"two rules with the name '{rule.name}'", "another name for each rule")


def _models(
    place: Place, changes: Mapping[Stage, StageChange], governance: Governance, check: CheckRule | None
) -> tuple[tuple[str, Mapping[Stage, StageRules]], ...]:
    found = []
    for pattern, child in place.children("a mapping of model names or patterns").items():
        children = child.known(("stages", "level"))
        level = read_level(children["level"]) if "level" in children else None
        own = read_stages(children["stages"], override=True, check=check) if "stages" in children else {}
        layers = [own]
        if level is not None:
            # below the model's own stages, which may each say another level
            layers.insert(0, {stage: StageChange(child, {"level": level}) for stage in DEFAULT_ALIASES})
        found.append((pattern, _stages(changes, governance, *layers)))
    return tuple(found)


# --- where it serves --------------------------------------------------------------------------------------------


def _default_environments(ports: Mapping[str, int]) -> tuple[Environment, ...]:
    return tuple(Environment(name, stage, ports[name]) for name, stage in DEFAULT_STAGES.items())


def _environments(place: Place, ports: Mapping[str, int]) -> tuple[Environment, ...]:
    found: list[Environment] = []
    for name, child in place.children("a mapping of environments").items():
        environment = _environment(name, child, ports)
        if environment is None:
            continue
        for other in found:
            if other.stage is environment.stage:
                child.refuse(
                    f"{environment.stage}, which {other.name} serves already", "one environment for each stage"
                )
            if other.port == environment.port != 0:
                child.refuse(f"port {other.port}, which is {other.name}'s", "a port of its own, or 0 for any free one")
        found.append(environment)
    return tuple(found)


def _environment(name: str, place: Place, ports: Mapping[str, int]) -> Environment | None:
    if not _ENVIRONMENT.fullmatch(name):
        place.refuse(f"the name '{name[:60]}'", "a name of small letters, digits and -, such as staging")
        return None
    children = place.known(("stage", "port"))
    stage, port = DEFAULT_STAGES.get(name), ports.get(name, 0)
    if "stage" in children:
        written = children["stage"].one_of(tuple(DEFAULT_STAGES[key].value for key in DEFAULT_STAGES))
        stage = Stage(written) if written else None
    elif stage is None:
        place.refuse("no stage", "the key stage, such as {stage: Staging}")
    if "port" in children:
        port = children["port"].whole(0, 65535) or 0
    return None if stage is None else Environment(name, stage, port)


def _endpoints(place: Place) -> tuple[tuple[str, EndpointRule], ...]:
    found = []
    for pattern, child in place.children("a mapping of model names or patterns").items():
        fields: dict[str, Any] = {}
        for key, inner in child.known(tuple(_SERVING)).items():
            value = _SERVING[key](inner)
            if value is not None:
                fields[key] = value
        found.append((pattern, EndpointRule(**fields)))
    return tuple(found)


def _serve(place: Place) -> bool | None:
    # YAML reads a bare off as false
    if place.written.lower() == "off":
        return False
    if place.written == "auto":
        return True
    place.wrong("auto or off")
    return None


def _engine(place: Place) -> EngineKind | None:
    written = place.one_of(tuple(EngineKind))
    return EngineKind(written) if written else None


def _runtime(place: Place) -> str | None:
    written = place.text("the path of a Python interpreter")
    if written is not None and not written.startswith("/"):
        place.wrong("an absolute path, like /opt/models/bin/python")
        return None
    return written


_SERVING: Mapping[str, Callable[[Place], object]] = {
    "serve": _serve,
    "workers": lambda place: place.whole(1, 64),
    "timeout": lambda place: place.duration(timedelta(milliseconds=100), _LONGEST_LIMIT),
    "engine": _engine,
    "park": lambda place: place.duration(timedelta(), timedelta(days=7)),
    "park_memory": lambda place: place.size(0, 2**50),
    "batch_wait": lambda place: place.duration(timedelta(), timedelta(seconds=1)),
    "log_predictions": lambda place: place.number("a share of the predictions, 0 to 1", least=0.0, most=1.0),
    "runtime": _runtime,
}


# --- the rest ---------------------------------------------------------------------------------------------------


def _validation(place: Place) -> ValidationRule:
    fields: dict[str, Any] = {}
    for key, child in place.known(("sample", "time_limit", "latency_limit", "on_registration")).items():
        value: object
        if key == "sample":
            value = child.text("the path of a file with sample rows")
        elif key == "time_limit":
            value = child.duration(_SHORTEST, _LONGEST_LIMIT)
        elif key == "latency_limit":
            value = child.duration(timedelta(microseconds=100), timedelta(minutes=1))
        else:
            value = child.texts("model names or patterns")
        if value is not None:
            fields[key] = value
    return ValidationRule(**fields)


_READERS: Mapping[str, Callable[[Place], object]] = {
    "endpoints": _endpoints,
    "max_endpoints": lambda place: place.whole(1, 1000),
    "validation": _validation,
    "warm_limit": lambda place: place.duration(_SHORTEST, _LONGEST_LIMIT),
}
