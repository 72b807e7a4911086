"""What is counted: the metrics of a worker, their labels and the bounds of their histograms."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from http import HTTPStatus
from typing import Any

COUNTER = "counter"
GAUGE = "gauge"
HISTOGRAM = "histogram"
OTHER = "other"

# a cache hit and a stuck model lie six orders of magnitude apart
_SECONDS = tuple(
    factor * scale for scale in (0.0001, 0.001, 0.01, 0.1, 1.0, 10.0) for factor in (1, 2.5, 5) if factor * scale <= 50
)
_REQUESTS = tuple(float(2**power) for power in range(9))
_ROWS = (1.0, 2.0, 5.0, 10.0, 25.0, 50.0, 100.0, 250.0, 500.0, 1000.0, 2500.0, 10000.0, 100000.0)


@dataclass(frozen=True, slots=True)
class Family:
    """One metric. `name` is without the `_total` of a counter; `values` are all that its `label` may have.

    Its numbers lie in a row: one for each value of the label; for a histogram one for each bound (what is at most the
    bound and above the one before), one for what is above all of them, and the sum.
    """

    name: str
    kind: str
    help: str
    label: str = ""
    values: tuple[str, ...] = ()
    bounds: tuple[float, ...] = ()

    @property
    def size(self) -> int:
        """How many numbers it has."""
        return len(self.bounds) + 2 if self.kind == HISTOGRAM else max(1, len(self.values))

    @classmethod
    def of(cls, told: Mapping[str, Any]) -> Family:
        """Read what `dataclasses.asdict` made of one. Raises KeyError, TypeError or ValueError when it is another."""
        values, bounds = tuple(map(str, told["values"])), tuple(map(float, told["bounds"]))
        return cls(str(told["name"]), str(told["kind"]), str(told["help"]), str(told["label"]), values, bounds)


REQUESTS = Family(
    "lockgate_requests",
    COUNTER,
    "Requests that were answered here, by the status of the answer.",
    label="code",
    values=(*(str(status.value) for status in HTTPStatus), OTHER),
)
INVOCATION_SECONDS = Family(
    "lockgate_invocation_seconds",
    HISTOGRAM,
    "From the first byte of a prediction's request to its answer.",
    bounds=tuple(float(f"{bound:.6g}") for bound in _SECONDS),
)
IN_FLIGHT = Family("lockgate_requests_in_flight", GAUGE, "Connections on which a request is being answered.")
FORWARDED = Family("lockgate_requests_forwarded", COUNTER, "Requests that were passed on to another worker.")
PASSED = Family(
    "lockgate_requests_passed",
    COUNTER,
    "Requests or connections that went elsewhere, by how.",
    label="how",
    values=("forwarded", "handed", "shadowed", "shadow_dropped", "fell_back", OTHER),
)
ROWS = Family("lockgate_rows", COUNTER, "Rows that were predicted in answers given here.")
WAITING = Family("lockgate_requests_waiting", GAUGE, "Requests that wait for the model.")
PREDICT_SECONDS = Family(
    "lockgate_predict_seconds",
    HISTOGRAM,
    "Time of one call of the model.",
    bounds=INVOCATION_SECONDS.bounds,
)
BATCH_REQUESTS = Family("lockgate_batch_requests", HISTOGRAM, "Requests that one call answered.", bounds=_REQUESTS)
BATCH_ROWS = Family("lockgate_batch_rows", HISTOGRAM, "Rows that one call predicted.", bounds=_ROWS)
KEPT = Family(
    "lockgate_log_records",
    COUNTER,
    "Predictions, labels and spans that were to be kept or sent, by what became of them.",
    label="outcome",
    values=(
        *("prediction_kept", "prediction_dropped", "label_kept", "label_dropped"),
        *("span_sent", "span_dropped"),
    ),
)

FAMILIES = (
    *(REQUESTS, INVOCATION_SECONDS, IN_FLIGHT, WAITING, FORWARDED, PASSED, ROWS),
    *(PREDICT_SECONDS, BATCH_REQUESTS, BATCH_ROWS, KEPT),
)


def offsets() -> dict[str, int]:
    """Where the numbers of each family begin, by its name."""
    places: dict[str, int] = {}
    at = 0
    for family in FAMILIES:
        places[family.name] = at
        at += family.size
    return places


SIZE = sum(family.size for family in FAMILIES)
