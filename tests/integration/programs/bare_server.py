"""A fork server that imports nothing beforehand, so that a test need not wait; THREADED in its folder: two threads."""

from __future__ import annotations

import sys
import threading
from pathlib import Path

from lockgate.worker import forkserver


def main() -> int:
    forkserver.IMPORTED = ()
    if Path("THREADED").exists():
        threading.Thread(target=threading.Event().wait, daemon=True).start()
    return forkserver.main()


if __name__ == "__main__":
    sys.exit(main())
