"""What a search understands beyond MLflow's grammar, and what becomes of tokens and filters that nobody made."""

from __future__ import annotations

import base64
import json
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from mlflow.exceptions import MlflowException

from lockgate.adapters.mlflow import grammar
from lockgate.adapters.mlflow.reading import Reading
from lockgate.adapters.sql.registry.reads import RegistryReads
from tests.integration.registry.native.content import T0, OurStore, Pair

ALL = 1_000
Row = Any  # a version as MLflow's entity
# a condition, and what it means
VERSIONS: dict[str, Callable[[Row], bool]] = {
    "current_stage = 'Production'": lambda row: row.current_stage == "Production",
    "stage != 'production'": lambda row: row.current_stage != "Production",
    "stage IN ('Staging', 'ARCHIVED')": lambda row: row.current_stage in ("Staging", "Archived"),
    "stage NOT IN ('None')": lambda row: row.current_stage != "None",
    f"creation_timestamp > {T0 + 1}": lambda row: row.creation_timestamp > T0 + 1,
    f"creation_timestamp = {T0}": lambda row: row.creation_timestamp == T0,
    f"last_updated_timestamp <= {T0 + 1}": lambda row: (row.last_updated_timestamp or T0 + 9) <= T0 + 1,
    f"attribute.last_updated_timestamp != {T0}": lambda row: row.last_updated_timestamp not in (T0, None),
    "aliases = 'champion'": lambda row: "champion" in row.aliases,
    "aliases != 'champion'": lambda row: "champion" not in row.aliases,
    "aliases LIKE 'C%'": lambda row: any(alias.startswith("C") for alias in row.aliases),
    "aliases ILIKE 'c%'": lambda row: any(alias.lower().startswith("c") for alias in row.aliases),
    "aliases IN ('a-1', 'champion')": lambda row: bool({"a-1", "champion"} & set(row.aliases)),
    "aliases NOT IN ('a-1', 'champion')": lambda row: not {"a-1", "champion"} & set(row.aliases),
    "user_id = 'ann'": lambda row: row.user_id == "ann",
    "user_id NOT IN ('ann')": lambda row: row.user_id not in ("ann", None),
    "name = 'fraud'": lambda row: row.name == "fraud",
    "name IN ('churn_1', 'x y')": lambda row: row.name in ("churn_1", "x y"),
    "version_number > 6": lambda row: row.version > 6,
    "tags.owner = 'ann'": lambda row: row.tags.get("owner") == "ann",
    "tags.owner != 'ann'": lambda row: row.tags.get("owner", "ann") != "ann",
    "run_id = 'r1'": lambda row: row.run_id == "r1",
    "name = 'it''s OR (not) AND'": lambda _row: False,
}
MODELS: dict[str, Callable[[Any], bool]] = {
    f"creation_timestamp >= {T0 + 3}": lambda row: row.creation_timestamp >= T0 + 3,
    f"last_updated_timestamp < {T0 + 2}": lambda row: (row.last_updated_timestamp or T0 + 9) < T0 + 2,
    "aliases = 'champion'": lambda row: "champion" in row.aliases,
    "aliases != 'champion'": lambda row: "champion" not in row.aliases,
    "name ILIKE 'F%'": lambda row: row.name.lower().startswith("f"),
    "tags.team = 'a'": lambda row: row.tags.get("team") == "a",
}
Tree = tuple[str, Callable[[Any], bool]]


def _trees(known: dict[str, Callable[[Any], bool]]) -> st.SearchStrategy[Tree]:
    """Conditions joined in every way, as they are written and as they are meant."""

    def joined(parts: st.SearchStrategy[Tree]) -> st.SearchStrategy[Tree]:
        def join(word: str, several: list[Tree]) -> Tree:
            decide = all if word == "AND" else any
            written = f" {word} ".join(f"({text})" for text, _ in several)
            return written, lambda row: decide(meant(row) for _, meant in several)

        return st.builds(join, st.sampled_from(["AND", "OR", "or"]), st.lists(parts, min_size=1, max_size=3))

    return st.recursive(st.sampled_from(sorted(known.items())), joined, max_leaves=6)


def test_versions_are_found_by_any_combination_of_conditions(filled: Pair, rounds: Callable[[int, int], int]) -> None:
    everything = list(filled.ours.search_model_versions(max_results=ALL))

    @settings(max_examples=rounds(40, 2_000))
    @given(_trees(VERSIONS), st.integers(1, 40))
    def holds(tree: Tree, size: int) -> None:
        written, meant = tree
        expected = [(row.name, row.version) for row in everything if meant(row)]
        assert _paged(filled.ours.search_model_versions, written, size, "version") == expected

    holds()


def test_models_are_found_by_any_combination_of_conditions(filled: Pair, rounds: Callable[[int, int], int]) -> None:
    everything = list(filled.ours.search_registered_models(max_results=ALL))

    @settings(max_examples=rounds(40, 2_000))
    @given(_trees(MODELS), st.integers(1, 12))
    def holds(tree: Tree, size: int) -> None:
        written, meant = tree
        expected = [(row.name, None) for row in everything if meant(row)]
        assert _paged(filled.ours.search_registered_models, written, size, "none") == expected

    holds()


def _paged(search: Callable[..., Any], written: str, size: int, number: str) -> list[tuple[str, int | None]]:
    found: list[tuple[str, int | None]] = []
    token = None
    while True:
        page = search(written, max_results=size, page_token=token)
        found += [(row.name, getattr(row, number, None)) for row in page]
        token = page.token
        if not token:
            return found


def _ask(written: str = "", order_by: list[str] | None = None, page_token: str | None = None) -> None:
    """Everything of a search that comes before the database."""
    reading = Reading(RegistryReads(sqlite=True), "sqlite")
    next(reading.search_versions("default", written, 5, order_by, page_token))


def test_and_binds_closer_than_or(filled: Pair) -> None:
    closer = "name = 'fraud' OR name = 'churn_1' AND version_number < 6"

    found = {(row.name, row.version) for row in filled.ours.search_model_versions(closer)}

    assert {name for name, _ in found} == {"fraud", "churn_1"}
    assert {number for name, number in found if name == "churn_1"} <= {1, 2, 3, 4, 5}


def test_versions_in_a_search_carry_their_aliases(filled: Pair) -> None:
    for row in filled.ours.search_model_versions():
        assert row.aliases == filled.ours.get_model_version(row.name, row.version).aliases


def test_prompts_are_found_by_or_when_they_are_asked_for(filled: Pair) -> None:
    asked = "tags.`mlflow.prompt.is_prompt` = 'true' AND (name = 'prompt-1' OR name = 'prompt-2')"
    not_asked = "name = 'prompt-1' OR name = 'fraud' OR tags.`mlflow.prompt.is_prompt` = 'maybe'"

    assert [row.name for row in filled.ours.search_registered_models(asked)] == ["prompt-1", "prompt-2"]
    assert not [row for row in filled.ours.search_registered_models(not_asked) if row.name.startswith("prompt")]


@pytest.mark.parametrize(
    "written",
    [
        "stage = 'nowhere'", "stage > 'None'", "stage LIKE 'P%'", "stage = 5", "creation_timestamp > 'x'",
        "creation_timestamp LIKE '1'", "creation_timestamp > 1.5", "aliases > 'a'", "aliases = 1", "user_id = ('a')",
        "user_id IN ('a', 1)",
    ],
)  # fmt: skip
def test_a_wrong_use_of_an_addition_is_explained(written: str) -> None:
    with pytest.raises(MlflowException) as refused:
        _ask(written)

    assert refused.value.error_code == "INVALID_PARAMETER_VALUE"
    assert refused.value.get_http_status_code() == 400


@pytest.mark.parametrize(
    ("written", "told"),
    [
        ("stage = 'nowhere'", "Invalid Model Version stage: nowhere"),
        ("name = 'a' OR stage IN ('None', 'nowhere')", "Invalid Model Version stage: nowhere"),
        (" OR ".join(["name = 'a'"] * 201), "more than 200 comparisons"),
    ],
)
def test_a_stage_that_is_none_and_a_filter_without_end_are_told_as_what_they_are(written: str, told: str) -> None:
    with pytest.raises(MlflowException, match=told) as refused:
        _ask(written)

    assert refused.value.get_http_status_code() == 400


@pytest.mark.parametrize(
    "written",
    [
        "name IS NULL", "name IN (fraud)", "(name = 'a'", "name = 'a')", "()", "name = 'a' OR", "OR name = 'a'",
        "name = 'a' AND OR name = 'b'", "(" * 40 + "name = 'a'" + ")" * 40, "NOT name = 'a'", "'",
        "name = 'a' OR 1 = 1", "name = 'a'; name = 'b'", "name = 'a' OR name = 'b'; x", "\x00", "ü",
        "name IN ('a' OR 'b')",
    ],
)  # fmt: skip
def test_what_is_no_filter_is_refused_and_not_a_failure(written: str) -> None:
    with pytest.raises(MlflowException) as refused:
        _ask(written)

    assert refused.value.get_http_status_code() == 400


@pytest.mark.parametrize("written", ["name\n", "'", "name DESC DESC", "", "`", "name,version_number", "(name)"])
def test_what_is_no_order_is_refused_and_not_a_failure(written: str) -> None:
    with pytest.raises(MlflowException) as refused:
        _ask(order_by=[written])

    assert refused.value.get_http_status_code() in (400, 500)  # MLflow's own code for a field named twice


def _token(told: object) -> str:
    return base64.b64encode(json.dumps(told).encode()).decode()


@pytest.mark.parametrize(
    "token",
    [
        "!", "abc", "ü", _token([]), _token(5), _token({}), _token({"offset": "x"}), _token({"offset": -3}),
        _token({"offset": 10**30}), _token({"offset": 3, "after": 5, "order": "-updated,name,-version"}),
        _token({"offset": 3, "after": [1, "a"], "order": "-updated,name,-version"}),
        _token({"offset": 3, "after": [1, "a", "b"], "order": "-updated,name,-version"}),
        _token({"offset": 3, "after": [True, "a", 1], "order": "-updated,name,-version"}),
        _token({"offset": 3, "after": [10**30, "a", 1], "order": "-updated,name,-version"}),
        _token({"offset": 3, "after": [1, None, 1], "order": "-updated,name,-version"}),
        _token({"offset": 3, "after": ["a", 1], "order": "name,-version"}),
    ],
)  # fmt: skip
def test_a_token_that_nobody_made_is_refused(token: str) -> None:
    with pytest.raises(MlflowException, match="Invalid page token") as refused:
        _ask(page_token=token)

    assert refused.value.error_code == "INVALID_PARAMETER_VALUE"


def test_a_token_is_of_use_for_another_filter_and_not_for_another_order(filled: Pair) -> None:
    first = filled.ours.search_model_versions(max_results=3)

    behind = filled.ours.search_model_versions("name = 'fraud'", page_token=first.token)
    with pytest.raises(MlflowException, match="another order"):
        filled.ours.search_model_versions(order_by=["name"], page_token=first.token)

    seen = {(row.name, row.version) for row in first}
    assert not seen & {(row.name, row.version) for row in behind}


def test_numbers_beyond_any_database_find_nothing(filled: Pair) -> None:
    huge = "9" * 30

    assert not filled.ours.search_model_versions(f"version_number = {huge} OR creation_timestamp > {huge}")
    assert filled.ours.search_model_versions(f"version_number < {huge}")
    with pytest.raises(MlflowException, match="not found"):
        filled.ours.get_model_version("fraud", huge)


def test_a_filter_is_understood_once() -> None:
    grammar._understood.cache_clear()

    for _ in range(3):
        grammar.condition("versions", "sqlite", "name = 'a' OR name = 'b'")

    assert grammar._understood.cache_info().hits == 2


def test_text_that_no_database_holds_finds_nothing_else(filled: Pair) -> None:
    """A NUL must not cut a name short: what follows it would be looked for in its place."""
    for name in ("fraud\x00", "fr\ud800"):
        with pytest.raises(Exception, match=r"not found|no Unicode"):
            _read(filled.ours, name)


def _read(store: OurStore, name: str) -> Any:
    return store.get_model_version(name, 1)
