"""An observer that remembers, for tests of what stands before it."""

from __future__ import annotations

from lockgate.worker.http.messages import Answer, Request


class Watcher:
    """Keeps what it hears of."""

    def __init__(self) -> None:
        self.predictions: list[tuple[int, int]] = []
        self.most_waiting = 0

    def answered(self, request: Request, answer: Answer, seconds: float, *, invocation: bool) -> None:
        pass

    def predicted(self, requests: int, rows: int, seconds: float) -> None:
        self.predictions.append((requests, rows))

    def waiting(self, requests: int) -> None:
        self.most_waiting = max(self.most_waiting, requests)

    def passed(self, how: str) -> None:
        pass

    def text(self, *, alone: bool = False) -> bytes:
        return b""
