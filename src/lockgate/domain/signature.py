"""What a model takes and gives, as MLflow's signature states it: read from the plain form that stands in MLmodel."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

from lockgate.domain.errors import BadInput

MOST_FIELDS = 200_000
DEEPEST = 32
_PARTS = ("inputs", "outputs", "params")


@dataclass(frozen=True, slots=True)
class Scalar:
    """A type that is compared as a whole, by MLflow's name for it."""

    name: str

    def __str__(self) -> str:
        return self.name


@dataclass(frozen=True, slots=True)
class Tensor:
    """A tensor; -1 in its shape is any length."""

    dtype: str
    shape: tuple[int, ...]

    def __str__(self) -> str:
        return f"tensor {self.dtype} {list(self.shape)}"


@dataclass(frozen=True, slots=True)
class Many:
    """Any number of one type: an array, or a map from names."""

    kind: str
    of: Type

    def __str__(self) -> str:
        return f"{self.kind} of {self.of}"


@dataclass(frozen=True, slots=True)
class Record:
    """An object with named properties, in the order of their names."""

    fields: tuple[Field, ...]

    def __str__(self) -> str:
        return "object"


Type: TypeAlias = Scalar | Tensor | Many | Record


@dataclass(frozen=True, slots=True)
class Field:
    """One column, tensor, property or parameter. Without a `name` it is told by its place.

    `default` is a parameter's, as JSON.
    """

    name: str | None
    type: Type
    required: bool = True
    default: str = ""


@dataclass(frozen=True, slots=True)
class Signature:
    """What goes in, what comes out, and the parameters, which can all be left out. None: not stated."""

    inputs: tuple[Field, ...] | None = None
    outputs: tuple[Field, ...] | None = None
    params: tuple[Field, ...] = ()

    @property
    def is_empty(self) -> bool:
        """Whether it states nothing, as a model without a signature does."""
        return self.inputs is None and self.outputs is None and not self.params


def signature_of(plain: object) -> Signature | None:
    """The signature that MLmodel's `signature` says, None where it has none.

    Each part is a list, or the JSON text of one. Raises BadInput for what is no signature.
    """
    if plain is None:
        return None
    if not isinstance(plain, Mapping):
        raise _no_signature("it is no map")
    inputs, outputs, params = (_part(plain.get(part), part) for part in _PARTS)
    found = Signature(
        None if inputs is None else _fields(inputs),
        None if outputs is None else _fields(outputs),
        tuple(sorted((_param(each) for each in params or ()), key=lambda field: field.name or "")),
    )
    return None if found.is_empty else found


def text_of(plain: Mapping[str, Any]) -> str:
    """The JSON text that is kept of a signature: `signature_of` of what it says is the same. Raises BadInput."""
    parts = {part: found for part in _PARTS if (found := _part(plain.get(part), part)) is not None}
    return json.dumps(parts, sort_keys=True, separators=(",", ":"))


def signature_from(text: str | None) -> Signature | None:
    """The signature in a text that `text_of` wrote, None for none."""
    return None if text is None else signature_of(json.loads(text))


def _part(told: object, part: str) -> Sequence[Any] | None:
    if isinstance(told, str):
        try:
            told = json.loads(told)
        except (ValueError, RecursionError):
            raise _no_signature(f"its {part} are not JSON") from None
    if told is None:
        return None
    if not isinstance(told, list):
        raise _no_signature(f"its {part} are no list")
    if len(told) > MOST_FIELDS:
        raise _no_signature(f"it has more than {MOST_FIELDS:,} {part}")
    return told


def _fields(told: Sequence[Any]) -> tuple[Field, ...]:
    return tuple(_field(each) for each in told)


def _field(told: Any) -> Field:
    plain = _map(told)
    name = plain.get("name")
    if name is not None and not isinstance(name, str):
        raise _no_signature("a name in it is no text")
    return Field(name, _type(plain, DEEPEST), _is_required(plain))


def _param(told: Any) -> Field:
    plain = _map(told)
    name, shape = plain.get("name"), plain.get("shape")
    if not isinstance(name, str):
        raise _no_signature("a parameter in it has no name")
    of = _type(plain, DEEPEST)
    kind: Type = of if shape is None else Many("array", of)
    return Field(name, kind, required=False, default=json.dumps(plain.get("default"), sort_keys=True))


def _type(plain: Mapping[str, Any], depth: int) -> Type:
    """The type that a map with the key `type` says; what is not taken apart here is one as a whole."""
    if depth == 0:
        raise _no_signature(f"its types are more than {DEEPEST} deep")
    named = plain.get("type")
    match named:
        case "tensor":
            return _tensor(_map(plain.get("tensor-spec")))
        case "array" if isinstance(plain.get("items"), Mapping):
            return Many("array", _type(plain["items"], depth - 1))
        case "map" if isinstance(plain.get("values"), Mapping):
            return Many("map", _type(plain["values"], depth - 1))
        case "object" if isinstance(plain.get("properties"), Mapping):
            told = {str(name): _map(each) for name, each in plain["properties"].items()}
            return Record(tuple(Field(n, _type(p, depth - 1), _is_required(p)) for n, p in sorted(told.items())))
        case str():
            rest = {key: plain[key] for key in ("items", "values", "properties") if key in plain}
            return Scalar(f"{named} {json.dumps(rest, sort_keys=True)}" if rest else named)
    raise _no_signature("a type in it has no name")


def _tensor(plain: Mapping[str, Any]) -> Tensor:
    dtype, shape = plain.get("dtype"), plain.get("shape")
    if not isinstance(dtype, str) or not isinstance(shape, list) or not all(type(each) is int for each in shape):
        raise _no_signature("a tensor in it has no dtype or no shape")
    return Tensor(dtype, tuple(shape))


def _is_required(plain: Mapping[str, Any]) -> bool:
    # models that older releases of MLflow logged say `optional`
    return plain.get("required", plain.get("optional") is not True) is not False


def _map(told: object) -> Mapping[str, Any]:
    if not isinstance(told, Mapping):
        raise _no_signature("a part of it is no map")
    return told


def _no_signature(because: str) -> BadInput:
    return BadInput(f"The signature in MLmodel is none that MLflow writes: {because}.", hint="Log the model again.")
