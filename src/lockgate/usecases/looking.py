"""A look at a version's artifacts that goes on by itself: mostly it is over in a moment, and sometimes in an hour."""

from __future__ import annotations

from concurrent.futures import Future
from concurrent.futures import TimeoutError as NotYet
from contextvars import copy_context
from threading import Thread

from lockgate.domain.evidence import ArtifactFacts
from lockgate.domain.manifest import Manifest
from lockgate.usecases.gather import Looked, look_at_artifacts
from lockgate.usecases.ports import Ports


class Looking:
    """The look at the files at a location, begun at once in a thread of its own."""

    def __init__(self, ports: Ports, location: str, manifest: Manifest | None) -> None:
        self._found: Future[Looked] = Future()
        run = copy_context().run
        Thread(target=run, args=(self._look, ports, location, manifest), name="lockgate-look", daemon=True).start()

    def within(self, seconds: float) -> Looked | None:
        """What was found, None when it takes longer than that."""
        try:
            return self._found.result(seconds)
        except NotYet:
            return None

    def result(self) -> Looked:
        """What was found, however long it takes: reading files has limits of its own."""
        return self._found.result()

    def _look(self, ports: Ports, location: str, manifest: Manifest | None) -> None:
        try:
            self._found.set_result(look_at_artifacts(ports, location, manifest))
        except BaseException as error:  # noqa: BLE001 - whatever it was, it is raised where the result is asked for
            self._found.set_exception(error)


NOTHING_TO_LOOK_AT = Looked(ArtifactFacts(None))
