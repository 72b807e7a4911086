"""The Open Inference Protocol gives what MLflow's scoring protocol gives, as tensors."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path
from typing import Any

import pytest

from lockgate.worker.http.messages import Answer, Request
from lockgate.worker.invocations.served import Served
from tests.integration.scoring.subjects import make_subject
from tests.integration.scoring.watcher import Watcher

ROWS = [[0.5, -1.25, 2.0], [3.0, 0.125, -4.5]]
FLAT = [value for row in ROWS for value in row]


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("inference")


@pytest.fixture(scope="module")
def signed(home: Path) -> Served:
    return Served.load(make_subject("signed", home).config(), Watcher())


@pytest.fixture(scope="module")
def named(home: Path) -> Served:
    return Served.load(make_subject("named", home).config(), Watcher())


@pytest.fixture(scope="module")
def tensor(home: Path) -> Served:
    return Served.load(make_subject("tensor", home).config(), Watcher())


@pytest.fixture(scope="module")
def custom(home: Path) -> Served:
    return Served.load(make_subject("custom", home).config(), Watcher())


def ask(served: Served, told: Any, *headers: tuple[bytes, bytes], invoke: bool = False) -> tuple[int, Any]:
    """One request and its parsed answer."""

    async def scene() -> Answer:
        answer: asyncio.Future[Answer] = asyncio.get_running_loop().create_future()
        body = told if isinstance(told, bytes) else json.dumps(told).encode()
        request = Request(b"POST", b"/", b"", list(headers), body, b"application/json")
        (served.invoke if invoke else served.infer)(request, answer.set_result)
        return await answer

    answer = asyncio.run(scene())
    return answer.status, json.loads(answer.body)


def one(name: str, data: list[Any], *, shape: list[int] | None = None, datatype: str = "FP64") -> dict[str, Any]:
    return {"name": name, "shape": shape or [2, 3], "datatype": datatype, "data": data}


@pytest.mark.parametrize("data", [FLAT, ROWS])
def test_one_tensor_of_all_columns_is_predicted(signed: Served, data: list[Any]) -> None:
    expected = ask(signed, {"dataframe_split": {"columns": ["a", "b", "c"], "data": ROWS}}, invoke=True)[1]
    status, told = ask(signed, {"id": "7", "inputs": [one("x", data)]})
    assert status == 200
    assert told == {
        "model_name": "signed",
        "model_version": "1",
        "id": "7",
        "outputs": [{"name": "predict", "datatype": "INT64", "shape": [2], "data": expected["predictions"]}],
    }


def test_a_tensor_for_each_column_is_predicted_in_any_order(signed: Served) -> None:
    inputs = [one(name, [row["abc".index(name)] for row in ROWS], shape=[2, 1]) for name in "cab"]
    assert ask(signed, {"inputs": inputs}) == ask(signed, {"inputs": [one("x", ROWS)]})


def test_texts_and_an_array_of_answers_are_tensors_too(named: Served, tensor: Served) -> None:
    output = ask(named, {"inputs": [one("x", ROWS)]})[1]["outputs"][0]
    assert (output["datatype"], output["shape"]) == ("BYTES", [2])
    assert set(output["data"]) <= {"no", "yés"}
    output = ask(tensor, {"inputs": [one("x", ROWS, datatype="FP32")]})[1]["outputs"][0]
    assert (output["datatype"], output["shape"]) == ("FP64", [2])


def test_parameters_that_the_signature_names_reach_the_model(custom: Served) -> None:
    asked = {"parameters": {"times": 3, "other": 1}, "inputs": [one("x", [1.0, 2.0], shape=[1, 2])]}
    assert ask(custom, asked)[1]["outputs"][0]["data"] == [9.0]


def test_only_the_outputs_asked_for_are_given(signed: Served) -> None:
    asked = {"inputs": [one("x", ROWS)], "outputs": [{"name": "other"}]}
    status, told = ask(signed, asked)
    assert status == 400
    assert "There is: predict" in told["error"]


@pytest.mark.parametrize(
    ("told", "because"),
    [
        (b"{", "no inference request"),
        ({}, "inputs"),
        ({"inputs": []}, "empty"),
        ({"inputs": [one("x", FLAT[:5])]}, "wants 6 values, and 5 were sent"),
        ({"inputs": [one("x", FLAT, datatype="FP128")]}, "no datatype"),
        ({"inputs": [one("x", FLAT, datatype="INT64")]}, "'0.5' is not of the datatype INT64"),
        ({"inputs": [one("x", [300] * 6, datatype="UINT8")]}, "not of the datatype UINT8"),
        ({"inputs": [one("x", FLAT, shape=[-1, 3])]}, "shape"),
        ({"inputs": [one("x", FLAT, shape=[6])]}, "[rows, columns]"),
        ({"inputs": [one("x", FLAT), one("x", FLAT)]}, "one name"),
        ({"inputs": [one("a", ROWS), one("b", ROWS), one("c", ROWS)]}, "one column"),
        ({"inputs": [one("x", [1.0, 2.0], shape=[1, 2])]}, "columns"),
    ],
)
def test_what_is_wrong_is_said_in_the_protocols_form(signed: Served, told: Any, because: str) -> None:
    status, answer = ask(signed, told)
    assert (status, list(answer)) == (400, ["error"])
    assert because in answer["error"]


def test_binary_tensors_are_refused(signed: Served) -> None:
    status, told = ask(signed, {"inputs": []}, (b"inference-header-content-length", b"10"))
    assert status == 400
    assert "JSON" in told["error"]


def test_the_metadata_is_the_signature(signed: Served, tensor: Served) -> None:
    told = json.loads(signed.describe().body)
    assert (told["name"], told["versions"], told["platform"]) == ("signed", ["1"], "mlflow_sklearn")
    assert told["inputs"] == [{"name": name, "datatype": "FP64", "shape": [-1]} for name in "abc"]
    assert told["outputs"] == [{"name": "predict", "datatype": "INT64", "shape": [-1]}]
    assert json.loads(tensor.describe().body)["inputs"] == [{"name": "input", "datatype": "FP32", "shape": [-1, 3]}]
