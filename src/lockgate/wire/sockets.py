"""How the Unix sockets of one machine's processes are named to the kernel."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


@contextmanager
def address(folder: Path, name: str) -> Iterator[str]:
    """`<folder>/<name>` for `bind` and `connect`, by way of the open folder.

    The path of a Unix socket has at most 107 bytes (unix(7)), and a home may have more. Raises OSError for a folder
    that cannot be opened.
    """
    held = os.open(folder, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        yield f"/proc/self/fd/{held}/{name}"
    finally:
        os.close(held)
