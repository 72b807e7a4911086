"""Loading a further version of the model into a worker's own process."""

from __future__ import annotations

import asyncio

from lockgate.wire.workers import WorkerConfig
from lockgate.worker.invocations.served import Served
from lockgate.worker.observing.watch import Watch


class LoadedBeside:
    """A version that answers beside the worker's own, and counts for its own release."""

    def __init__(self, config: WorkerConfig) -> None:
        """Load it; blocks. Raises NotLoaded with the reason for a person."""
        self.observer = Watch(config)
        self.served = Served.load(config, self.observer)
        self.observer.loaded(self.served.engine)

    @property
    def stuck(self) -> asyncio.Event:
        """Set once its predictions never come back."""
        return self.served.stuck

    def close(self) -> None:
        """Let go of it, and write what was logged: some seconds at most. What is under way still gets its answer."""
        self.served.close()
        self.observer.close()
