"""How MLflow hands a request's rows to a model: as a data frame or an array, of which types, under which names."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from mlflow.pyfunc import PyFuncModel

_NUMBERS = {"double": "float64", "float": "float32", "long": "int64", "integer": "int32"}


@dataclass(frozen=True, slots=True)
class Inputs:
    """The rows a model takes. `types` are numpy's names of the columns' types: none where nothing enforces them."""

    features: int
    frames: bool
    arrays: bool
    columns: tuple[str, ...] | None
    types: tuple[str, ...] = ()

    @property
    def whole(self) -> tuple[int, ...]:
        """The columns that hold whole numbers only."""
        return tuple(place for place, kind in enumerate(self.types) if kind.startswith("int"))

    @property
    def single(self) -> bool:
        """All numbers are float32."""
        return bool(self.types) and set(self.types) == {"float32"}


def inputs_of(model: PyFuncModel, features: int | None, names: tuple[str, ...] | None) -> Inputs | None:
    """What a loaded model takes, or None where it is no matrix of numbers.

    `features` and `names` are what the model itself knows about its columns.
    """
    schema = model.metadata.get_input_schema()
    if model.metadata.get_params_schema() is not None:
        return None
    if schema is None:
        return Inputs(features, frames=True, arrays=True, columns=names) if features else None
    if schema.is_tensor_spec():
        return _tensor(schema, features)
    if not schema.has_input_names():
        return None
    types = tuple(_NUMBERS.get(getattr(column.type, "name", ""), "") for column in schema.inputs)
    if not all(types) or not all(column.required for column in schema.inputs):
        return None
    if features is not None and features != len(types):
        return None
    return Inputs(len(types), frames=True, arrays=False, columns=tuple(schema.input_names()), types=types)


def _tensor(schema: Any, features: int | None) -> Inputs | None:
    """One unnamed tensor of rows: MLflow makes an array of everything that is sent."""
    if schema.has_input_names() or len(schema.inputs) != 1:
        return None
    shape, kind = tuple(schema.inputs[0].shape), str(schema.inputs[0].type)
    if len(shape) != 2 or shape[0] != -1 or shape[1] < 1 or kind not in ("float64", "float32"):
        return None
    if features is not None and features != shape[1]:
        return None
    return Inputs(shape[1], frames=False, arrays=True, columns=None, types=(kind,) * shape[1])


def as_sent(model: PyFuncModel, inputs: Inputs, rows: Any, *, frame: bool, integers: bool = False) -> Any:
    """These rows as MLflow's scoring code hands them to `predict`, after they came as JSON.

    `integers` writes whole numbers without a point.
    """
    from mlflow.pyfunc.scoring_server import _parse_json_data

    told = [[_number(value, whole) for value, whole in zip(row, _whole(inputs, integers), strict=True)] for row in rows]
    if frame:
        names = inputs.columns or tuple(f"column {place}" for place in range(inputs.features))
        body: dict[str, Any] = {"dataframe_split": {"columns": names, "data": told}}
    else:
        body = {"inputs": told}
    return _parse_json_data(json.dumps(body), model.metadata, model.metadata.get_input_schema()).data


def _whole(inputs: Inputs, integers: bool) -> list[bool]:
    return [integers or place in inputs.whole for place in range(inputs.features)]


def _number(value: Any, whole: bool) -> float | int:
    return int(value) if whole else float(value)
