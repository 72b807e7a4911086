"""Acts of many clients at once: made up, carried out by threads, and judged with what is left in the database."""

from __future__ import annotations

import random
import time
from collections import Counter
from collections.abc import Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from threading import Barrier
from typing import Any

from sqlalchemy import text

from tests.integration.registry.writes.acts import Act, perform
from tests.integration.registry.writes.linearize import Call, order_of
from tests.integration.registry.writes.registry import Registry
from tests.integration.registry.writes.sequential import State, apply

LIMIT = 100  # seconds
POLICY = """
level: observe
stages:
  Staging: {alias: staging}
  Production: {alias: production}
endpoints: {"*": {serve: off}}
"""
# what every race begins with: a model with three versions, one in each gated stage, and one without versions
BEGIN: list[Act] = [
    ["create model", "fraud"],
    ["create model", "theft"],
    *[["create version", "fraud"] for _ in range(3)],
    ["transition", "fraud", 1, "Staging", False],
    ["transition", "fraud", 2, "Production", True],
    ["set alias", "fraud", "mine", 3],
    ["tag version", "fraud", 3, "a", "b"],
]
# one entry of the record for each success; for these, one at most: it may have been so already
_ENTRIES = {
    "create model": "model:registered", "describe model": "model:described", "rename model": "model:renamed",
    "delete model": "model:deleted", "tag model": "model:tagged", "untag model": "model:untagged",
    "create version": "version:registered", "describe version": "version:described",
    "delete version": "version:deleted", "tag version": "version:tagged", "untag version": "version:untagged",
}  # fmt: skip


def every_mutator(name: str = "fraud", other: str = "theft") -> dict[str, Act]:
    """One act of each kind, made so that any two of them have something in common."""
    acts: list[Act] = [
        ["create model", other], ["describe model", name, "x"], ["rename model", name, other], ["delete model", name],
        ["tag model", name, "k", "x"], ["untag model", name, "k"], ["create version", name],
        ["describe version", name, 1, "x"], ["delete version", name, 1], ["tag version", name, 1, "k", "x"],
        ["untag version", name, 1, "k"], ["set alias", name, "mine", 1], ["delete alias", name, "mine"],
        ["transition", name, 1, "Production", True],
    ]  # fmt: skip
    return {str(act[0]): act for act in acts}


def random_acts(chance: random.Random, count: int) -> list[Act]:
    """Acts on few names, numbers and keys, so that they meet."""

    def one() -> Act:
        name, number = chance.choice(["fraud", "fraud", "fraud", "theft"]), chance.randint(1, 4)
        kind = chance.choice(_KINDS)
        match kind:
            case "rename model":
                return [kind, name, chance.choice(["fraud", "theft", "deceit"])]
            case "create model":
                return [kind, chance.choice(["fraud", "theft", "deceit"])]
            case "delete model" | "create version" | "get model":
                return [kind, name]
            case "describe model":
                return [kind, name, chance.choice("xyz")]
            case "tag model":
                return [kind, name, chance.choice("kl"), chance.choice("xyz")]
            case "untag model":
                return [kind, name, chance.choice("kl")]
            case "describe version":
                return [kind, name, number, chance.choice("xyz")]
            case "tag version":
                return [kind, name, number, chance.choice("kl"), chance.choice("xyz")]
            case "untag version":
                return [kind, name, number, chance.choice("kl")]
            case "set alias":
                return [kind, name, chance.choice(["mine", "yours", "production"]), number]
            case "delete alias":
                return [kind, name, chance.choice(["mine", "yours", "staging"])]
            case "transition":
                stage = chance.choice(["None", "Staging", "Production", "Production", "Archived"])
                return [kind, name, number, stage, stage == "Production" or (stage == "Staging" and number == 1)]
            case _:
                return [kind, name, number]

    return [one() for _ in range(count)]


_KINDS = [
    "create model", "describe model", "rename model", "delete model", "tag model", "untag model", "create version",
    "create version", "describe version", "delete version", "tag version", "untag version", "set alias", "set alias",
    "delete alias", "transition", "transition", "transition", "get model", "get version",
]  # fmt: skip


def carry_out(store: Any, plans: Sequence[Sequence[Act]]) -> list[Call]:
    """Each plan in a thread of its own, all begun at the same moment. Raises what no client should ever see."""
    ready = Barrier(len(plans))

    def run(plan: Sequence[Act]) -> list[Call]:
        ready.wait(timeout=LIMIT)
        calls = []
        for act in plan:
            called = time.monotonic()
            answer = perform(store, act)
            calls.append(Call(act, answer, called, time.monotonic()))
        return calls

    with ThreadPoolExecutor(len(plans)) as threads:
        return [call for calls in threads.map(run, plans, timeout=LIMIT) for call in calls]


def began(opened: Registry, acts: Iterable[Act] = BEGIN) -> State:
    """The acts one after the other, on the real registry and on the sequential one, which must agree."""
    state: State = {}
    for act in acts:
        assert perform(opened.store, act) == apply(state, act), act
    return state


def entries(opened: Registry) -> Counter[str]:
    """How many entries of each action are on the record."""
    with opened.engine.connect() as connection:
        found = connection.execute(text("SELECT action, count(*) AS entries FROM lockgate_audit GROUP BY action"))
        return Counter({row.action: row.entries for row in found})


def judge(opened: Registry, begin: State, history: Sequence[Call], before: Counter[str]) -> None:
    """An order explains every answer and what is read at the end, and the record tells of each success once."""
    names = sorted({str(name) for call in history for name in call.act[1:3] if isinstance(name, str)} | begin.keys())
    looks: list[Act] = [["get model", name] for name in names]
    looks += [["get version", name, number] for name in names for number in range(1, 3 + len(history))]
    whole = [*history, *carry_out(opened.store, [looks])]
    order = order_of(whole, begin)
    assert order is not None, "\n".join(str(call) for call in sorted(whole, key=lambda call: call.called))
    told = entries(opened) - before
    succeeded = Counter(str(call.act[0]) for call in history if call.answer[0] == "ok")
    assert {kind: told[action] for kind, action in _ENTRIES.items()} == {kind: succeeded[kind] for kind in _ENTRIES}
    moves = succeeded["transition"] + succeeded["set alias"]
    assert told["promotion:done"] + told["alias:set"] <= moves
    assert told["alias:deleted"] <= succeeded["delete alias"]


# what must never be found, whoever wrote at the same time
_NEVER = {
    "an alias of a version that is not there": """
        SELECT a.name, a.alias, a.version FROM registered_model_aliases a LEFT JOIN model_versions v
        ON v.workspace = a.workspace AND v.name = a.name AND v.version = a.version
        WHERE v.version IS NULL OR v.current_stage = 'Deleted_Internal'""",
    "a version without a model": """
        SELECT v.name, v.version FROM model_versions v LEFT JOIN registered_models m
        ON m.workspace = v.workspace AND m.name = v.name WHERE m.name IS NULL""",
    "a tag of nothing": """
        SELECT t.name, t.version FROM model_version_tags t LEFT JOIN model_versions v
        ON v.workspace = t.workspace AND v.name = t.name AND v.version = t.version WHERE v.version IS NULL""",
    "a stage that is not ours": """
        SELECT v.name, v.version, v.current_stage, o.stage FROM model_versions v
        LEFT JOIN lockgate_models m ON m.workspace = v.workspace AND m.name = v.name AND m.deleted_at IS NULL
        LEFT JOIN lockgate_versions o ON o.model_id = m.id AND o.version = v.version AND o.deleted_at IS NULL
        WHERE v.current_stage <> 'Deleted_Internal' AND (o.stage IS NULL OR o.stage <> v.current_stage)""",
    "a version of ours that is gone": """
        SELECT m.name, o.version FROM lockgate_versions o JOIN lockgate_models m ON m.id = o.model_id
        LEFT JOIN model_versions v ON v.workspace = m.workspace AND v.name = m.name AND v.version = o.version
        WHERE o.deleted_at IS NULL AND (v.version IS NULL OR v.current_stage = 'Deleted_Internal')""",
    "two primaries of a stage": """
        SELECT model_id, stage, count(*) FROM lockgate_versions WHERE deleted_at IS NULL AND is_primary
        GROUP BY model_id, stage HAVING count(*) > 1""",
    "a protected alias that names no primary": """
        SELECT a.name, a.alias, a.version FROM registered_model_aliases a
        JOIN lockgate_models m ON m.workspace = a.workspace AND m.name = a.name AND m.deleted_at IS NULL
        LEFT JOIN lockgate_versions o ON o.model_id = m.id AND o.version = a.version AND o.is_primary
        AND lower(o.stage) = a.alias AND o.deleted_at IS NULL
        WHERE a.alias IN ('staging', 'production') AND o.version IS NULL""",
    "a primary that its alias does not name": """
        SELECT m.name, o.version, o.stage FROM lockgate_versions o JOIN lockgate_models m ON m.id = o.model_id
        LEFT JOIN registered_model_aliases a ON a.workspace = m.workspace AND a.name = m.name
        AND a.alias = lower(o.stage) AND a.version = o.version
        WHERE o.is_primary AND o.deleted_at IS NULL AND a.version IS NULL""",
    "a second version in Production": """
        SELECT name, count(*) FROM model_versions WHERE current_stage = 'Production' GROUP BY name
        HAVING count(*) > 1""",
    "a promotion left open": "SELECT id, state FROM lockgate_promotions WHERE closed_at IS NULL",
    "two presents of a version": """
        SELECT model_id, version, count(*) FROM lockgate_stays WHERE left_at IS NULL
        GROUP BY model_id, version HAVING count(*) > 1""",
}


def consistent(opened: Registry) -> None:
    """MLflow's rows, ours, the aliases and the record say the same."""
    with opened.engine.connect() as connection:
        for name, query in _NEVER.items():
            assert connection.execute(text(query)).all() == [], name
    with opened.node.ports.store.reading() as work:
        assert work.record.verify()[1] == []
        assert list(work.drift.differences()) == []
