"""What the router needs of a loaded version."""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

from lockgate.worker.http.messages import Answer, Reply, Request


class Serves(Protocol):
    """A loaded version. `identity` is the block of header lines that names it."""

    model: str
    version: int
    release: str
    engine: str
    identity: bytes

    def invoke(self, request: Request, reply: Reply) -> None:
        """Answer one invocation in MLflow's scoring protocol, now or later."""
        ...

    def infer(self, request: Request, reply: Reply) -> None:
        """Answer one inference request of the Open Inference Protocol."""
        ...

    def describe(self) -> Answer:
        """The model's metadata as the Open Inference Protocol gives it."""
        ...


How = Callable[[Serves, Request, Reply], None]
"""A way to ask a version."""


def invoking(served: Serves, request: Request, reply: Reply) -> None:
    """In MLflow's scoring protocol."""
    served.invoke(request, reply)


def inferring(served: Serves, request: Request, reply: Reply) -> None:
    """In the Open Inference Protocol."""
    served.infer(request, reply)


def describing(served: Serves, request: Request, reply: Reply) -> None:  # noqa: ARG001 - nothing more is asked
    """For its metadata."""
    reply(served.describe())


def probing(served: Serves, request: Request, reply: Reply) -> None:  # noqa: ARG001 - that it was reached is the answer
    """Whether it is there."""
    reply(Answer(200, b'{"ready": true}'))
