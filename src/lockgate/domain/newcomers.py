"""People who come from elsewhere: MLflow's basic authentication, or a table in a text; what each may do here."""

from __future__ import annotations

import csv
import io
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from lockgate.domain.access import EVERYWHERE, Grant, Role, exactly, model_pattern, person_name
from lockgate.domain.errors import BadInput
from lockgate.domain.identity import PERSON, SERVICE

DEFAULT_WORKSPACE = "default"
COLUMNS = ("name", "role", "pattern", "kind")

# MLflow's MANAGE lets somebody delete, too; whoever shall do so here is made an operator by a person
ROLE_OF = {"READ": Role.VIEWER, "USE": Role.VIEWER, "EDIT": Role.CONTRIBUTOR, "MANAGE": Role.CONTRIBUTOR}
DENIES = frozenset({"DENY", "NO_PERMISSIONS"})
OF_MODELS = frozenset({"registered_model", "prompt"})
OF_WORKSPACE = "workspace"


@dataclass(frozen=True, slots=True)
class Newcomer:
    """Somebody who comes from elsewhere, with what was kept there of their password if it can be understood.

    `notes` say what they had there and have no more here.
    """

    name: str
    kind: str = PERSON
    grants: tuple[Grant, ...] = ()
    password: str | None = field(default=None, repr=False)
    notes: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Permission:
    """What MLflow's basic authentication grants: `pattern` is the name of one resource, or * for all of the kind."""

    workspace: str
    resource: str
    pattern: str
    permission: str


@dataclass(frozen=True, slots=True)
class MlflowUser:
    """A user of MLflow's basic authentication."""

    name: str
    password: str | None
    admin: bool
    permissions: tuple[Permission, ...] = ()


def from_mlflow(user: MlflowUser, everyone: Role | None) -> Newcomer:
    """The same user here. `everyone` is what all of them have on all models, as MLflow's default permission is.

    Whoever was denied a model there gets it on none: there is no role here that leaves single models out.
    """
    grants, notes = set(), []
    denied = sorted({each.pattern for each in user.permissions if each.permission in DENIES and _counts(each)})
    if user.admin:
        grants.add(Grant(Role.ADMIN))
    for each in user.permissions:
        if each.permission not in ROLE_OF or each.permission in DENIES:
            continue
        if not _counts(each):
            if each.workspace != DEFAULT_WORKSPACE:
                notes.append(f"in the workspace {each.workspace}: {each.permission} on {each.resource} {each.pattern}")
            continue
        grants.add(Grant(_role(each), EVERYWHERE if each.pattern == EVERYWHERE else exactly(each.pattern)))
    if denied and any(grant.pattern == EVERYWHERE for grant in grants):
        notes.append(f"was denied {', '.join(denied)}, and what they have on all models reaches these too: look at it")
    elif denied and everyone is not None:
        notes.append(f"was denied {', '.join(denied)}, and is therefore not made a {everyone.value} of all models")
    elif denied:
        notes.append(f"was denied {', '.join(denied)}: nothing they have here reaches these")
    elif everyone is not None and not user.admin:
        grants.add(Grant(everyone))
    return Newcomer(user.name, PERSON, _needed(grants), user.password, tuple(dict.fromkeys(notes)))


def from_csv(text: str) -> Sequence[Newcomer]:
    """The people in lines of `name,role,pattern,kind`, of which only the name has to be there.

    Several lines of one name are one person with several roles. Raises BadInput listing every wrong line.
    """
    people: dict[str, set[Grant]] = defaultdict(set)
    kinds: dict[str, str] = {}
    wrong: list[str] = []
    for number, row in enumerate(csv.reader(io.StringIO(text.removeprefix("\ufeff"))), start=1):
        cells = [cell.strip() for cell in row]
        if not any(cells) or cells[0].startswith("#") or (number == 1 and cells == [*COLUMNS[: len(cells)]]):
            continue
        try:
            name, grant, kind = _line(cells)
            if kinds.setdefault(name, kind) != kind:
                raise BadInput(f"{name} is a {kinds[name]} in another line.")
        except BadInput as problem:
            wrong.append(f"line {number}: {problem.message}")
            continue
        people[name] |= {grant} if grant else set()
    if wrong:
        raise BadInput(
            "The table is wrong in " + "; in ".join(wrong),
            hint="Each line is name,role,pattern,kind; the last two may be left out (all models, person).",
        )
    return [Newcomer(name, kinds[name], tuple(sorted(grants))) for name, grants in people.items()]


def _line(cells: list[str]) -> tuple[str, Grant | None, str]:
    if len(cells) > len(COLUMNS):
        raise BadInput(f"it has {len(cells)} columns.")
    name, role, pattern, kind = (cells + [""] * len(COLUMNS))[: len(COLUMNS)]
    kind = kind or PERSON
    if kind not in (PERSON, SERVICE):
        raise BadInput(f"{kind!r} is no kind of user.")
    if pattern and not role:
        raise BadInput("it has a pattern and no role.")
    grant = Grant(Role.parse(role), model_pattern(pattern or EVERYWHERE)) if role else None
    return person_name(name), grant, kind


def _counts(permission: Permission) -> bool:
    of_models = permission.resource in OF_MODELS or (permission.resource == OF_WORKSPACE)
    return of_models and permission.workspace == DEFAULT_WORKSPACE


def _role(permission: Permission) -> Role:
    # a workspace's member may register models in it, where nobody has the name yet
    return Role.CONTRIBUTOR if permission.resource == OF_WORKSPACE else ROLE_OF[permission.permission]


def _needed(grants: Iterable[Grant]) -> tuple[Grant, ...]:
    """Without what a grant for all models gives anyway."""
    given = set(grants)
    if Grant(Role.ADMIN) in given:
        return (Grant(Role.ADMIN),)
    whole = {grant.role for grant in given if grant.pattern == EVERYWHERE}
    if Role.CONTRIBUTOR in whole:
        whole.add(Role.VIEWER)
        given.discard(Grant(Role.VIEWER))
    return tuple(sorted(grant for grant in given if grant.pattern == EVERYWHERE or grant.role not in whole))
