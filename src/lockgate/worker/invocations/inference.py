"""The Open Inference Protocol v2 in JSON: tensors in, tensors out, with MLflow's scoring protocol in between.

https://github.com/kserve/open-inference-protocol/blob/main/specification/protocol/inference_rest.md
"""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import msgspec
import numpy as np
import orjson

from lockgate.worker.http.messages import Answer

ONLY_INPUT = "input"
ONLY_OUTPUT = "predict"
_WHOLE = ("INT8", "INT16", "INT32", "INT64", "UINT8", "UINT16", "UINT32", "UINT64")
_FLOATS = ("FP16", "FP32", "FP64")
_DATATYPES = ("BOOL", *_WHOLE, *_FLOATS, "BYTES")
_OF_MLFLOW = {
    "double": "FP64", "float64": "FP64", "float": "FP32", "float32": "FP32", "float16": "FP16", "long": "INT64",
    "integer": "INT32", "boolean": "BOOL", "bool": "BOOL", "string": "BYTES", "binary": "BYTES", "datetime": "BYTES",
    **{kind.lower(): kind for kind in _WHOLE},
}  # fmt: skip


class Tensor(msgspec.Struct):
    """One input tensor as it was sent; `data` is flat or nested."""

    name: str
    shape: list[int]
    datatype: str
    data: list[Any]
    parameters: dict[str, Any] = {}


class _Output(msgspec.Struct):
    name: str
    parameters: dict[str, Any] = {}


class Inference(msgspec.Struct):
    """An inference request."""

    inputs: list[Tensor]
    id: str | None = None
    parameters: dict[str, Any] = {}
    outputs: list[_Output] = []


class Unfit(ValueError):
    """The request cannot be made one for this model; the text is for a person."""


@dataclass(frozen=True)
class Takes:
    """What a model's signature says of its inputs and outputs, as name, datatype and shape.

    `tensors`: the signature is of tensors, so each input is handed on in its shape. `params` are the names of its
    parameters.
    """

    inputs: tuple[tuple[str, str, tuple[int, ...]], ...]
    outputs: tuple[tuple[str, str, tuple[int, ...]], ...]
    tensors: bool = False
    named: bool = False
    params: frozenset[str] = frozenset()

    @classmethod
    def of(cls, metadata: Any, features: int | None) -> Takes:
        """Read it from MLflow's description of a model. `features`: so many numbers a row, where nothing is said."""
        schema, answers = metadata.get_input_schema(), metadata.get_output_schema()
        params = metadata.get_params_schema()
        inputs = _told(schema, ONLY_INPUT)
        if schema is None and features is not None:
            inputs = ((ONLY_INPUT, "FP64", (-1, features)),)
        return cls(
            inputs,
            _told(answers, ONLY_OUTPUT),
            tensors=schema is not None and schema.is_tensor_spec(),
            named=schema is not None and schema.has_input_names(),
            params=frozenset() if params is None else frozenset(spec.name for spec in params.params),
        )


def translated(body: bytes, takes: Takes) -> tuple[Inference, bytes] | Unfit:
    """A request and the same one in MLflow's scoring protocol, or what is wrong with it."""
    try:
        asked = parsed(body)
        return asked, scoring_body(asked, takes)
    except Unfit as error:
        return error


def parsed(body: bytes) -> Inference:
    """Read a request. Raises Unfit with what is wrong with it."""
    try:
        asked = msgspec.json.decode(body, type=Inference)
    except (ValueError, RecursionError) as error:
        raise Unfit(f"This is no inference request in JSON: {error}.") from None
    if not asked.inputs:
        raise Unfit("`inputs` is empty: send at least one tensor.")
    names = [tensor.name for tensor in asked.inputs]
    if len(set(names)) != len(names):
        raise Unfit("Two inputs have one name.")
    return asked


def scoring_body(asked: Inference, takes: Takes) -> bytes:
    """The same request in MLflow's scoring protocol. Raises Unfit with what is wrong with it."""
    arrays = {tensor.name: _array(tensor) for tensor in asked.inputs}
    told: dict[str, Any] = _document(arrays, takes)
    params = {name: value for name, value in asked.parameters.items() if name in takes.params}
    if params:
        told["params"] = params
    try:
        return orjson.dumps(told)
    except (TypeError, ValueError):  # a whole number of more than 64 bits
        return json.dumps(told).encode()


def inferred(answer: Answer, asked: Inference, takes: Takes, model: str, version: int) -> Answer:
    """MLflow's answer as one of this protocol, an error too."""
    try:
        told = json.loads(answer.body)
    except ValueError:
        told = {"message": answer.body.decode("utf-8", "replace")}
    if answer.status != 200:
        message = told.get("message", told) if isinstance(told, dict) else told
        return problem(answer.status, str(message), *answer.headers)
    outputs = _outputs(told["predictions"] if isinstance(told, dict) and "predictions" in told else told, takes)
    wanted = [output.name for output in asked.outputs]
    if unknown := [name for name in wanted if name not in outputs]:
        return problem(400, f"There is no output {unknown[0]!r}. There is: {', '.join(outputs)}.")
    whole: dict[str, Any] = {"model_name": model, "model_version": str(version)}
    if asked.id is not None:
        whole["id"] = asked.id
    whole["outputs"] = [tensor for name, tensor in outputs.items() if not wanted or name in wanted]
    return Answer(200, json.dumps(whole).encode(), rows=answer.rows)


def description(takes: Takes, model: str, version: int, platform: str) -> bytes:
    """The model's metadata as JSON."""
    told = {
        "name": model,
        "versions": [str(version)],
        "platform": platform,
        "inputs": [_metadata(*tensor) for tensor in takes.inputs],
        "outputs": [_metadata(*tensor) for tensor in takes.outputs],
    }
    return json.dumps(told).encode()


def problem(status: int, message: str, *headers: tuple[bytes, bytes]) -> Answer:
    """An error in the form of this protocol."""
    return Answer(status, json.dumps({"error": message}).encode(), headers=headers)


def _told(schema: Any, only: str) -> tuple[tuple[str, str, tuple[int, ...]], ...]:
    if schema is None:
        return ()
    several = len(schema.inputs) > 1
    described = []
    for at, spec in enumerate(schema.inputs):
        kind = str(spec.type) if schema.is_tensor_spec() else getattr(spec.type, "name", "")
        shape = tuple(spec.shape) if schema.is_tensor_spec() else (-1,)
        name = spec.name or (f"{only}-{at}" if several else only)
        described.append((str(name), _OF_MLFLOW.get(kind, "BYTES"), shape))
    return tuple(described)


def _metadata(name: str, datatype: str, shape: Sequence[int]) -> dict[str, Any]:
    return {"name": name, "datatype": datatype, "shape": list(shape)}


def _document(arrays: dict[str, list[Any]], takes: Takes) -> dict[str, Any]:
    if takes.tensors:
        return {"inputs": arrays if takes.named else _only(arrays)}
    if takes.named:
        names = [name for name, _, _ in takes.inputs]
        if len(arrays) == 1 and next(iter(arrays)) not in names:
            # one tensor for all columns, in the model's order
            return {"dataframe_split": {"columns": names, "data": _table(_only(arrays))}}
        return {"inputs": {name: _column(name, array) for name, array in arrays.items()}}
    if len(arrays) == 1:
        return {"inputs": _only(arrays)}
    columns = [_column(name, array) for name, array in arrays.items()]
    if len({len(column) for column in columns}) > 1:
        raise Unfit("The inputs have different numbers of rows.")
    return {"dataframe_split": {"columns": list(arrays), "data": [list(row) for row in zip(*columns, strict=True)]}}


def _only(arrays: dict[str, list[Any]]) -> list[Any]:
    if len(arrays) != 1:
        raise Unfit(f"This model takes one tensor, and {len(arrays)} were sent: {', '.join(arrays)}.")
    return next(iter(arrays.values()))


def _table(array: list[Any]) -> list[Any]:
    if not all(isinstance(row, list) for row in array):
        raise Unfit("One tensor for all columns has the shape [rows, columns].")
    return array


def _column(name: str, array: list[Any]) -> list[Any]:
    """A tensor [n] or [n, 1] as the values of one column."""
    if all(isinstance(value, list) and len(value) == 1 and not isinstance(value[0], list) for value in array):
        return [value[0] for value in array]
    if any(isinstance(value, list) for value in array):
        raise Unfit(f"The input {name!r} is one column: its shape is [rows] or [rows, 1].")
    return array


def _array(tensor: Tensor) -> list[Any]:
    """The tensor's values as nested lists of its shape."""
    if tensor.datatype not in _DATATYPES:
        raise Unfit(f"Input {tensor.name!r}: {tensor.datatype!r} is no datatype. Use one of {', '.join(_DATATYPES)}.")
    if not tensor.shape or any(size < 0 for size in tensor.shape):
        raise Unfit(f"Input {tensor.name!r}: a shape is a list of one or more numbers of 0 or more.")
    flat = _flat(tensor.data)
    if math.prod(tensor.shape) != len(flat):
        told = f"its shape {tensor.shape} wants {math.prod(tensor.shape)} values, and {len(flat)} were sent"
        raise Unfit(f"Input {tensor.name!r}: {told}.")
    return _nested([_value(tensor, value) for value in flat], tensor.shape)


def _flat(data: list[Any]) -> list[Any]:
    while any(isinstance(value, list) for value in data):
        data = [inner for value in data for inner in (value if isinstance(value, list) else [value])]
    return data


def _nested(flat: list[Any], shape: list[int]) -> list[Any]:
    for size in reversed(shape[1:]):
        flat = [flat[at : at + size] for at in range(0, len(flat), size)] if size else []
    return flat


def _value(tensor: Tensor, value: Any) -> Any:
    datatype, kind = tensor.datatype, type(value)
    if datatype == "BOOL":
        fits = kind is bool
    elif datatype == "BYTES":
        fits = kind is str
    elif datatype in _FLOATS:
        fits = kind is float or kind is int
    else:
        fits = kind is int and _in_range(datatype, value)
    if not fits:
        raise Unfit(f"Input {tensor.name!r}: {str(value)[:50]!r} is not of the datatype {datatype}.")
    if datatype == "FP64":
        return float(value)
    if datatype in _FLOATS:
        with np.errstate(over="ignore"):
            return float((np.float32 if datatype == "FP32" else np.float16)(value))
    return value


def _in_range(datatype: str, value: int) -> bool:
    bits = int(datatype.lstrip("UINT"))
    low, high = (0, 2**bits) if datatype.startswith("U") else (-(2 ** (bits - 1)), 2 ** (bits - 1))
    return low <= value < high


def _outputs(predictions: Any, takes: Takes) -> dict[str, dict[str, Any]]:
    """The predictions as tensors by their names."""
    if isinstance(predictions, dict):
        return {name: _tensor(name, values) for name, values in predictions.items()}
    if not isinstance(predictions, list):
        predictions = [predictions]
    if predictions and all(isinstance(row, dict) and row.keys() == predictions[0].keys() for row in predictions):
        return {str(name): _tensor(str(name), [row[name] for row in predictions]) for name in predictions[0]}
    name = takes.outputs[0][0] if len(takes.outputs) == 1 else ONLY_OUTPUT
    return {name: _tensor(name, predictions)}


def _tensor(name: str, values: Any) -> dict[str, Any]:
    values = values if isinstance(values, list) else [values]
    shape = _shape(values)
    flat = _flat(values) if len(shape) > 1 else values
    kinds = {type(value) for value in flat}
    if kinds <= {bool} and flat:
        datatype = "BOOL"
    elif kinds <= {int} and all(-(2**63) <= value < 2**63 for value in flat):
        datatype = "INT64"
    elif kinds <= {int, float}:
        datatype, flat = "FP64", [float(value) for value in flat]
    elif kinds <= {str}:
        datatype = "BYTES"
    else:
        # what is no tensor is told as the JSON it is
        datatype, shape, flat = "BYTES", [len(values)], [json.dumps(value) for value in values]
    return {"name": name, "datatype": datatype, "shape": shape, "data": flat}


def _shape(values: list[Any]) -> list[int]:
    """The shape of nested lists, only as deep as they are alike."""
    shape = [len(values)]
    while values and all(isinstance(value, list) and len(value) == len(values[0]) for value in values):
        shape.append(len(values[0]))
        values = [inner for value in values for inner in value]
    return shape
