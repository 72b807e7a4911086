"""What goes wrong again and again is logged when it begins, when it changes and when it is over."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import structlog

from lockgate.domain.errors import LockgateError

log = structlog.get_logger("lockgate.controller")


class Troubles:
    """What each step stumbles over at present: a database that is away would fill the log, three lines a second."""

    def __init__(self) -> None:
        self._told: dict[str, str] = {}

    def met(self, step: str, error: LockgateError) -> None:
        """The step could not be taken."""
        told = str(error)
        if self._told.get(step) != told:
            self._told[step] = told
            log.warning("trouble", step=step, error=told)

    def over(self, step: str) -> None:
        """The step was taken."""
        if self._told.pop(step, None) is not None:
            log.info("trouble is over", step=step)

    @contextmanager
    def outlived(self, step: str) -> Iterator[None]:
        """Nothing that goes wrong in the block is raised: it is told, and whoever loops goes on."""
        try:
            yield
            self.over(step)
        except LockgateError as error:
            self.met(step, error)
        except Exception:
            # a bug must be loud and must not end the loop
            log.exception("bug")
