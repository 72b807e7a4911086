"""A registry for one client at a time, a few lines for each act: what the real one must look like from outside."""

from __future__ import annotations

from typing import Any

from tests.integration.registry.writes.acts import Act, Answer

# by name: {"text", "tags", "highest", "versions": {number: {"stage", "text", "tags"}}, "aliases", "inside"}; the last
# holds the versions of each gated stage in the order they entered it
State = dict[str, Any]

GATED = {"Staging": "staging", "Production": "production"}
_MISSING: Answer = ["error", "RESOURCE_DOES_NOT_EXIST"]
_TAKEN: Answer = ["error", "RESOURCE_ALREADY_EXISTS"]
_HELD: Answer = ["error", "RESOURCE_CONFLICT"]


def apply(state: State, act: Act) -> Answer:
    """Do the act to the state, in place; the answer it gives."""
    kind, name, *rest = act
    model = state.get(name)
    if kind == "create model":
        if model is not None:
            return _TAKEN
        empty: dict[str, list[int]] = {stage: [] for stage in GATED}
        state[name] = {"text": None, "tags": {}, "highest": 0, "versions": {}, "aliases": {}, "inside": empty}
        return ["ok", model_seen(state[name])]
    if model is None:
        return _MISSING
    match kind, rest:
        case "describe model", [text]:
            model["text"] = text
            return ["ok", model_seen(model)]
        case "rename model", [new]:
            if new != name and new in state:
                return _TAKEN
            state[new] = state.pop(name)
            return ["ok", model_seen(model)]
        case "delete model", []:
            del state[name]
        case "tag model", [key, value]:
            model["tags"][key] = value
        case "untag model", [key]:
            model["tags"].pop(key, None)
        case "create version", []:
            model["highest"] += 1
            model["versions"][str(model["highest"])] = {"stage": "None", "text": None, "tags": {}}
            return ["ok", version_seen(model, model["highest"])]
        case "get model", []:
            return ["ok", model_seen(model)]
        case "delete alias", [alias]:
            stage = next((stage for stage, bound in GATED.items() if bound == alias), None)
            if stage is not None and model["inside"][stage]:
                return _HELD
            model["aliases"].pop(alias, None)
        case "set alias", [alias, number]:
            return _set_alias(model, alias, number)
        case _:
            return _of_version(model, kind, rest)
    return ["ok", None]


def _of_version(model: State, kind: str, rest: list[Any]) -> Answer:
    number, *rest = rest
    version = model["versions"].get(str(number))
    if version is None:
        return _MISSING
    match kind, rest:
        case "describe version", [text]:
            version["text"] = text
        case "delete version", []:
            del model["versions"][str(number)]
            model["aliases"] = {alias: held for alias, held in model["aliases"].items() if held != number}
            if version["stage"] in GATED:
                _leave(model, number, version["stage"])
            return ["ok", None]
        case "tag version", [key, value]:
            version["tags"][key] = value
            return ["ok", None]
        case "untag version", [key]:
            version["tags"].pop(key, None)
            return ["ok", None]
        case "transition", [stage, archive]:
            _move(model, number, stage, archive=archive)
    return ["ok", version_seen(model, number)]


def _set_alias(model: State, alias: str, number: int) -> Answer:
    if str(number) not in model["versions"]:
        return _MISSING
    stage = next((stage for stage, bound in GATED.items() if bound == alias), None)
    if stage is None:
        model["aliases"][alias] = number
    else:
        _move(model, number, stage, archive=True)
    return ["ok", None]


def _move(model: State, number: int, stage: str, *, archive: bool) -> None:
    version, inside = model["versions"][str(number)], model["inside"].get(stage, [])
    if version["stage"] == stage and (stage not in GATED or (inside[-1] == number and not (archive and inside[1:]))):
        return
    if archive:
        for other in [other for other in inside if other != number]:
            model["versions"][str(other)]["stage"] = "Archived"
            inside.remove(other)
    left, version["stage"] = version["stage"], stage
    if left in GATED:
        _leave(model, number, left)
    if stage in GATED:
        inside.append(number)
        _follow(model, stage)


def _leave(model: State, number: int, stage: str) -> None:
    model["inside"][stage].remove(number)
    _follow(model, stage)


def _follow(model: State, stage: str) -> None:
    inside = model["inside"][stage]
    if inside:
        model["aliases"][GATED[stage]] = inside[-1]
    else:
        model["aliases"].pop(GATED[stage], None)


def version_seen(model: State, number: int) -> list[Any]:
    version = model["versions"][str(number)]
    aliases = sorted(alias for alias, held in model["aliases"].items() if held == number)
    return [number, version["stage"], version["text"], sorted(map(list, version["tags"].items())), aliases]


def model_seen(model: State) -> list[Any]:
    latest: dict[str, int] = {}
    for number, version in model["versions"].items():
        latest[version["stage"]] = max(int(number), latest.get(version["stage"], 0))
    aliases = sorted(map(list, model["aliases"].items()))
    return [model["text"], sorted(map(list, model["tags"].items())), aliases, sorted(map(list, latest.items()))]
