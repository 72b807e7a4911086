"""What is registered in a database, what disagrees there, and what was changed past Lockgate; nothing is changed."""

from __future__ import annotations

import contextlib
from collections import defaultdict
from collections.abc import Iterator, Mapping
from pathlib import Path
from urllib.parse import unquote, urlsplit

from sqlalchemy import Connection, func, or_, select

from lockgate.adapters.sql import mlflow_tables as mlflow
from lockgate.adapters.sql.adoption import Beginning, SqlAdoption
from lockgate.adapters.sql.drift import SqlDrift
from lockgate.adapters.sql.names import Names
from lockgate.adapters.sql.policies import ParsedPolicies, ParsePolicy, SqlPolicies
from lockgate.adapters.sql.prompts import prompts
from lockgate.domain.drift import Difference
from lockgate.domain.policy import Policy
from lockgate.domain.stages import GATED, Stage
from lockgate.usecases.doctor import Artifacts, Disagreement, Registry

_MOST_LOOKED_AT = 500


def registry(connection: Connection) -> Registry:
    """What is registered, over all workspaces; versions and aliases of prompts are not counted."""
    models, versions, aliases = mlflow.registered_models.c, mlflow.model_versions.c, mlflow.registered_model_aliases.c
    stage = func.coalesce(versions.current_stage, Stage.NONE.value)
    named = connection.execute(select(func.count(models.name))).scalar_one()
    marked = connection.execute(select(func.count(models.name)).where(prompts(models)))
    counted = select(stage, func.count()).where(stage != mlflow.DELETED, ~prompts(versions)).group_by(stage)
    stages = {str(row[0]): int(row[1]) for row in connection.execute(counted)}
    in_prompts = marked.scalar_one()
    return Registry(
        models=named - in_prompts,
        prompts=in_prompts,
        versions=sum(stages.values()),
        aliases=connection.execute(select(func.count(aliases.name)).where(~prompts(aliases))).scalar_one(),
        stages=dict(sorted(stages.items())),
    )


def drift(connection: Connection, parse_policy: ParsePolicy) -> tuple[Policy, tuple[Difference, ...]]:
    """The policy in force, and what differs from our rows in any workspace."""
    adoption = SqlAdoption(connection, Beginning())
    policies = SqlPolicies(connection, ParsedPolicies(parse_policy), adoption)
    found: list[Difference] = []
    anywhere = SqlDrift(connection, Names(connection, ""), policies, adoption)
    for workspace in anywhere.workspaces():
        found += SqlDrift(connection, Names(connection, workspace), policies, adoption).differences()
    return policies.in_force(), tuple(found)


def disagreements(connection: Connection, policy: Policy) -> Iterator[Disagreement]:
    """Stages and aliases of MLflow's own that say different things, model by model."""
    inside, named = _in_stages(connection), _aliases(connection, policy)
    for workspace, model in sorted({key[:2] for key in inside} | {key[:2] for key in named}):
        for stage in sorted(GATED):
            rules = policy.rules(model, stage)
            there = sorted(inside.get((workspace, model, stage.value), ()))
            holder = named.get((workspace, model, rules.alias))
            wrong = _disagreement(model, stage, rules.alias, there, holder, rules.max_versions)
            if wrong is not None:
                yield wrong


def _disagreement(
    model: str, stage: Stage, alias: str, there: list[int], holder: int | None, most: int | None
) -> Disagreement | None:
    into = f"--to {stage.lower()}"
    if holder is None and there:
        listed = ", ".join(map(str, there))
        which = f"version {listed} is" if len(there) == 1 else f"versions {listed} are"
        because = f"{which} in {stage}, and the alias {alias} names none of them"
        return Disagreement(model, stage, because, f"lockgate promote {model}@{there[-1]} {into}")
    if holder is not None and holder not in there:
        because = f"the alias {alias} names version {holder}, which is not in {stage}"
        return Disagreement(model, stage, because, f"lockgate promote {model}@{holder} {into}")
    if most is not None and len(there) > most:
        because = f"{len(there)} versions are in {stage}, where the policy allows {most}"
        return Disagreement(model, stage, because, f"lockgate promote {model}@{holder} {into}")
    return None


def _in_stages(connection: Connection) -> Mapping[tuple[str, str, str], list[int]]:
    theirs = mlflow.model_versions.c
    query = select(theirs.workspace, theirs.name, theirs.current_stage, theirs.version).where(
        theirs.current_stage.in_([stage.value for stage in GATED]), ~prompts(theirs)
    )
    found: dict[tuple[str, str, str], list[int]] = defaultdict(list)
    for workspace, name, stage, version in connection.execute(query):
        found[workspace, name, stage].append(version)
    return found


def _aliases(connection: Connection, policy: Policy) -> Mapping[tuple[str, str, str], int]:
    theirs = mlflow.registered_model_aliases.c
    wanted = sorted({alias for stage in GATED for alias in policy.aliases_of(stage)})
    query = select(theirs.workspace, theirs.name, theirs.alias, theirs.version)
    rows = connection.execute(query.where(theirs.alias.in_(wanted), ~prompts(theirs)))
    return {(row.workspace, row.name, row.alias): row.version for row in rows}


def artifacts(connection: Connection) -> Artifacts:
    """Whether folders on this machine are there; what is kept elsewhere is not asked for."""
    theirs = mlflow.model_versions.c
    staged = or_(*(theirs.current_stage == stage.value for stage in GATED))
    query = select(theirs.name, theirs.version, theirs.storage_location, theirs.source).where(staged, ~prompts(theirs))
    looked_at, elsewhere, missing = 0, 0, []
    for name, version, location, source in connection.execute(query.order_by(theirs.name, theirs.version)):
        path = _local(location or source or "")
        if path is None or looked_at == _MOST_LOOKED_AT:
            elsewhere += 1
            continue
        looked_at += 1
        with contextlib.suppress(OSError):
            if path.exists():
                continue
        missing.append(f"{name}@{version}")
    return Artifacts(looked_at, tuple(missing), elsewhere)


def _local(location: str) -> Path | None:
    if location.startswith("/"):
        return Path(location)
    parts = urlsplit(location)
    return Path(unquote(parts.path)) if parts.scheme == "file" and not parts.netloc else None
