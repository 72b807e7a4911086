"""The requests of each cell, and what a right answer to each says. The same for both sides."""

from __future__ import annotations

import itertools
import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote, urlencode

from benchmarks.registry import content
from benchmarks.registry.content import READ_ONLY, SIDE_BY_SIDE

API = "/api/2.0/mlflow/"
PAGE = 100
Told = dict[str, Any]
Check = Callable[[Told], object]  # what is wrong with the answer; nothing (falsy) when it is right
_CHANGED = SIDE_BY_SIDE.models - READ_ONLY  # models that writes go to; 37 and their number have no common divisor
DIFFERENT = 400  # as many different requests a reading cell goes round in


@dataclass(frozen=True, slots=True)
class Shot:
    """One request. A reading one may be asked again, and must then be answered the same."""

    request: bytes
    check: Check
    repeats: bool = True


def get(path: str, check: Check, **query: Any) -> Shot:
    return Shot(_request("GET", f"{API}{path}?{urlencode(query, quote_via=quote)}", b""), check)


def send(path: str, check: Check, *, method: str = "POST", repeats: bool = False, **body: Any) -> Shot:
    return Shot(_request(method, f"{API}{path}", json.dumps(body).encode()), check, repeats)


def _request(method: str, target: str, body: bytes) -> bytes:
    head = f"{method} {target} HTTP/1.1\r\nHost: localhost\r\nAccept: */*\r\n"
    if body:
        head += f"Content-Type: application/json\r\nContent-Length: {len(body)}\r\n"
    return head.encode() + b"\r\n" + body


# --- what a right answer says -----------------------------------------------------------------------------------------


def pairs(rows: Any) -> dict[str, str]:
    return {row["key"]: row["value"] for row in rows or ()}


def differs(seen: object, expected: object) -> str:
    return "" if seen == expected else f"{seen!r} instead of {expected!r}"


def version_is(name: str, version: int, versions: int) -> Check:
    expected = (name, str(version), content.stage(version, versions), content.source(name, version))

    def check(told: Told) -> object:
        row = told["model_version"]
        seen = (row["name"], row["version"], row["current_stage"], row["source"])
        return differs(seen, expected) or differs(pairs(row["tags"]), content.version_tags(name, version))

    return check


def latest_are(versions: int) -> Check:
    expected = {content.stage(v, versions): str(v) for v in range(1, versions + 1)}

    def check(told: Told) -> object:
        return differs({row["current_stage"]: row["version"] for row in told["model_versions"]}, expected)

    return check


def model_is(name: str, versions: int) -> Check:
    expected = {content.stage(v, versions): str(v) for v in range(1, versions + 1)}

    def check(told: Told) -> object:
        row = told["registered_model"]
        return (
            differs(row["name"], name)
            or differs(pairs(row["tags"]), content.model_tags(name))
            or differs({one["current_stage"]: one["version"] for one in row["latest_versions"]}, expected)
            or differs({one["alias"]: int(one["version"]) for one in row["aliases"]}, content.aliases(versions))
        )

    return check


def page_is(first: int) -> Check:
    expected = [content.model_name(first + n) for n in range(PAGE)]

    def check(told: Told) -> object:
        rows = told["registered_models"]
        return (
            differs([row["name"] for row in rows], expected)
            or next((wrong for row in rows if (wrong := differs(len(row["latest_versions"]), 4))), "")
            or differs(bool(told.get("next_page_token")), True)
        )

    return check


def versions_are(name: str, versions: int) -> Check:
    def check(told: Told) -> object:
        rows = told["model_versions"]
        return differs([row["version"] for row in rows], [str(v) for v in range(versions, 0, -1)]) or next(
            (
                wrong
                for row in rows
                if (wrong := differs(pairs(row["tags"]), content.version_tags(name, int(row["version"]))))
            ),
            "",
        )

    return check


def nothing(told: Told) -> object:
    return differs(told, {})


# --- cells ------------------------------------------------------------------------------------------------------------


def _reads(make: Callable[[str, int], Shot]) -> Callable[[int], Iterator[Shot]]:
    """Round and round over models that nobody changes, spread over the whole table."""

    def shots(start: int) -> Iterator[Shot]:
        versions = SIDE_BY_SIDE.versions
        names = [content.model_name(number * 7 % READ_ONLY) for number in range(DIFFERENT)]
        made = [make(name, number % versions + 1) for number, name in enumerate(names)]
        return itertools.islice(itertools.cycle(made), start % DIFFERENT, None)

    return shots


def _writes(make: Callable[[int, str, int], Shot]) -> Callable[[int], Iterator[Shot]]:
    """A new request each time, over the models that are there to be changed: number, model and version."""

    def shots(start: int) -> Iterator[Shot]:
        for number in itertools.count(start):
            model = READ_ONLY + number * 37 % _CHANGED
            yield make(number, content.model_name(model), number // _CHANGED % SIDE_BY_SIDE.versions + 1)

    return shots


def _moved(*stages: str) -> Callable[[int, str, int], Shot]:
    """Each version to the first of two stages, and to the second a lap later, so that every request is a real move."""

    def make(number: int, name: str, _version: int) -> Shot:
        lap = number // _CHANGED
        version, stage = str(lap // len(stages) % SIDE_BY_SIDE.versions + 1), stages[lap % len(stages)]

        def check(told: Told) -> object:
            row = told["model_version"]
            return differs((row["name"], row["version"], row["current_stage"]), (name, version, stage))

        told: dict[str, Any] = {"name": name, "version": version, "stage": stage, "archive_existing_versions": False}
        return send("model-versions/transition-stage", check, **told)

    return make


def _created(number: int, name: str, _version: int) -> Shot:
    def check(told: Told) -> object:
        row = told["model_version"]
        return differs((row["name"], row["current_stage"]), (name, "None")) or differs(int(row["version"]) > 10, True)

    tags = [{"key": key, "value": value} for key, value in content.version_tags(name, number).items()]
    source = content.source(name, number + 1_000)
    return send("model-versions/create", check, name=name, source=source, run_id=content.run_id(name), tags=tags)


def _new_model(number: int, _name: str, _version: int) -> Shot:
    name = f"zz-new-{number}"
    tags = [{"key": key, "value": value} for key, value in content.model_tags(name).items()]
    return send(
        "registered-models/create", lambda told: differs(told["registered_model"]["name"], name), name=name, tags=tags
    )


_WIDE = content.wide_name(10_000)


def _wide_tag(number: int, _name: str, _version: int) -> Shot:
    return send("registered-models/set-tag", nothing, name=_WIDE, key="note", value=f"value {number}")


def _wide_version_tag(number: int, _name: str, _version: int) -> Shot:
    version = str(number * 7919 % 10_000 + 1)
    return send("model-versions/set-tag", nothing, name=_WIDE, version=version, key="note", value=f"value {number}")


def _searches(start: int) -> Iterator[Shot]:
    # only the first page can be asked for without knowing a page token, and each side makes its own
    shot = get("registered-models/search", page_is(0), max_results=PAGE)
    return itertools.islice(itertools.repeat(shot), start % DIFFERENT, None)


def _of_model(name: str) -> str:
    return f"name='{name}'"


_N = SIDE_BY_SIDE.versions
SHOTS: dict[str, Callable[[int], Iterator[Shot]]] = {
    "get version": _reads(lambda n, v: get("model-versions/get", version_is(n, v, _N), name=n, version=v)),
    "get by alias": _reads(
        lambda n, _: get(
            "registered-models/alias", version_is(n, content.aliases(_N)["champion"], _N), name=n, alias="champion"
        )
    ),
    "latest versions": _reads(
        lambda n, _: send("registered-models/get-latest-versions", latest_are(_N), repeats=True, name=n)
    ),
    "get model": _reads(lambda n, _: get("registered-models/get", model_is(n, _N), name=n)),
    "search models, 100 a page": _searches,
    "search versions by name": _reads(
        lambda n, _: get("model-versions/search", versions_are(n, _N), filter=_of_model(n), max_results=PAGE)
    ),
    "download URI": _reads(
        lambda n, v: get(
            "model-versions/get-download-uri",
            lambda told: differs(told["artifact_uri"], content.source(n, v)),
            name=n,
            version=v,
        )
    ),
    "latest versions, 1 x 10,000": lambda start: itertools.islice(
        itertools.repeat(send("registered-models/get-latest-versions", latest_are(10_000), repeats=True, name=_WIDE)),
        start,
        None,
    ),
    "set model tag, 1 x 10,000": _writes(_wide_tag),
    "set version tag, 1 x 10,000": _writes(_wide_version_tag),
    "transition to Production, Staging": _writes(_moved("Production", "Staging")),
    "transition to None, Archived": _writes(_moved("None", "Archived")),
    "create version": _writes(_created),
    "create model": _writes(_new_model),
    "set model tag": _writes(
        lambda i, n, _: send("registered-models/set-tag", nothing, name=n, key="note", value=f"value {i}")
    ),
    "set version tag": _writes(
        lambda i, n, v: send("model-versions/set-tag", nothing, name=n, version=str(v), key="note", value=f"value {i}")
    ),
}
