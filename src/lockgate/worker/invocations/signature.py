"""What a model's signature says about a row of numbers: how many columns, called what, of which JSON values."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Any

import numpy as np
from msgspec import Meta

from lockgate.worker.engines.engine import Engine

if TYPE_CHECKING:
    from mlflow.models import Model

# up to here every integer has a float64 of its own, so that it is the same number in a matrix
_MOST = 2**53
_WHOLE = Annotated[int, Meta(ge=-_MOST, le=_MOST)]
# MLflow's types and the JSON values that become exactly one number of them. A null is NaN in a column of floats; what
# else MLflow would take (a text with a number in it, 1.7 for an integer) is left to MLflow.
_VALUES: dict[str, Any] = {
    "double": float | None,
    "float64": float | None,
    "float": Annotated[float, Meta(ge=-_MOST, le=_MOST)] | None,
    "float32": Annotated[float, Meta(ge=-_MOST, le=_MOST)] | None,
    "long": _WHOLE,
    "int64": _WHOLE,
    "integer": Annotated[int, Meta(ge=-(2**31), le=2**31 - 1)],
    "int32": Annotated[int, Meta(ge=-(2**31), le=2**31 - 1)],
    "boolean": bool,
}
_FITTING: dict[str, Callable[[float], float]] = {
    "long": int,
    "int64": int,
    "integer": int,
    "int32": int,
    "boolean": lambda value: value > 0,
}
_SINGLE = ("float", "float32")
_UNSIGNED = _WHOLE | float


@dataclass(frozen=True)
class Columns:
    """The columns of a row in the model's order.

    `values` are the types of JSON values that may stand in each. `names` is None when nothing in a request is matched
    with a name. `signed` is False for a model without a signature: then MLflow hands on what it gets. `settle` makes
    of a float64 matrix the numbers that MLflow would have made of the same JSON. `kinds` are MLflow's types.
    """

    values: tuple[Any, ...]
    names: tuple[str, ...] | None
    signed: bool
    settle: Callable[[Any], Any]
    kinds: tuple[str, ...] = ()

    @property
    def uniform(self) -> bool:
        """Whether every column takes the same values, so that their order does not matter to the reader of JSON."""
        return len(set(self.values)) == 1

    def fitting(self, row: Sequence[float]) -> list[float]:
        """The numbers of a row as JSON values that the signature takes."""
        if not self.kinds:
            return list(row)
        return [_FITTING.get(kind, float)(value) for kind, value in zip(self.kinds, row, strict=True)]


def columns_of(metadata: Model, engine: Engine) -> Columns | None:
    """The columns of a model whose rows fit in a matrix of the engine, or None when they do not."""
    schema = metadata.get_input_schema()
    if metadata._is_signature_from_type_hint():
        return None
    if schema is None:
        return Columns((_UNSIGNED,) * engine.features, engine.accepts.columns, signed=False, settle=_as_it_is)
    kinds = _kinds(schema, engine.features)
    if kinds is None or any(kind not in _VALUES for kind in kinds):
        return None
    named = tuple(schema.input_names()) if schema.has_input_names() else None
    return Columns(
        tuple(_VALUES[kind] for kind in kinds), named, signed=True, settle=_settling(kinds), kinds=tuple(kinds)
    )


def _kinds(schema: Any, features: int) -> list[str] | None:
    """MLflow's name of each column's type, None when the signature does not speak of so many numbers in a row."""
    if schema.is_tensor_spec():
        only = schema.inputs[0]
        if len(schema.inputs) != 1 or schema.has_input_names() or tuple(only.shape) not in ((-1, features), (-1, -1)):
            return None
        return [str(only.type)] * features
    if len(schema.inputs) != features:
        return None
    return [getattr(spec.type, "name", "?") for spec in schema.inputs]


def _settling(kinds: list[str]) -> Callable[[Any], Any]:
    single = [at for at, kind in enumerate(kinds) if kind in _SINGLE]
    if not single:
        return _as_it_is
    if len(single) == len(kinds):
        return lambda matrix: matrix.astype(np.float32).astype(np.float64)

    def settle(matrix: Any) -> Any:
        matrix[:, single] = matrix[:, single].astype(np.float32)
        return matrix

    return settle


def _as_it_is(matrix: Any) -> Any:
    return matrix
