"""`python -m lockgate.worker.measure FD`: measures the engines of one model and reports on the pipe FD."""

from __future__ import annotations

import json
import os
import queue
import resource
import sys
from dataclasses import asdict
from pathlib import Path
from typing import Any

from lockgate.worker.examine_pipes import Orders


def main() -> int:
    """Run one measuring. Exit code 2: this was not started by the sandbox."""
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    try:
        pipe = int(sys.argv[1])
        os.set_inheritable(pipe, False)
        orders = Orders().next(30.0)
        folder, into = Path(orders["artifacts"]), Path(orders["into"])
    except (IndexError, KeyError, ValueError, OSError, queue.Empty) as error:
        sys.stderr.write(f"This program is started by Lockgate's sandbox, which tells it what to measure. {error}\n")
        return 2
    _Measuring(pipe).run(folder, into)
    sys.stdout.flush()
    sys.stderr.flush()
    # a thread that the model left behind would hold a normal exit for ever
    os._exit(0)


class _Measuring:
    """Says what it does and finds on a pipe that is neither stdout nor stderr: models print."""

    def __init__(self, pipe: int) -> None:
        self._pipe = pipe

    def run(self, folder: Path, into: Path) -> None:
        """Load, measure, report. Whatever the model raises becomes a reason."""
        from lockgate.worker.invocations.exact import Scorer
        from lockgate.worker.invocations.reasons import one_line, why_it_did_not_load

        self._doing("loading the model")
        try:
            model = Scorer.load(folder).model
        except BaseException as error:  # noqa: BLE001 - a model's code can raise anything, SystemExit too
            self._say({"event": "error", "because": f"the model does not load: {why_it_did_not_load(error, folder)}"})
            return
        from lockgate.worker.engines.measuring import measure

        self._doing("choosing engines")
        try:
            figures, converted = measure(model, folder, into, self._doing)
        except (Exception, SystemExit) as error:  # noqa: BLE001 - as above
            self._say({"event": "error", "because": f"the engines cannot be measured: {one_line(error)}"})
            return
        for each in figures:
            self._say({"event": "figures", **asdict(each)})
        self._say({"event": "done", "converted": converted})

    def _doing(self, phase: str) -> None:
        self._say({"event": "doing", "phase": phase})

    def _say(self, event: dict[str, Any]) -> None:
        line = memoryview(json.dumps(event).encode() + b"\n")
        while line:
            line = line[os.write(self._pipe, line) :]


if __name__ == "__main__":
    sys.exit(main())
