"""A way round a prediction that never ends on the loop's own thread: nothing else there can notice it."""

from __future__ import annotations

import threading
from collections.abc import Callable

_LOOK_EVERY = 1.0


class Stalls:
    """Calls `end`, in a thread of its own, when something has lasted longer than `seconds`.

    Whoever does it sets `since` to `time.perf_counter()` before and to 0 after. Seconds in which the whole process
    stood still (a machine that was paused, SIGSTOP) do not count, since it is looks that are counted and not the clock.
    """

    def __init__(self, seconds: float, end: Callable[[], None], *, look_every: float = _LOOK_EVERY) -> None:
        self.since = 0.0
        self._seconds = seconds
        self._end = end
        self._look_every = look_every
        self._over = threading.Event()

    def watch(self) -> None:
        """Begin to look, until `close`."""
        threading.Thread(target=self._look, name="stalls", daemon=True).start()

    def close(self) -> None:
        """Look no more."""
        self._over.set()

    def _look(self) -> None:
        seen, looks = 0.0, 0
        while not self._over.wait(self._look_every):
            since = self.since
            looks = looks + 1 if since and since == seen else 0
            seen = since
            if looks * self._look_every >= self._seconds:
                self._end()
                return
