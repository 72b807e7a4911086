"""Texts of old entries are removed by a rule, never of what is held, and the record goes on proving itself."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from pathlib import Path

import pytest
from sqlalchemy import text

from lockgate.adapters.anchors.files import FileAnchor
from lockgate.adapters.keys import ed25519
from lockgate.cli.audit_verify import check_file
from lockgate.domain.audit import Entry
from lockgate.domain.errors import BadInput, Forbidden, NotFound
from lockgate.domain.identity import Who
from lockgate.domain.removals import PRUNED
from lockgate.domain.retention import NEVER_PRUNED
from lockgate.usecases import adopt, anchoring, export, history, registry, retain, verify_record
from tests.databases.backends import on_sqlite
from tests.integration.usecases.recorded import faults
from tests.integration.usecases.test_sample import signed
from tests.integration.usecases.world import ANA, STAGING, M, World

Make = Callable[[str], World]
POLICY = 'level: enforce\nstages: {Staging: {}}\nendpoints: {"*": {serve: off}}\n'
MONTH = timedelta(days=30)


def anchored(here: World, folder: Path) -> None:
    """Every entry so far is covered by a checkpoint that lies outside."""
    signed(here, folder)
    here.clock.forward(hours=2)
    assert anchoring.keep_up(here.ports, [FileAnchor(folder / "checkpoints.jsonl")], timedelta(minutes=1)) == 1


def texts(here: World) -> dict[str, bool]:
    """By place, whether an entry has its text."""
    with here.engine.connect() as connection:
        rows = connection.execute(text("SELECT chain, number, text FROM lockgate_audit ORDER BY id"))
        return {f"{row.chain}#{row.number}": bool(row.text) for row in rows}


def holds(here: World, folder: Path) -> None:
    """The record proves itself, at the server and as a file."""
    with here.store.reading() as work:
        assert verify_record.verify(work, ed25519.check).breaks == ()
    path = folder / "record.jsonl"
    with path.open("wb") as file:
        file.writelines(export.lines(here.store, ed25519.check, here.clock.now()))
    with path.open("rb") as file:
        found = check_file(file)
    assert (found.breaks, found.holds) == ((), True)


def test_what_is_old_enough_loses_its_text_and_the_record_goes_on_proving_itself(world: Make, tmp_path: Path) -> None:
    here = world(POLICY)
    adopt.begin(here.ports)
    first = here.register()
    here.done(first, STAGING)
    old = texts(here)
    at = here.clock.now()
    assert retain.prune(here.ports) == 0, "for ever is the default"
    retain.set_rule(here.ports, ANA, MONTH, "our rule")
    here.clock.forward(days=40)
    here.done(here.register(), STAGING)
    assert retain.prune(here.ports) == 0, "no checkpoint lies outside"
    anchored(here, tmp_path)
    removed = retain.prune(here.ports)
    assert retain.prune(here.ports) == 0
    now = texts(here)
    gone = {place for place, there in now.items() if not there}
    assert (len(gone), gone <= old.keys()) == (removed, True)
    assert removed >= 4
    kept = retain.look(here.ports, ANA)
    assert (kept.removed, kept.rule and kept.rule.length) == (removed, MONTH)
    with here.store.reading() as work:
        (told,) = work.record.read(action=PRUNED)
        (lost, *_) = [each for each in work.record.read(model=M, limit=100) if not each.linked.text]
    entry = Entry.from_plain(told.plain)
    assert (entry.detail or {})["entries"] == removed
    assert entry.why == "kept for 30d, as ana (unverified) set on 2026-03-01"
    assert "removed under the rule" in Entry.from_plain(lost.plain).why
    signed(here, tmp_path)
    holds(here, tmp_path)
    then = history.as_of(here.ports, ANA, at + timedelta(days=1))
    assert [each.version for model in then.models for each in model.stages] == [1], "rows tell what texts no longer do"


@on_sqlite
def test_nothing_of_what_is_held_is_removed_until_it_is_released(world: Make, tmp_path: Path) -> None:
    here = world(POLICY)
    here.done(here.register(), STAGING)
    retain.set_rule(here.ports, ANA, MONTH, "our rule")
    retain.hold(here.ports, ANA, M, "a lawsuit")
    retain.hold(here.ports, ANA, M, "another one")
    with here.store.writing(M) as work:
        registry.model_deleted(work, registry.Change(M, ANA, here.clock.now()))
    here.mlflow.delete(M)
    here.clock.forward(days=400)
    anchored(here, tmp_path)
    retain.prune(here.ports)
    assert [place for place, there in texts(here).items() if not there and place.startswith("model:")] == []
    assert [(each.model, each.reason) for each in retain.look(here.ports, ANA).holds] == [
        (M, "a lawsuit"), (M, "another one")
    ]  # fmt: skip
    assert len(retain.release(here.ports, ANA, M, "it is settled")) == 2
    assert retain.prune(here.ports) > 0
    assert [place for place, there in texts(here).items() if not there and place.startswith("model:")] != []
    signed(here, tmp_path)
    holds(here, tmp_path)
    with here.store.reading() as work:
        entries = work.record.read(limit=1000)
    mine = {"record:retention-set", "hold:added", "hold:released", PRUNED}
    told = [each for each in entries if each.plain["action"] in mine]
    assert {str(each.plain["action"]) for each in told} == mine
    assert faults(told, of_requests=False) == []


@on_sqlite
def test_what_the_record_is_read_by_never_loses_its_text(world: Make, tmp_path: Path) -> None:
    here = world(POLICY)
    retain.set_rule(here.ports, ANA, MONTH, "our rule")
    signed(here, tmp_path)
    here.clock.forward(days=4000)
    anchored(here, tmp_path)
    retain.prune(here.ports)
    with here.store.reading() as work:
        left = {str(each.plain["action"]) for each in work.record.read(limit=1000) if each.linked.text}
    assert {"key:added", "record:retention-set", PRUNED} <= left
    assert {"key:added", "database:made", "drift:found"} <= NEVER_PRUNED
    signed(here, tmp_path)
    holds(here, tmp_path)


@on_sqlite
def test_a_text_that_somebody_else_removed_is_found(world: Make, tmp_path: Path) -> None:
    here = world(POLICY)
    here.done(here.register(), STAGING)
    signed(here, tmp_path)
    with here.engine.begin() as connection:
        emptied = "UPDATE lockgate_audit SET text = '', pruned_at = 1 WHERE chain = 'model:1' AND number = 2"
        connection.execute(text(emptied))
    with here.store.reading() as work:
        (found,) = work.record.verify()[1]
    assert (found.chain, found.number) == ("model:1", 2)
    assert "no entry says that it was removed" in found.because


@on_sqlite
def test_only_who_may_keep_the_record_changes_how_it_is_kept_and_says_why(world: Make) -> None:
    here = world(POLICY)
    stranger = Who("eve", verified=True)
    for act in (
        lambda who, why: retain.set_rule(here.ports, who, MONTH, why),
        lambda who, why: retain.hold(here.ports, who, M, why),
        lambda who, why: retain.release(here.ports, who, M, why),
    ):
        with pytest.raises(BadInput, match="needs a reason"):
            act(ANA, "  ")
        with pytest.raises(Forbidden):
            act(stranger, "because")
    with pytest.raises(NotFound, match="never-was"):
        retain.hold(here.ports, ANA, "never-was", "because")
    with pytest.raises(NotFound, match="is not held"):
        retain.release(here.ports, ANA, M, "because")
    kept = retain.look(here.ports, ANA)
    assert (kept.rule, list(kept.holds)) == (None, [])
