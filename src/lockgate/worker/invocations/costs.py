"""How long a prediction of so many rows takes, learned as it goes."""

from __future__ import annotations

from itertools import pairwise

_SIZES = 24  # sizes are counted in powers of two, up to 16 million rows
_LEARN = 0.1
_MOST_GROWTH = 4.0  # one reading that was interrupted must not count for much


class Costs:
    """Estimates for one engine. `most` is the number of rows whose prediction takes no longer than the limit."""

    def __init__(self, limit_seconds: float, readings: dict[int, float]) -> None:
        self._limit = limit_seconds
        self._seconds = _filled(readings)
        self._since = 0
        self.most = self._most()

    def seconds(self, rows: int) -> float:
        """What a prediction of so many rows is expected to take."""
        return self._seconds[min(rows.bit_length(), _SIZES - 1)]

    def learn(self, rows: int, seconds: float) -> None:
        """So long a prediction of so many rows took."""
        size = min(rows.bit_length(), _SIZES - 1)
        known = self._seconds[size]
        self._seconds[size] = known + _LEARN * (min(seconds, known * _MOST_GROWTH) - known)
        self._since += 1
        if self._since >= 32:
            self._since = 0
            self.most = self._most()

    def _most(self) -> int:
        size = 0
        while size + 1 < _SIZES and self._seconds[size + 1] <= self._limit:
            size += 1
        return int(2**size - 1)


def _filled(readings: dict[int, float]) -> list[float]:
    """An estimate for every size: on a straight line between two readings, and growing with the rows after the last."""
    read = {rows.bit_length(): max(seconds, 1e-7) for rows, seconds in readings.items()}
    sizes = sorted(read)
    seconds = [read[sizes[0]]] * _SIZES
    for low, high in pairwise(sizes):
        for size in range(low, high):
            share = (2**size - 2**low) / (2**high - 2**low)
            seconds[size] = read[low] + share * (read[high] - read[low])
    for size in range(sizes[-1], _SIZES):
        seconds[size] = read[sizes[-1]] * 2 ** (size - sizes[-1])
    return seconds
