"""A reference to one version of one model, and how people write it."""

from __future__ import annotations

import re
from dataclasses import dataclass

from lockgate.domain.errors import BadInput

# the last @ or / counts: MLflow allows an @ in a model's name
_WRITTEN = re.compile(r"(?P<model>[^/:]+)[@/](?P<version>[0-9]+)", re.DOTALL)
_NUMBER = re.compile(r"[0-9]{1,10}")
_LARGEST = 2**31 - 1


@dataclass(frozen=True, slots=True, order=True)
class VersionRef:
    """One version of one model, `fraud@7`."""

    model: str
    version: int

    def __str__(self) -> str:
        return f"{self.model}@{self.version}"

    @classmethod
    def parse(cls, written: str) -> VersionRef:
        """Read `fraud@7` or `fraud/7`.

        Raises BadInput with the expected form when it is neither.
        """
        found = _WRITTEN.fullmatch(written.removeprefix("models:/"))
        if found is None:
            raise BadInput(
                f"{written!r} does not name a model version.", hint="Write it as MODEL@VERSION, for example fraud@7."
            )
        return cls(model_name(found["model"]), version_number(found["version"]))


def model_name(written: object) -> str:
    """A model's name as MLflow allows it: not empty, without `/` and `:`."""
    if not isinstance(written, str) or not written or "/" in written or ":" in written:
        raise BadInput(f"{written!r} is not a model name.", hint="A name is not empty and has no '/' and no ':'.")
    return written


def version_number(written: str | int) -> int:
    """A version's number: a whole number from 1.

    Raises BadInput, also on what `int` would only guess at: 7.9, True, "1_0".
    """
    if isinstance(written, str):
        number = int(written) if _NUMBER.fullmatch(written) else 0
    else:
        number = written if type(written) is int else 0
    if not 1 <= number <= _LARGEST:
        raise BadInput(f"{written!r} is not a version number.", hint="Versions are whole numbers from 1.")
    return number
