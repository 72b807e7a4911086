"""What the API can be asked: the bodies of its routes. Unknown fields are refused, so that a typo is never silent."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

PREFIX = "/api/lockgate/v1"

# Who asks, percent-encoded UTF-8. Without users it is a claim, and stands on the record as one.
USER_HEADER = "X-Lockgate-User"

# The door the caller came through, for the record: api, sdk or cli.
VIA_HEADER = "X-Lockgate-Via"

# The workspace of MLflow's that the request is about, as MLflow's own clients name it.
WORKSPACE_HEADER = "X-MLFLOW-WORKSPACE"

# read by what writes the API's description: there is no other field
_CLOSED: dict[str, Any] = {"extra": "forbid"}


@dataclass(frozen=True, slots=True)
class PlanAsk:
    """What would a promotion of this version to stage `to` do now? With `keep` the server keeps the plan's parts."""

    __pydantic_config__: ClassVar = _CLOSED

    model: str
    version: int
    to: str = "Production"
    archive_existing: bool = True
    keep: bool = False


@dataclass(frozen=True, slots=True)
class PromotionAsk:
    """Move this version to stage `to`. A lasting promotion waits for approvals and time; another is refused.

    `plan` is the digest of the one plan it may carry out; `replace` names the one version that leaves, and then no
    other is archived.
    """

    __pydantic_config__: ClassVar = _CLOSED

    model: str
    version: int
    to: str = "Production"
    reason: str = ""
    archive_existing: bool = True
    lasting: bool = True
    plan: str = ""
    replace: int | None = None


@dataclass(frozen=True, slots=True)
class ValidationAsk:
    """Run the suite on this version."""

    __pydantic_config__: ClassVar = _CLOSED

    model: str
    version: int


@dataclass(frozen=True, slots=True)
class ApprovalAsk:
    """Ask for a yes to moving this version into stage `to`."""

    __pydantic_config__: ClassVar = _CLOSED

    model: str
    version: int
    reason: str
    to: str = "Production"


@dataclass(frozen=True, slots=True)
class DecisionAsk:
    """Answer the pending request for this version and stage. A rejection needs a comment.

    `plan` is the digest of the one plan that the answer is meant for; `archive` also archives what is rejected.
    """

    __pydantic_config__: ClassVar = _CLOSED

    model: str
    version: int
    approved: bool
    comment: str = ""
    to: str = "Production"
    plan: str = ""
    archive: bool = False


@dataclass(frozen=True, slots=True)
class RollbackAsk:
    """Go back to the last known good release, or to version `to` where it qualifies."""

    __pydantic_config__: ClassVar = _CLOSED

    model: str
    reason: str
    to: int | None = None
    environment: str = "production"


@dataclass(frozen=True, slots=True)
class RetireAsk:
    """Stop an endpoint whose version left its stage."""

    __pydantic_config__: ClassVar = _CLOSED

    environment: str
    model: str


@dataclass(frozen=True, slots=True)
class AcceptAsk:
    """Let Lockgate's rows follow what was deleted past it in this model."""

    __pydantic_config__: ClassVar = _CLOSED

    model: str
    reason: str


@dataclass(frozen=True, slots=True)
class PolicyText:
    """A policy file's text."""

    __pydantic_config__: ClassVar = _CLOSED

    text: str
