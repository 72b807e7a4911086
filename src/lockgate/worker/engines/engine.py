"""What every engine promises."""

from __future__ import annotations

from typing import Any, Protocol


class Engine(Protocol):
    """One way of computing what the loaded version predicts.

    `features` is how many columns a row has. `rowwise` says that rows of several requests may be predicted together:
    it was tried at load time that each row gets the same answer alone and among others.
    """

    name: str
    features: int
    rowwise: bool

    def predict(self, rows: Any) -> Any:
        """A float64 matrix (n, features), columns in the model's order, to n predictions: an array (n,) or (n, k).

        Exactly what MLflow's `pyfunc` gives for the same rows as a data frame. Raises whatever the model raises.
        """
        ...
