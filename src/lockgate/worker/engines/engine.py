"""What every engine promises."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Protocol


class Undecided(Exception):
    """An engine does not vouch for its answer to these rows: MLflow's own way must give it."""


@dataclass(frozen=True, slots=True)
class Accepts:
    """The inputs for which an engine was found to answer as `pyfunc` does.

    `frames`: rows that MLflow hands to the model as a data frame: every input where the signature names columns, else
    `dataframe_split`, `dataframe_records` and CSV. `arrays`: rows that it hands over as an array: `inputs` and
    `instances` that are lists of lists, where no signature names columns. `integers`: without a signature, whole
    numbers may stand where the matrix has floats. `columns` are the names that a data frame must have, in this order;
    None: any distinct texts, as many as there are features (with a signature: its own names, always in its order).
    """

    frames: bool
    arrays: bool
    integers: bool = True
    columns: tuple[str, ...] | None = None


class Engine(Protocol):
    """One way of computing what the loaded version predicts.

    `name` is the value of an `EngineKind`, `how` says in a few words what computes. `features` is how many columns a
    row has. `rowwise` says that rows of several requests may be predicted together: it was tried at load time that
    each row gets the same answer alone and among others. `outputs` are the keys of each prediction where MLflow
    answers with one JSON object a row; None: bare numbers, texts or lists.
    """

    name: str
    how: str
    features: int
    rowwise: bool
    accepts: Accepts
    outputs: tuple[str, ...] | None

    def predict(self, rows: Any) -> Any:
        """A float64 matrix (n, features), columns in the model's order, to n predictions: an array (n,) or (n, k).

        n is at least 1. What `tolist()` of the array gives is what MLflow writes as predictions, bit for bit; `k` are
        the `outputs` where there are any. Where both forms are accepted, rows that came as a data frame must be in
        Fortran order, others in C order: sums of products differ in their last bits otherwise. May be called by
        several threads at once.

        Raises Undecided, or whatever the model raises: either way MLflow's own code must then answer the request.
        """
        ...
