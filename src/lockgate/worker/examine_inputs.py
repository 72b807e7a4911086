"""The rows a model is tried with: its input example, the policy's sample, or rows made from its feature count."""

from __future__ import annotations

import copy
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from lockgate.worker.examine_compare import short

_MOST_ROWS = 100
_LARGEST_SAMPLE = 16 * 1024 * 1024  # bytes
_PATTERN = (0.0, 1.0, 0.5)
ADVICE = "log it with input_example=…"


class NoRows(Exception):
    """There is nothing to try the model with; the text says why and what to do."""


@dataclass(frozen=True)
class Rows:
    """Input rows as MLflow hands them to `predict`.

    `body` is the request that carried them, if they came as one. `count` is None when the input is one whole thing
    (a text, a chat) and not rows.
    """

    source: str  # as in ModelFacts.inputs
    data: Any
    params: dict[str, Any] | None = None
    body: str | None = None

    @property
    def count(self) -> int | None:
        """How many rows there are."""
        if isinstance(self.data, dict):
            lengths = {getattr(column, "shape", ())[:1] for column in self.data.values()}
            first = lengths.pop() if len(lengths) == 1 else ()
            return int(first[0]) if first else None
        if isinstance(self.data, list) or _is_table(self.data):
            return len(self.data)
        return None

    def fresh(self) -> Any:
        """A copy of the data: a model may change what it is given."""
        return copy.deepcopy(self.data)

    def first(self) -> Any:
        """The data of the first row alone, or all of it when it cannot be cut."""
        return _head(self.data, 1) if self.count else self.fresh()

    def trimmed(self) -> Rows:
        """At most a hundred rows: the suite tries a model, it does not score a data set."""
        if self.count is None or self.count <= _MOST_ROWS:
            return self
        return Rows(self.source, _head(self.data, _MOST_ROWS), self.params)


def rows_for(model: Any, folder: Path, sample: str | None) -> Rows:
    """The rows to try `model` with. Raises NoRows with the reason."""
    rows = _from_example(model, folder) or _from_sample(model, sample) or _from_feature_count(model)
    if rows is None:
        raise NoRows(f"the model has no input example and does not tell how many features it takes: {ADVICE}")
    if rows.count == 0:
        what = f"the sample file {sample}" if rows.source == "sample" else "the input example"
        raise NoRows(f"{what} holds no rows: {ADVICE}")
    return rows.trimmed()


def _from_example(model: Any, folder: Path) -> Rows | None:
    if model.metadata.saved_input_example_info is None:
        return None
    try:
        # what a client would send comes first: it is what production will see
        body = model.metadata.get_serving_input(str(folder))
        if body is not None:
            return _parsed("input_example", body, model)
        params = model.metadata.load_input_example_params(str(folder))
        return Rows("input_example", model.metadata.load_input_example(str(folder)), params)
    except Exception as error:  # noqa: BLE001 - an example that cannot be read is an answer, whatever it raises
        raise NoRows(f"the model's input example cannot be read ({_told(error)}): {ADVICE}") from None


def _from_sample(model: Any, sample: str | None) -> Rows | None:
    if sample is None:
        return None
    path = Path(sample)
    if path.suffix.lower() not in (".csv", ".json"):
        raise NoRows(
            f"the sample file {sample} is neither .csv nor .json: change validation.sample in the policy, or {ADVICE}"
        )
    try:
        if path.stat().st_size > _LARGEST_SAMPLE:
            raise NoRows(f"the sample file {sample} is larger than 16 MiB: a hundred rows are plenty, or {ADVICE}")
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise NoRows(f"the sample file {sample} cannot be read ({_told(error)}): {ADVICE}") from None
    try:
        return _parsed_csv(text, model) if path.suffix.lower() == ".csv" else _parsed("sample", text, model)
    except Exception as error:  # noqa: BLE001 - a broken file is an answer, whatever the parser raises
        raise NoRows(
            f"the sample file {sample} is not in a format of MLflow's scoring protocol that fits this model "
            f"({_told(error)}): correct it, or {ADVICE}"
        ) from None


def _parsed(source: str, body: str, model: Any) -> Rows:
    from mlflow.pyfunc.scoring_server import _parse_json_data

    parsed = _parse_json_data(body, model.metadata, model.metadata.get_input_schema())
    return Rows(source, parsed.data, parsed.params, body)


def _parsed_csv(text: str, model: Any) -> Rows:
    from io import StringIO

    from mlflow.pyfunc.scoring_server import parse_csv_input

    return Rows("sample", parse_csv_input(StringIO(text), model.metadata.get_input_schema()))


def _from_feature_count(model: Any) -> Rows | None:
    import numpy as np
    import pandas as pd

    native = _native(model)
    count = _asked(native, "n_features_in_", "num_feature", "num_features")
    if not isinstance(count, (int, np.integer)) or count < 1:
        return None
    numbers = np.array([[value] * int(count) for value in _PATTERN])
    schema = model.metadata.get_input_schema()
    if schema is not None and schema.is_tensor_spec() and not schema.has_input_names():
        return Rows("feature_count", numbers.astype(schema.numpy_types()[0]))
    names = schema.input_names() if schema is not None and schema.has_input_names() else None
    if names is None:
        told = _asked(native, "feature_names_in_", "feature_name", "feature_names")
        names = list(told) if told is not None and len(told) == count else None
    if names is None or len(names) != count:
        return Rows("feature_count", numbers)
    frame = pd.DataFrame(numbers, columns=names)
    if schema is not None and schema.has_input_names() and not schema.is_tensor_spec():
        try:
            frame = frame.astype(dict(zip(names, schema.pandas_types(), strict=True)))
        except (TypeError, ValueError):
            return None  # a column that is no number cannot be made up
        if any(kind.name == "string" for kind in schema.input_types() if hasattr(kind, "name")):
            return None
    return Rows("feature_count", frame)


def _native(model: Any) -> Any:
    try:
        return model.get_raw_model()
    except Exception:  # noqa: BLE001 - a flavor without a raw model has many ways to say so
        return None


def _asked(native: Any, *names: str) -> Any:
    """The first of these attributes or methods that answers."""
    for name in names:
        try:
            told = getattr(native, name, None)
            told = told() if callable(told) else told
        except Exception:  # noqa: BLE001, S112 - an unfitted or foreign model may raise anything
            continue
        if told is not None:
            return told
    return None


def _is_table(data: Any) -> bool:
    return len(getattr(data, "shape", ())) >= 2


def _head(data: Any, rows: int) -> Any:
    if isinstance(data, dict):
        return {name: column[:rows].copy() for name, column in data.items()}
    return copy.deepcopy(data.iloc[:rows] if hasattr(data, "iloc") else data[:rows])


def _told(error: Exception) -> str:
    return short(getattr(error, "message", None) or error, 250) or type(error).__name__
