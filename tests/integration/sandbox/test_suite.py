"""The tests of the suite and the choice of input rows, on real models loaded in this process."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from lockgate.worker.examine_formats import formats_for
from lockgate.worker.examine_inputs import NoRows, Rows, rows_for
from lockgate.worker.examine_suite import Subject, inference_test, latency_test, schema_test
from lockgate.worker.invocations.exact import Scorer

pytestmark = [
    # MLflow and the libraries it loads warn about one another
    pytest.mark.filterwarnings("ignore"),
]

Load = Callable[[str], Any]


@pytest.fixture
def load(models: Path, monkeypatch: pytest.MonkeyPatch) -> Load:
    monkeypatch.setenv("MLFLOW_DISABLE_TELEMETRY", "true")
    import mlflow.pyfunc

    return lambda name: mlflow.pyfunc.load_model(str(models / name))


@pytest.fixture
def subject(load: Load, models: Path, sample: Path) -> Callable[..., Subject]:
    def build(name: str, **more: Any) -> Subject:
        model = load(name)
        return Subject(model, rows_for(model, models / name, str(sample)), latency_limit_ms=5000.0, **more)

    return build


def test_the_input_example_comes_before_the_sample(load: Load, models: Path, sample: Path) -> None:
    rows = rows_for(load("complete"), models / "complete", str(sample))

    assert (rows.source, rows.count) == ("input_example", 3)


def test_the_sample_comes_before_the_feature_count(load: Load, models: Path, sample: Path) -> None:
    rows = rows_for(load("bare"), models / "bare", str(sample))

    assert (rows.source, rows.count) == ("sample", 2)
    assert list(rows.data.columns) == ["age", "income", "debt"]


@pytest.mark.parametrize(
    "told",
    [
        {"dataframe_split": {"columns": ["age", "income", "debt"], "data": [[1.0, 2.0, 3.0], [4.0, 5.0, 6.0]]}},
        {"dataframe_records": [{"age": 1.0, "income": 2.0, "debt": 3.0}] * 2},
        {"inputs": [[1.0, 2.0, 3.0], [4.0, 5.0, 6.0]]},
        {"instances": [[1.0, 2.0, 3.0], [4.0, 5.0, 6.0]]},
    ],
)
def test_a_json_sample_is_any_of_the_scoring_formats(
    load: Load, models: Path, tmp_path: Path, told: dict[str, Any]
) -> None:
    path = tmp_path / "sample.json"
    path.write_text(json.dumps(told))

    rows = rows_for(load("bare"), models / "bare", str(path))

    assert rows.source == "sample"
    assert rows.count == 2 or isinstance(rows.data, list)


def test_without_either_the_native_models_feature_count_gives_plausible_rows(load: Load, models: Path) -> None:
    bare = rows_for(load("bare"), models / "bare", None)
    signed = rows_for(load("signed"), models / "signed", None)

    assert (bare.source, bare.data.shape) == ("feature_count", (3, 3))
    assert (signed.source, list(signed.data.columns)) == ("feature_count", ["age", "income", "debt"])


@pytest.mark.parametrize(
    ("name", "content", "because"),
    [
        ("gone.csv", None, "gone.csv cannot be read"),
        ("sample.parquet", b"x", "is neither .csv nor .json"),
        ("sample.csv", b"\xff\xfe\x00", "sample.csv cannot be read"),
        ("sample.csv", b"", "is not in a format of MLflow's scoring protocol that fits this model"),
        ("sample.csv", b"age,income,debt\n", "sample.csv holds no rows"),
        ("sample.json", b'{"dataframe_split": {"columns": ["age"', "is not in a format of MLflow's scoring protocol"),
        ("sample.json", b"[[1, 2, 3]]", "Received a list"),
        ("sample.json", b'{"rows": [[1, 2, 3]]}', "is not in a format of MLflow's scoring protocol"),
    ],
)
def test_a_sample_that_cannot_be_used_says_why_and_what_to_do(
    load: Load, models: Path, tmp_path: Path, name: str, content: bytes | None, because: str
) -> None:
    path = tmp_path / name
    if content is not None:
        path.write_bytes(content)

    with pytest.raises(NoRows) as refused:
        rows_for(load("bare"), models / "bare", str(path))

    assert because in str(refused.value)
    assert str(refused.value).endswith("log it with input_example=…")


def test_a_model_of_texts_without_an_example_asks_for_one(load: Load, models: Path) -> None:
    with pytest.raises(NoRows, match=r"does not tell how many features it takes: log it with input_example=…$"):
        rows_for(load("words"), models / "words", None)


def test_a_damaged_input_example_is_said_and_not_passed_over(load: Load, models: Path, tmp_path: Path) -> None:
    import mlflow.pyfunc

    folder = tmp_path / "damaged"
    shutil.copytree(models / "complete", folder)
    (folder / "serving_input_example.json").write_text("{")

    with pytest.raises(NoRows, match=r"^the model's input example cannot be read"):
        rows_for(mlflow.pyfunc.load_model(str(folder)), folder, None)


def test_of_many_rows_only_a_hundred_are_taken(load: Load, models: Path, tmp_path: Path) -> None:
    path = tmp_path / "many.csv"
    path.write_text("age,income,debt\n" + "1.0,2.0,3.0\n" * 500)

    assert rows_for(load("bare"), models / "bare", str(path)).count == 100


def test_a_missing_signature_is_a_warning_unless_the_policy_requires_one(subject: Callable[..., Subject]) -> None:
    lenient, strict = schema_test(subject("bare")), schema_test(subject("bare", require_signature=True))

    assert lenient.passed
    assert lenient.warnings == ("no signature: log it with signature= or input_example=",)
    assert not strict.passed
    assert strict.because == "no signature: log it with signature= or input_example="


def test_rows_that_do_not_fit_the_signature_fail_the_schema_test(load: Load) -> None:
    import pandas as pd

    found = schema_test(Subject(load("complete"), Rows("sample", pd.DataFrame({"age": [1.0], "wealth": [2.0]}))))

    assert not found.passed
    assert found.because.startswith("the input rows (sample) do not fit the signature: Model is missing inputs")


def test_predictions_that_do_not_fit_the_signature_fail_the_schema_test(subject: Callable[..., Subject]) -> None:
    found = schema_test(subject("misdeclared"))

    assert not found.passed
    assert found.because.startswith("the predictions do not fit the signature: ")


@pytest.mark.parametrize("name", ["complete", "signed", "labelled", "tensor", "columns"])
def test_rows_and_predictions_of_an_honest_model_fit_its_signature(subject: Callable[..., Subject], name: str) -> None:
    found = schema_test(subject(name))

    assert found.passed, found.because
    assert found.warnings == ()


@pytest.mark.parametrize(
    ("name", "because"),
    [
        ("stingy", "1 prediction for 2 rows"),
        ("nothing", "2 of the predicted values are missing, NaN or infinite: [nan, nan]"),
        ("dice", "two predictions on the same rows differ: "),
        ("unspeakable", "the predictions cannot be written as JSON (list: "),
    ],
)
def test_predictions_that_nobody_could_use_fail_the_inference_test(
    subject: Callable[..., Subject], name: str, because: str
) -> None:
    found = inference_test(subject(name))

    assert not found.passed
    assert found.because.startswith(because)


def test_a_slow_model_fails_the_latency_test_with_both_numbers(subject: Callable[..., Subject]) -> None:
    slow = subject("snail")
    slow.latency_limit_ms = 10.0

    found = latency_test(slow)

    assert not found.passed
    assert found.measured["p95_ms"] > found.measured["limit_ms"] == 10.0
    assert "the limit is 10 ms: make the model faster, or raise validation.latency_limit" in found.because
    # it sleeps, as a model that waits for a busy machine does
    assert found.measured["cpu_p95_ms"] < found.measured["p95_ms"]


def test_without_rows_each_test_that_needs_some_fails_with_the_reason(load: Load) -> None:
    subject = Subject(load("words"), None, no_rows="nothing to try it with: log it with input_example=…")

    for test in (schema_test, inference_test, latency_test):
        found = test(subject)
        assert not found.passed
        assert found.because == "nothing to try it with: log it with input_example=…"


def test_a_format_is_left_out_only_when_mlflow_itself_cannot_carry_the_rows_in_it(
    subject: Callable[..., Subject],
) -> None:
    carried = {}
    for name in ("complete", "tensor", "bare", "columns"):
        tried = subject(name)
        assert tried.rows is not None
        formats = formats_for(tried.rows, Scorer(tried.model), tried.answer())
        carried[name] = [body.name for body in formats.carried]
        assert len(formats.carried) + len(formats.left_out) == 5

    everything = ["dataframe_split", "dataframe_records", "instances", "inputs", "csv"]
    assert carried["complete"] == everything
    assert carried["bare"] == everything
    assert "inputs" in carried["tensor"]
    assert {"dataframe_split", "dataframe_records", "csv"} <= set(carried["columns"])
