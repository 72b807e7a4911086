"""A plan as a file, and the plan that a command is told to keep to: a file, or the digest of one the server keeps."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lockgate.domain.errors import BadInput
from lockgate.domain.plans import digest_of_parts
from lockgate.domain.stages import Stage
from lockgate.domain.versions import VersionRef

if TYPE_CHECKING:
    from lockgate.sdk.client import Lockgate
    from lockgate.wire.shapes import Plan

FORMAT = "lockgate-plan-1"


@dataclass(frozen=True, slots=True)
class Bound:
    """What a command is bound to: the version, the stage, and the digest of the one plan, "" for any."""

    ref: VersionRef
    stage: Stage
    digest: str = ""


def write(path: Path, plan: Plan) -> None:
    """Write the plan. Raises BadInput when the file cannot be written."""
    from lockgate.wire.plain import to_json

    text = json.dumps({"format": FORMAT, **to_json(plan)}, indent=2, ensure_ascii=False)
    try:
        path.write_text(text + "\n", encoding="utf-8")
    except OSError as error:
        raise BadInput(f"{path} cannot be written: {error.strerror}.", hint="Name another one with --output.") from None


def bound(
    client: Lockgate, version: VersionRef | None, to: Stage | None, written: str | None, default: Stage | None = None
) -> Bound:
    """What the command line says: MODEL@VERSION and a stage, or a plan that says both. Raises BadInput."""
    if written is None:
        stage = to or default
        if version is None or stage is None:
            what = "MODEL@VERSION" if version is None else "--to STAGE"
            raise BadInput(f"{what} is missing.", hint="Name it, or a plan that says it: --plan FILE.")
        return Bound(version, stage)
    found = _of_file(Path(written).expanduser()) or _kept(client, written)
    for told, meant in ((version, found.ref), (to, found.stage)):
        if told is not None and told != meant:
            raise BadInput(f"The plan is about {meant}, not about {told}.", hint="Leave it out: the plan says it.")
    return found


def _of_file(path: Path) -> Bound | None:
    """The plan in a file; None where there is no such file, and it may be a digest."""
    try:
        text = path.read_text(encoding="utf-8")
    except (FileNotFoundError, IsADirectoryError):
        return None
    except (OSError, UnicodeDecodeError) as error:
        because = getattr(error, "strerror", None) or "it is not text in UTF-8"
        raise BadInput(f"The plan {path} cannot be read: {because}.", hint=_HINT) from None
    except ValueError:  # a name that no file can have
        return None
    try:
        told: Any = json.loads(text)
        parts = {str(name): value for name, value in told["parts"].items()}
        right = told["format"] == FORMAT and all(value is None or isinstance(value, str) for value in parts.values())
        found = Bound(
            VersionRef.parse(f"{told['model']}@{told['version']}"), Stage.parse(told["stage"]), told["digest"]
        )
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError, BadInput):
        raise BadInput(f"{path} is no plan of Lockgate's.", hint=_HINT) from None
    if not right:
        raise BadInput(f"{path} is no plan that this release of Lockgate reads.", hint=_HINT)
    if digest_of_parts(parts) != found.digest or _about(parts) != (str(found.ref), found.stage.value):
        raise BadInput(f"{path} was changed after it was written: its parts do not make its digest.", hint=_HINT)
    return found


def _kept(client: Lockgate, written: str) -> Bound:
    """The plan that the server keeps under a digest."""
    from lockgate.sdk.errors import BadRequest

    try:
        plan = client.kept_plan(written)
    except BadRequest:
        raise BadInput(f"{written!r} is neither a file nor the digest of a plan.", hint=_HINT) from None
    version, stage = _about(plan.parts)
    return Bound(VersionRef.parse(version or ""), Stage.parse(stage), plan.digest)


def _about(parts: Any) -> tuple[str | None, str | None]:
    return parts.get("version"), parts.get("target")


_HINT = "Make one with: lockgate plan MODEL@VERSION --output plan.json"
