"""How people write a version of a model, and an id."""

from __future__ import annotations

import re
from typing import TypeAlias

from lockgate.sdk.errors import BadRequest

Version: TypeAlias = str | tuple[str, int]
"""One version of one model: `"fraud@7"` or `("fraud", 7)`."""

# the last @ or / counts: MLflow allows an @ in a model's name
_WRITTEN = re.compile(r"(?P<model>[^/:]+)[@/](?P<version>[0-9]{1,10})", re.DOTALL)


def read_version(version: object) -> tuple[str, int]:
    """The model's name and the version's number. Raises BadRequest with the form that is understood."""
    if isinstance(version, str):
        found = _WRITTEN.fullmatch(version.removeprefix("models:/"))
        if found:
            return found["model"], int(found["version"])
    elif isinstance(version, tuple) and [type(part) for part in version] == [str, int]:
        return version
    raise BadRequest(f"{version!r} does not name a model version.", hint='Write it as "fraud@7" or ("fraud", 7).')


def segment(id: str) -> str:
    """An id as it stands in a path. Raises BadRequest for what is none."""
    if not id or not all(c.isascii() and (c.isalnum() or c in "-_.:") for c in id) or set(id) == {"."}:
        raise BadRequest(f"{id!r} is not an id.", hint="An id is what the server answered.")
    return id
