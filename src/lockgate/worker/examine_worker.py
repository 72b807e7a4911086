"""`python -m lockgate.worker.examine_worker FD`: the real worker, except that it does not outlive the sandbox.

A worker outlives the supervisor that started it, on purpose. One that was started for a test must not.
"""

from __future__ import annotations

import os
import runpy
import sys
import threading

from lockgate.worker.examine_pipes import end_with_everyone, end_with_the_parent


def main() -> None:
    """Run `lockgate.worker` until the other end of the pipe FD is closed."""
    lifeline = int(sys.argv[1])
    os.set_inheritable(lifeline, False)
    end_with_the_parent()
    threading.Thread(target=_hold, args=(lifeline,), daemon=True, name="lifeline").start()
    sys.argv[1:] = []
    runpy.run_module("lockgate.worker", run_name="__main__", alter_sys=True)


def _hold(lifeline: int) -> None:
    while os.read(lifeline, 1):
        pass
    end_with_everyone()


if __name__ == "__main__":
    main()
