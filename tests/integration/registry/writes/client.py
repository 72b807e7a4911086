"""A process of its own with a governed store: carries out what it is told on its input, and tells what happened.

A line names a database and the plans of its threads; it answers `ready`, waits for a line, and answers with the calls.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import astuple
from pathlib import Path
from subprocess import PIPE, Popen
from typing import Any

from tests.integration.registry.writes.acts import Act
from tests.integration.registry.writes.linearize import Call

_ROOT = Path(__file__).parents[4]


class Client:
    """The process, seen from the one that started it."""

    def __init__(self) -> None:
        command = [sys.executable, "-W", "ignore", "-m", "tests.integration.registry.writes.client"]
        self._process = Popen(command, cwd=_ROOT, stdin=PIPE, stdout=PIPE, text=True)

    def prepare(self, uri: str, home: Path, plans: Sequence[Sequence[Act]]) -> None:
        """Returns when its threads only wait for the word."""
        self._say({"uri": uri, "home": str(home), "plans": plans})
        assert self._hear() == "ready"

    def go(self) -> None:
        self._say("go")

    def calls(self) -> list[Call]:
        """What happened, on the clock that all processes of this machine share."""
        return [Call(*each) for each in self._hear()]

    def close(self) -> None:
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.close()
        try:
            self._process.wait(20)
        finally:
            self._process.kill()
            self._process.wait()
            self._process.stdout.close()

    def _say(self, told: Any) -> None:
        assert self._process.stdin is not None
        self._process.stdin.write(json.dumps(told) + "\n")
        self._process.stdin.flush()

    def _hear(self) -> Any:
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        assert line, f"the client ended with {self._process.poll()}"
        return json.loads(line)


@contextmanager
def clients(count: int) -> Iterator[list[Client]]:
    """That many processes, ended at the end."""
    started: list[Client] = []
    try:
        started += [Client() for _ in range(count)]
        yield started
    finally:
        for each in started:
            each.close()


def main() -> None:
    """Serve the one that started this process until it closes our input."""
    # here, since the other side needs none of it
    from lockgate.domain.identity import Who
    from lockgate.usecases import promote
    from tests.databases.backends import Database
    from tests.integration.registry.writes.races import carry_out
    from tests.integration.registry.writes.registry import registry

    promote.A_MOMENT = 60.0
    out, sys.stdout = sys.stdout, sys.stderr
    for line in sys.stdin:
        told = json.loads(line)
        with registry(Database(told["uri"]), Path(told["home"]), lambda: Who("ann"), policy="") as opened:
            print(json.dumps("ready"), file=out, flush=True)
            sys.stdin.readline()
            calls = carry_out(opened.store, told["plans"])
        print(json.dumps([astuple(call) for call in calls]), file=out, flush=True)


if __name__ == "__main__":
    main()
