"""The same requests to stock MLflow 3.17.2 and to Lockgate have the same answers, but for what is meant to differ."""

from __future__ import annotations

import json
import re
from base64 import b64encode
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.databases.backends import POSTGRESQL, SQLITE
from tests.databases.postgres import Postgres
from tests.databases.templates import Template
from tests.integration.differential.allowed import DIFFERENCES, Asked, explained
from tests.integration.differential.pair import Answer, Databases, Pair, Request, pair
from tests.integration.differential.stories import JSON, PREFIXES, get, post, story

PAGE = Path(__file__).resolve().parents[3] / "docs" / "reference" / "differences.md"
LENGTH = 20  # requests of one story
SEEDS = {SQLITE: 3, POSTGRESQL: 4}
MOST_SHOWN = 8
MARK = {"key": "mlflow.prompt.is_prompt", "value": "true"}


@pytest.fixture(scope="module", params=[SQLITE, POSTGRESQL])
def both(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Pair]:
    databases = Databases(request.param)
    if request.param == POSTGRESQL:
        postgres: Postgres = request.getfixturevalue("postgres")
        databases = Databases(request.param, postgres.fresh(Template.MLFLOW), postgres.fresh(Template.STARTED))
    with pair(tmp_path_factory.mktemp("differential"), databases) as ready:
        yield ready


@pytest.mark.timeout(3600)  # the full number of rounds takes minutes; what hangs is ended by the limit of each request
def test_every_answer_is_stocks_own_or_differs_as_the_list_says(both, rounds):
    most = rounds(1_500 if both.kind == SQLITE else 400, 20_000)
    asked, found = 0, list[str]()
    number = 0
    while asked < most and len(found) < MOST_SHOWN:
        number += 1
        both.begin_story()
        past = list[Request]()
        for request in story(number, SEEDS[both.kind], LENGTH):
            stock, ours = both.ask(request)
            asked += 1
            past.append(request)
            known = stock == ours or explained(Asked(request, past, both.kind), stock, ours)
            if not known and _only_about(number, stock):
                found.append(_told(number, past, stock, ours))
            if stock.status != ours.status and request.method != "GET" and 200 in (stock.status, ours.status):
                break  # from here on the two hold different things
    print(f"{asked} requests in {number} stories")
    assert not found, "\n\n".join(found)


def test_pages_follow_one_another_as_stocks_do_whatever_the_order(both):
    both.begin_story()
    for number in range(23):
        name = f"paged-{number % 10}-{'ABCab'[number % 5]}-{number}"
        _same(both, post("registered-models/create", name=name, tags=[{"key": "odd", "value": str(number % 2)}]))
        for _ in range(number % 3):
            _same(both, post("model-versions/create", name=name, source="s3://bucket/model"))
    for order in ([], ["name DESC"], ["last_updated_timestamp DESC"], ["timestamp ASC", "name DESC"]):
        for wanted in ("name LIKE 'paged-%'", "name ILIKE 'PAGED-%a%'", "name LIKE 'paged-%' AND tags.odd = '1'"):
            _same_pages(
                both, get("registered-models/search", filter=wanted, max_results=4, order_by=order, page_token=...)
            )
    for order in (
        [],
        ["name ASC"],
        ["version_number DESC"],
        ["creation_timestamp ASC"],
        ["last_updated_timestamp", "name DESC"],
    ):
        for wanted in ("name LIKE 'paged-%'", "version_number > 1 AND name LIKE 'paged-%'"):
            _same_pages(
                both, get("model-versions/search", filter=wanted, max_results=5, order_by=order, page_token=...)
            )


def test_an_artifact_of_a_version_is_the_same(both):
    both.begin_story()
    _same(both, post("registered-models/create", name="with-artifacts"))
    source = "mlflow-artifacts:/0/{run}/artifacts/model"
    _same(both, post("model-versions/create", name="with-artifacts", source=source, run_id="{run}"))
    of_it = "name=with-artifacts&version=1"
    for query in (
        *(
            of_it,
            f"{of_it}&path=MLmodel",
            f"{of_it}&path=nothing",
            f"{of_it}&path=../../x",
            f"{of_it}&path=/etc/passwd",
        ),
        *("name=with-artifacts&version=9&path=MLmodel", "name=with-artifacts&version=x&path=MLmodel"),
        *("name=nobody&version=1&path=MLmodel", "path=MLmodel", ""),
    ):
        _same(both, Request("GET", "/model-versions/get-artifact", query))


def test_prompts_live_the_same_life(both):
    both.begin_story()
    text = {"key": "mlflow.prompt.text", "value": "Say {{word}}."}
    _same(both, post("registered-models/create", name="prompt", tags=[MARK, {"key": "team", "value": "risk"}]))
    for _ in range(3):
        _same(both, post("model-versions/create", name="prompt", source="prompt-template", tags=[MARK, text]))
    _same(both, post("model-versions/create", name="prompt", source="s3://bucket/model", tags=[MARK, text]))
    _same(both, post("registered-models/alias", name="prompt", alias="production", version="2"))
    _same(both, post("registered-models/set-tag", name="prompt", key="team", value="cards"))
    _same(both, post("model-versions/set-tag", name="prompt", version="1", key="note", value="first"))
    for request in (
        get("registered-models/get", name="prompt"),
        get("registered-models/alias", name="prompt", alias="production"),
        get("model-versions/get", name="prompt", version="1"),
        get("registered-models/search", filter="name LIKE 'prom%' AND tags.`mlflow.prompt.is_prompt` = 'true'"),
        get("registered-models/search", filter="name LIKE 'prom%'"),
        get("model-versions/search", filter="name = 'prompt' AND tags.`mlflow.prompt.is_prompt` = 'true'"),
        get("model-versions/search", filter="name = 'prompt'"),
        get("registered-models/get-latest-versions", name="prompt"),
        Request("DELETE", f"{PREFIXES[0]}model-versions/delete", "", b'{"name": "prompt", "version": "2"}', JSON),
        get("registered-models/get", name="prompt"),
        Request("DELETE", f"{PREFIXES[0]}registered-models/delete", "", b'{"name": "prompt"}', JSON),
        get("registered-models/get", name="prompt"),
    ):
        _same(both, request)


def test_each_difference_of_the_list_is_there(both):
    both.begin_story()
    seen, past = set[str](), list[Request]()
    for request in _differing():
        seen |= set(explained(Asked(request, past, both.kind), *both.ask(request)))
        past.append(request)
    expected = {difference.name for difference in DIFFERENCES if both.kind in difference.on}
    assert expected - seen == set(), "nobody needs these any more"


def test_the_page_of_differences_has_each_of_the_list():
    written = set(re.findall(r"^## (.+)$", PAGE.read_text(encoding="utf-8"), re.MULTILINE))
    assert written == {difference.name for difference in DIFFERENCES}


# --- asking and telling -----------------------------------------------------------------------------------------------


def _same(both: Pair, request: Request) -> None:
    stock, ours = both.ask(request)
    assert stock == ours or explained(Asked(request, (), both.kind), stock, ours), _told(0, [request], stock, ours)


def _same_pages(both: Pair, request: Request) -> None:
    theirs, ours = both.pages(request)
    for number, (first, second) in enumerate(zip(theirs, ours, strict=True)):
        known = first == second or explained(Asked(request, (), both.kind), first, second)
        assert known, _told(number, [request], first, second)


def _only_about(number: int, answer: Answer) -> bool:
    """A search that finds other stories' models shows what an earlier story left different."""
    return all(name.startswith(f"s{number}-") for name in _names(answer.body))


def _names(body: Any) -> Iterable[str]:
    found = [*body.get("registered_models", ()), *body.get("model_versions", ())] if isinstance(body, dict) else []
    return [each["name"] for each in found]


def _told(number: int, past: list[Request], stock: Answer, ours: Answer) -> str:
    before = "\n  ".join(str(request)[:300] for request in past[:-1][-12:])
    return f"story {number}\n  {before}\n-> {past[-1]}\n   stock {stock}\n   ours  {ours}"


def _differing() -> Iterator[Request]:
    """A request for each difference of the list."""
    yield post("registered-models/create", name="differing")
    yield post("model-versions/create", name="differing", source="s3://bucket/model")
    yield Request("POST", f"{PREFIXES[0]}registered-models/create", "", b"[]", JSON)
    yield get("model-versions/search", filter="version_number = 9999999999999999999999")
    yield get("registered-models/search", max_results=-1)
    yield post("registered-models/create", name="differing")
    yield post("registered-models/create", name="differing-too")
    yield post("registered-models/rename", name="differing-too", new_name="differing")
    named = (*JSON, ("Authorization", "Basic " + b64encode(b"ann:x").decode()))
    version = b'{"name": "differing", "source": "s3://bucket/model"}'
    yield Request("POST", f"{PREFIXES[0]}model-versions/create", "", version, named)
    yield Request("PUT", f"{PREFIXES[0]}registered-models/create", "", b"{}", JSON)
    yield post("registered-models/alias", name="differing", alias="mine", version="1")
    yield get("model-versions/search", filter="name = 'differing'")
    yield get("model-versions/search", filter="(name = 'differing' OR run_id = 'x') AND current_stage = 'None'")
    yield post("model-versions/transition-stage", name="differing", version="1", stage="Staging")
    yield post("registered-models/create", name="differing-later")
    yield post("model-versions/transition-stage", name="differing", version="2", stage="None")
    yield get("registered-models/search", filter="name LIKE 'differing%'", order_by=["last_updated_timestamp"])
    yield post("registered-models/create", name="differing-prompt", tags=[MARK])
    yield post("model-versions/create", name="differing-prompt", source="prompt-template", tags=[MARK])
    yield post("model-versions/transition-stage", name="differing-prompt", version="1", stage="Staging")
    yield get("registered-models/search", max_results="1.0")
    described = json.dumps({"name": "differing", "description": "x" * 6_000}).encode()
    yield Request("PATCH", f"{PREFIXES[0]}registered-models/update", "", described, JSON)
    yield get("model-versions/get", name="differing", version=str(2**31))
    yield post(
        "model-versions/transition-stage",
        name="differing", version="1", stage="Production", archive_existing_versions=True,
    )  # fmt: skip
    # last, since only stock obeys
    yield post("model-versions/set-tag", name="differing", version="1", key="staging_timestamp", value="x")
