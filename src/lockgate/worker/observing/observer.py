"""What the rest of the worker tells those who count, log and trace."""

from __future__ import annotations

from typing import Protocol

from lockgate.worker.http.messages import Answer, Request


class Observer(Protocol):
    """Hears of everything that happens to requests. Nothing it does may delay or change an answer.

    `predicted` may be called on any thread, the rest on the loop's.
    """

    def answered(self, request: Request, answer: Answer, seconds: float, *, invocation: bool) -> None:
        """A request got its answer here, `seconds` after its first byte came."""
        ...

    def predicted(self, requests: int, rows: int, seconds: float) -> None:
        """One call of the model answered so many requests with so many rows."""
        ...

    def waiting(self, requests: int) -> None:
        """So many requests wait for the model now."""
        ...

    def passed(self, how: str) -> None:
        """A request or its connection went elsewhere: `forwarded`, `handed`, `shadowed` or `fell_back`.

        `shadow_dropped`: its copy should have gone, and there was no room.
        """
        ...

    def text(self, *, alone: bool = False) -> bytes:
        """What all workers of the environment on this machine counted, in Prometheus' text format.

        `alone`: only those of this endpoint, for where its callers may not know of the others (it asks for a token).
        """
        ...
