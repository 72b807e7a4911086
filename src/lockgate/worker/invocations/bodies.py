"""Reading a JSON body of MLflow's scoring protocol straight into rows of numbers, where that is exact.

What is read here is what MLflow would have read. Everything else, and everything that is wrong, is not read at all:
MLflow's own code answers it. So a body is never refused here.
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Sequence
from enum import Enum
from functools import lru_cache
from itertools import chain
from operator import itemgetter
from typing import Any

import msgspec
import numpy as np
from msgspec import UNSET, Struct, UnsetType

from lockgate.worker.invocations.signature import Columns

Rows = Sequence[tuple[float | None, ...]]
_FEW = 2  # rows that numpy has made an array of before anything else could
_MOST_LAYOUTS = 64
_LONGEST_LAYOUT = 64 * 1024  # letters in the names of all columns together


class Form(Enum):
    """The ways of MLflow's scoring protocol to write down rows."""

    SPLIT = "dataframe_split"
    BARE_SPLIT = "dataframe_split without columns"
    RECORDS = "dataframe_records"
    INPUT_ROWS = "inputs, a list of rows"
    INPUT_RECORDS = "inputs, a list of records"
    INPUT_COLUMNS = "inputs, a list for each column"
    INSTANCE_ROWS = "instances, a list of rows"
    INSTANCE_RECORDS = "instances, a list of records"
    INSTANCE_COLUMNS = "instances, a list for each column"

    __hash__ = object.__hash__  # looked up with every request; an enumeration's own hashes its name, in Python


# what MLflow makes a data frame of, before it looks at the signature: its columns lie one after the other in memory
FRAMES = frozenset({Form.SPLIT, Form.BARE_SPLIT, Form.RECORDS})


class Bodies:
    """Reads the bodies that requests for one model have.

    Where not `integers`, a body of a model without a signature that has nothing but whole numbers is not read: the
    model would not get floats.
    """

    def __init__(self, columns: Columns, *, params_are_ignored: bool, integers: bool = True) -> None:
        self._columns = columns
        self._integers = integers or columns.signed
        self._decode = msgspec.json.Decoder(_body_type(columns, params_are_ignored)).decode
        self._names = None if columns.names is None else list(columns.names)
        self._layouts: dict[tuple[str | int, ...], tuple[Form, Callable[[Rows], Rows]]] = {}

    def read(self, body: bytes) -> tuple[Form, Rows] | None:
        """The form of a body and its rows, columns in the model's order, or None: it is for MLflow's own code."""
        try:
            found = self._found(self._decode(body))
        except (ValueError, TypeError, RecursionError):  # what msgspec raises are ValueErrors
            return None
        if found is None or self._integers or not all(type(value) is int for row in found[1] for value in row):
            return found
        return None

    def _found(self, told: Any) -> tuple[Form, Rows] | None:
        inputs, split = told.inputs, told.dataframe_split
        if inputs is not UNSET:
            if told.instances is UNSET and split is UNSET and told.dataframe_records is UNSET:
                return _tensor(inputs, Form.INPUT_ROWS, Form.INPUT_RECORDS, Form.INPUT_COLUMNS)
        elif split is not UNSET:
            if told.instances is UNSET and told.dataframe_records is UNSET:
                return self._split(split)
        elif told.dataframe_records is not UNSET:
            if told.instances is UNSET and told.dataframe_records:
                return self._records(told.dataframe_records)
        elif told.instances is not UNSET:
            return _tensor(told.instances, Form.INSTANCE_ROWS, Form.INSTANCE_RECORDS, Form.INSTANCE_COLUMNS)
        return None

    def _split(self, split: Any) -> tuple[Form, Rows] | None:
        rows: Rows = split.data
        if not rows or (split.index is not UNSET and len(split.index) != len(rows)):
            return None
        columns = split.columns
        if columns is UNSET:
            return Form.BARE_SPLIT, rows
        if columns == self._names:
            return Form.SPLIT, rows
        layout = tuple(columns)
        arrangement = self._layouts.get(layout)
        if arrangement is None:
            arrangement = self._arrangement(layout)
            if arrangement is None:
                return None
            if len(self._layouts) >= _MOST_LAYOUTS:
                del self._layouts[next(iter(self._layouts))]
            self._layouts[layout] = arrangement
        return arrangement[0], arrangement[1](rows)

    def _arrangement(self, layout: tuple[str | int, ...]) -> tuple[Form, Callable[[Rows], Rows]] | None:
        """How rows whose columns come in this order are put in the model's, None when that is not ours to do."""
        columns = self._columns
        if layout == tuple(range(len(columns.values))):
            return Form.BARE_SPLIT, _as_they_are  # a data frame without names gets the same ones
        if len(set(layout)) != len(columns.values) or len(layout) != len(columns.values):
            return None
        if sum(len(str(name)) for name in layout) > _LONGEST_LAYOUT:
            return None  # it would be remembered
        if columns.names is None:
            # nobody looks at the names, but without a signature a data frame treats other keys than text on its own
            plain = columns.signed or all(isinstance(name, str) for name in layout)
            return (Form.SPLIT, _as_they_are) if plain else None
        if not columns.signed or not columns.uniform or set(layout) != set(columns.names):
            return None
        pick = itemgetter(*(layout.index(name) for name in columns.names))
        return Form.SPLIT, lambda rows: [pick(row) for row in rows]

    def _records(self, records: list[Any]) -> tuple[Form, Rows] | None:
        if self._columns.signed:
            return Form.RECORDS, [_astuple(record) for record in records]
        # without a signature the columns of the data frame stand in the order of the keys, and that may be wrong
        names = self._columns.names or tuple(records[0])
        if len(names) != len(self._columns.values) or any(tuple(record) != names for record in records):
            return None
        return Form.RECORDS, [tuple(record.values()) for record in records]


def matrix_of(rows: Rows, features: int, *, fortran: bool = False) -> Any:
    """The rows as a float64 matrix, null as NaN, in C order or in `fortran`'s."""
    count = len(rows)
    if count <= _FEW:
        matrix = np.array(rows, np.float64)
    else:
        # all numbers at once: numpy asks each of them what it is
        held = bytearray(8 * count * features)
        try:
            _packer(count * features)(held, 0, *chain.from_iterable(rows))
            matrix = np.frombuffer(held).reshape(count, features)
        except struct.error:  # there is a null
            matrix = np.array(rows, np.float64)
    return np.asfortranarray(matrix) if fortran else matrix


@lru_cache(maxsize=256)
def _packer(numbers: int) -> Callable[..., None]:
    return struct.Struct(f"{numbers}d").pack_into


def _tensor(told: Any, rows: Form, records: Form, columns: Form) -> tuple[Form, Rows] | None:
    if type(told) is not list:
        found = list(zip(*_astuple(told), strict=True))
        return (columns, found) if found else None
    if not told:
        return None
    if type(told[0]) is tuple:
        # a record among rows is not a tuple: MLflow has its own words for that
        return (rows, told) if len(told) == 1 or all(type(row) is tuple for row in told) else None
    return records, [_astuple(record) for record in told]


def _body_type(columns: Columns, params_are_ignored: bool) -> Any:
    """The type of all bodies that may be read. What it does not name is forbidden, and so left to MLflow."""
    row: Any = tuple.__class_getitem__(columns.values)
    split: Any = msgspec.defstruct(
        "Split",
        [
            ("data", list[row]),
            ("columns", list[str | int] | UnsetType, UNSET),
            ("index", list[int | str] | UnsetType, UNSET),
        ],
        forbid_unknown_fields=True,
    )
    records: Any = UnsetType
    tensor: Any = list[row]
    if not columns.signed:
        records = list[dict[str, columns.values[0]]]  # type: ignore[name-defined]
    elif columns.names is not None:
        records, tensor = _named_types(columns, columns.names, row)
    return msgspec.defstruct(
        "Body",
        [
            ("dataframe_split", split | UnsetType, UNSET),
            ("dataframe_records", records | UnsetType, UNSET),
            ("inputs", tensor | UnsetType, UNSET),
            ("instances", tensor | UnsetType, UNSET),
            *([("params", Any, UNSET)] if params_are_ignored else []),
        ],
        forbid_unknown_fields=True,
    )


def _named_types(columns: Columns, names: tuple[str, ...], row: Any) -> tuple[Any, Any]:
    """The types of the bodies that name their columns: of `dataframe_records`, and of `inputs` and `instances`."""
    fields = [f"c{at}" for at in range(len(names))]
    rename = dict(zip(fields, names, strict=True))
    pairs = list(zip(fields, columns.values, strict=True))
    try:
        record: Any = msgspec.defstruct("Record", pairs, rename=rename, forbid_unknown_fields=True)
        lists = [(field, list[value]) for field, value in pairs]  # type: ignore[valid-type]
        by_column: Any = msgspec.defstruct("ByColumn", lists, rename=rename, forbid_unknown_fields=True)
    except ValueError:  # two columns of one name, or a name that JSON writes with an escape
        return UnsetType, list[row]
    return list[record], list[row | record] | by_column


def _as_they_are(rows: Rows) -> Rows:
    return rows


_astuple: Callable[[Struct], tuple[Any, ...]] = msgspec.structs.astuple
