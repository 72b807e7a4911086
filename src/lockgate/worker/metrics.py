"""Counts of what one worker answered, as Prometheus text."""

from __future__ import annotations

from bisect import bisect_left
from collections import Counter

_BUCKETS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0)


class Metrics:
    """Requests by status, invocation latency in seconds, requests in flight, requests passed on while draining."""

    def __init__(self, labels: dict[str, str]) -> None:
        self._labels = ",".join(f'{name}="{_escaped(value)}"' for name, value in labels.items())
        self._answers: Counter[int] = Counter()
        self._buckets = [0] * (len(_BUCKETS) + 1)
        self._seconds = 0.0
        self.in_flight = 0
        self.forwarded = 0

    def answered(self, status: int) -> None:
        """Count one answer."""
        self._answers[status] += 1

    def predicted(self, seconds: float) -> None:
        """Count one invocation that took `seconds`."""
        self._buckets[bisect_left(_BUCKETS, seconds)] += 1
        self._seconds += seconds

    def text(self) -> bytes:
        """The exposition format, version 0.0.4."""
        lines = ["# TYPE lockgate_requests_total counter"]
        lines += [
            self._line("lockgate_requests_total", n, f'code="{status}"') for status, n in sorted(self._answers.items())
        ]
        lines.append("# TYPE lockgate_invocation_seconds histogram")
        total = 0
        for edge, count in zip((*map(str, _BUCKETS), "+Inf"), self._buckets, strict=True):
            total += count
            lines.append(self._line("lockgate_invocation_seconds_bucket", total, f'le="{edge}"'))
        lines.append(self._line("lockgate_invocation_seconds_sum", self._seconds))
        lines.append(self._line("lockgate_invocation_seconds_count", total))
        lines.append("# TYPE lockgate_requests_in_flight gauge")
        lines.append(self._line("lockgate_requests_in_flight", self.in_flight))
        lines.append("# TYPE lockgate_requests_forwarded_total counter")
        lines.append(self._line("lockgate_requests_forwarded_total", self.forwarded))
        return ("\n".join(lines) + "\n").encode()

    def _line(self, name: str, value: float, more: str = "") -> str:
        return f"{name}{{{self._labels}{',' if more else ''}{more}}} {value}"


def _escaped(value: str) -> str:
    return value.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")
