"""What was measured of versions' engines, as `Lockgate(…).engines`."""

from __future__ import annotations

from lockgate.sdk.http import Http
from lockgate.sdk.outcome import wait_until_over
from lockgate.sdk.written import Version, read_version, segment
from lockgate.wire import engines as wire
from lockgate.wire.plain import from_json, to_json


class Engines:
    """Measuring how fast each engine of a version answers and how like MLflow's own way, and reading it."""

    def __init__(self, http: Http) -> None:
        self._http = http

    def measure(self, version: Version, *, wait: float | None = None) -> wire.EngineMeasurement:
        """Measure all engines of a version, or join the measuring under way.

        With `wait` (seconds) it returns when that is over, and raises Waiting when it is not by then.
        """
        body = wire.EnginesAsk(*read_version(version))
        opened = from_json(wire.EngineMeasurement, self._http.post("/engines", to_json(body)))
        return opened if wait is None else wait_until_over(opened, self.get, wait)

    def get(self, id: str) -> wire.EngineMeasurement:
        """One measurement as it is now."""
        return from_json(wire.EngineMeasurement, self._http.get(f"/engines/{segment(id)}"))

    def of(self, version: Version, limit: int = 100) -> tuple[wire.EngineMeasurement, ...]:
        """The measurements of one version, newest first."""
        model, number = read_version(version)
        answer = self._http.get("/engines", model=model, version=number, limit=limit)
        return from_json(wire.EngineMeasurementList, answer).measurements
