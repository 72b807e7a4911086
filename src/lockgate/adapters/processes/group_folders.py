"""The folders that the workers of a release share: what they count together lies there, longer than they live.

`<root>/<environment>/<endpoint>/<release>/`. A file `ended` in one says since when nobody counts there.
"""

from __future__ import annotations

import fcntl
import shutil
import time
from collections.abc import Collection
from contextlib import suppress
from pathlib import Path
from urllib.parse import quote

_ENDED = "ended"
# what was counted last is still there when Prometheus asks next
_KEPT_SECONDS = 900.0


class GroupFolders:
    """The shared folders of all groups of a machine."""

    def __init__(self, root: Path) -> None:
        self._root = root

    def begin(self, environment: str, endpoint: str, release: str) -> Path:
        """The folder of a group of which a worker is about to start."""
        folder = self._root / quote(environment, safe=" ") / endpoint / release
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        (folder / _ENDED).unlink(missing_ok=True)
        return folder

    def keep(self, groups: Collection[tuple[str, str]]) -> None:
        """These groups (endpoint and release) are there; forget the others when their numbers were there to be read.

        One in which somebody still counts is there too: a worker may hold a further version beside its own. A folder
        that cannot be removed is tried again the next time.
        """
        for folder in self._root.glob("*/*/*"):
            if (folder.parent.name, folder.name) in groups:
                continue
            ended = folder / _ENDED
            with suppress(OSError):
                if any(_is_held(file) for file in folder.glob("*.counts")):
                    ended.unlink(missing_ok=True)
                elif not ended.exists():
                    ended.touch(mode=0o600)
                elif time.time() - ended.stat().st_mtime > _KEPT_SECONDS:
                    shutil.rmtree(folder)
                    folder.parent.rmdir()  # fails while there is another release


def _is_held(path: Path) -> bool:
    """Whether a living worker holds the lock on the file it counts in."""
    with path.open("rb") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except BlockingIOError:
            return True
    return False
