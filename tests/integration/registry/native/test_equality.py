"""What is read is what MLflow itself reads: every row, every error, every page, in the same order."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st
from mlflow.exceptions import MlflowException

from lockgate.adapters.sql import mlflow_indexes
from tests.databases.backends import POSTGRESQL
from tests.integration.registry.native.content import NAMES, T0, Pair, plain

READS: list[tuple[str, tuple[Any, ...]]] = [
    *(("get_registered_model", (name,)) for name in (*NAMES, "nobody", "", "a/b", "..")),
    *(("get_latest_versions", (name,)) for name in (*NAMES, "nobody", "")),
    *(("get_latest_versions", ("fraud", stages)) for stages in ([], ["production"], ["None", "ARCHIVED"], ["x"])),
    ("get_latest_versions", ("nobody", ["x"])),
    *(("get_model_version", (name, number)) for name in NAMES for number in (1, 2, "3", "12", 99)),
    *(("get_model_version", ("fraud", number)) for number in ("", "x", "-1", " 3 ", "1.5", "9" * 9)),
    *(("get_model_version", (name, 1)) for name in ("", " ", "a:b")),
    *(
        ("get_model_version_by_alias", (name, alias))
        for name in (*NAMES, "nobody", "")
        for alias in ("champion", "Challenger", "a-1", "latest", "LATEST", "none-such", "", "v1", "a b")
    ),
    *(("get_model_version_download_uri", (name, number)) for name in NAMES for number in (1, "2", 3, 4)),
    ("get_model_version_download_uri", ("nobody", 1)),
    ("get_model_version_download_uri", ("fraud", "x")),
    *(("search_registered_models", ("", size)) for size in (1, 1000, 1001)),
    *(("search_model_versions", ("", size)) for size in (-1, 0, 1, 200_000, 200_001)),
]

VERSION_CONDITIONS = [
    "name = 'fraud'", 'name = "fraud"', "name != 'fraud'", "name LIKE 'churn_%'", "name LIKE 'churn%'",
    "name LIKE 'Fr%'", "name ILIKE 'FRA%'", "name IN ('fraud', 'churn_1')", "name NOT IN ('fraud')",
    "attribute.name = 'x y'",
    "name = 'ärger'", "name ILIKE 'ÄR%'", "version_number = 3", "version_number > '7'", "version_number <= 2",
    "version_number != 1", "version_number < 1.5", "version_number LIKE 'x'", "run_id = 'r1'", "run_id IN ('r1', 'r2')",
    "run_id != 'r1'", "source_path LIKE '%b/m'", "source_path = 'runs:/r/model'", "source_path IN ('a')",
    "tags.owner = 'ann'", "tag.owner != 'ann'", "tags.owner LIKE 'a%'", "tags.owner ILIKE 'A%'", "tags.`a b` = '1'",
    "tags.none = 'x'", "tags.owner IN ('a')", "tags.owner = ann", "tags.`mlflow.prompt.is_prompt` = 'true'",
    "tags.`mlflow.prompt.is_prompt` = 'false'", "tags.`mlflow.prompt.is_prompt` != 'true'",
    "tags.`mlflow.prompt.is_prompt` != 'False'", "colour = 'x'", "name > 'x'", "name", "name = 5", "nope.name = 'x'",
    "name IN ()", "current_stage.x = 'y'",
]  # fmt: skip
VERSION_ORDERS = [
    "name", "name DESC", "name ASC", "version_number", "version_number DESC", "creation_timestamp",
    "creation_timestamp DESC", "last_updated_timestamp", "last_updated_timestamp DESC", "`name` DESC", "colour",
    "name ASC ASC", "tags.owner", "name; drop",
]  # fmt: skip
MODEL_CONDITIONS = [
    "name = 'fraud'", "name != 'fraud'", "name LIKE 'churn_%'", "name ILIKE 'FRA%'", "name IN ('fraud', 'churn_1')",
    "name NOT IN ('fraud')", "tags.team = 'a'", "tags.team != 'a'", "tag.team LIKE 'a%'", "tags.team ILIKE 'A'",
    "tags.team IN ('a')", "tags.`mlflow.prompt.is_prompt` = 'true'", "tags.`mlflow.prompt.is_prompt` != 'true'",
    "colour = 'x'", "name > 'x'", "name = 5", "version_number = 1", "name ==",
]  # fmt: skip
MODEL_ORDERS = [
    "name", "name DESC", "timestamp", "timestamp DESC", "last_updated_timestamp", "last_updated_timestamp DESC",
    "creation_timestamp", "colour", "`name`",
]  # fmt: skip


def _wanted(conditions: list[str], orders: list[str]) -> st.SearchStrategy[dict[str, Any]]:
    return st.fixed_dictionaries(
        {
            "filter_string": st.lists(st.sampled_from(conditions), max_size=3).map(" AND ".join),
            "order_by": st.lists(st.sampled_from(orders), max_size=3),
            "max_results": st.sampled_from([1, 2, 3, 7, 50, 300]),
        }
    )


def _asked(store: Any, method: str, *args: Any, **kwargs: Any) -> Any:
    try:
        return plain(getattr(store, method)(*args, **kwargs))
    except MlflowException as error:
        return error.error_code, error.message


def test_each_read_answers_what_mlflow_answers(filled: Pair) -> None:
    # some lists MLflow leaves in the order in which an index gives them: the one it has without ours
    mlflow_indexes.drop(filled.database.engine)
    for method, args in READS:
        told, ours = _asked(filled.stock, method, *args), _asked(filled.ours, method, *args)
        if method == "search_model_versions" and isinstance(told, list):
            _without_aliases(ours)

        if filled.database.kind == POSTGRESQL:
            ours, told = _sorted(ours), _sorted(told)
            if method == "get_latest_versions" and isinstance(told, list):
                # its statement has no ORDER BY: the planner's counts decide whether rows come by index or as they lie
                ours, told = _by_stage(ours), _by_stage(told)
        assert ours == told, (method, args)


def test_every_page_of_a_search_for_versions_is_mlflows(filled: Pair, rounds: Callable[[int, int], int]) -> None:
    @settings(max_examples=rounds(40, 3_000))
    @given(_wanted(VERSION_CONDITIONS, VERSION_ORDERS), st.lists(st.booleans(), max_size=40))
    def holds(wanted: dict[str, Any], swaps: list[bool]) -> None:
        _same_pages(filled, "search_model_versions", wanted, swaps)

    holds()


def test_every_page_of_a_search_for_models_is_mlflows(filled: Pair, rounds: Callable[[int, int], int]) -> None:
    @settings(max_examples=rounds(40, 3_000))
    @given(_wanted(MODEL_CONDITIONS, MODEL_ORDERS), st.lists(st.booleans(), max_size=40))
    def holds(wanted: dict[str, Any], swaps: list[bool]) -> None:
        _same_pages(filled, "search_registered_models", wanted, swaps)

    holds()


def _same_pages(both: Pair, method: str, wanted: dict[str, Any], swaps: list[bool]) -> None:
    """Page through both; where `swaps` says so, go on from the token that MLflow made for this page."""
    told_token: Any = None
    our_token: Any = None
    for swap in [*swaps, False]:
        refused = _refusal(both.stock, method, {**wanted, "page_token": told_token})
        if refused is not None:
            assert _refusal(both.ours, method, {**wanted, "page_token": our_token}) == refused
            return
        told = getattr(both.stock, method)(**wanted, page_token=told_token)
        ours = getattr(both.ours, method)(**wanted, page_token=our_token)
        found = plain(list(ours))
        if method == "search_model_versions":
            _without_aliases(found)
        assert _sorted(found) == _sorted(plain(list(told)))
        assert bool(ours.token) == bool(told.token)
        if not told.token:
            return
        told_token, our_token = told.token, told.token if swap else ours.token


def _refusal(store: Any, method: str, asked: dict[str, Any]) -> tuple[str, str] | None:
    try:
        getattr(store, method)(**asked)
    except MlflowException as error:
        return error.error_code, error.message
    return None


def _sorted(found: Any) -> Any:
    """What was found, with what MLflow leaves in any order sorted within each row."""
    for row in found if isinstance(found, list) else [found]:
        if isinstance(row, dict):
            for name, key in (("_latest_version", "_current_stage"), ("_aliases", None)):
                if isinstance(row.get(name), list):
                    row[name].sort(key=lambda each, key=key: each[key] if key else each)
    return found


def _by_stage(versions: list[dict[str, Any]]) -> list[dict[str, Any]]:
    return sorted(versions, key=lambda version: version["_current_stage"])


def _without_aliases(versions: Any) -> None:
    # MLflow's search leaves them out, which users asked for in vain; the additions have tests of their own
    for version in versions:
        version["_aliases"] = []


def test_a_stock_server_understands_our_tokens(filled: Pair) -> None:
    first = filled.ours.search_model_versions(max_results=5)

    told = filled.stock.search_model_versions(max_results=5, page_token=first.token)
    ours = plain(list(filled.ours.search_model_versions(max_results=5, page_token=first.token)))

    _without_aliases(ours)
    assert ours == plain(list(told))


def test_a_page_is_not_moved_by_what_is_written_before_it(filled: Pair) -> None:
    first = filled.ours.search_model_versions(max_results=5, order_by=["creation_timestamp DESC"])
    rest = filled.ours.search_model_versions(
        max_results=500, order_by=["creation_timestamp DESC"], page_token=first.token
    )
    with filled.database.engine.begin() as connection:
        connection.exec_driver_sql(f"UPDATE model_versions SET creation_time = {T0 + 999} WHERE name = 'a''b'")

    again = filled.ours.search_model_versions(
        max_results=500, order_by=["creation_timestamp DESC"], page_token=first.token
    )

    assert plain(list(again)) == [row for row in plain(list(rest)) if row["_name"] != "a'b"]
