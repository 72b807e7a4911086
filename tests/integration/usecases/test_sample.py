"""A sample of promotions: drawn by a seed, each with all that is kept of it, in a bundle that proves itself."""

from __future__ import annotations

import json
import zipfile
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import text

from lockgate.adapters.keys import ed25519
from lockgate.adapters.keys.files import FileKeys
from lockgate.adapters.sql.sequencing import SqlSequencing
from lockgate.cli.audit_sample import write_bundle
from lockgate.controller.sequencing import Sequencer
from lockgate.domain import proofs
from lockgate.domain.errors import BadInput, Conflict, Refused
from lockgate.server.api import history as api
from lockgate.usecases import approve, keys, promote, validate
from lockgate.usecases.sample import Asked, Sample, sample
from lockgate.wire import history as wire
from tests.databases.backends import on_sqlite
from tests.integration.usecases.world import ANA, BEN, PRODUCTION, STAGING, World

Make = Callable[[str], World]
POLICY = """
level: enforce
stages:
  Staging: {validation_tests: [schema_test]}
  Production: {min_accuracy: 0.9, approval_required: {approvals: 1, not_the_requester: true}}
"""
NASTY = "<script>alert('é')</script>\n\"quoted\" & more"


def signed(here: World, folder: Path) -> None:
    """The record has its key, every entry its position, and a checkpoint covers them all."""
    held = FileKeys(folder / "keys", {})
    keys.ensure(here.ports, held, ed25519.check, signs=True)
    Sequencer(here.ports, SqlSequencing(here.store), lambda: held.make(), ed25519.check).finish()


def drawn(here: World, wanted: int = 25, seed: str = "a word", **times: Any) -> Sample:
    return sample(here.ports, ed25519.check, ANA, Asked(wanted, seed=seed, **times))


def ids(of: Sample) -> list[str]:
    return [each.behind.promotion.id for each in of.promotions]


def as_sent(here: World, **how: Any) -> wire.Sample:
    return api._sample(drawn(here, **how), here.clock.now())


def a_busy_day(here: World) -> None:
    """One that was approved and served, one that was refused, one that was rolled back to."""
    first, second, third = here.register(), here.register(), here.register(metrics={"accuracy": 0.5})
    here.done(first, STAGING)
    for ref in (first, second):
        approve.request(here.ports, ref, ANA, NASTY, PRODUCTION)
        approve.decide(here.ports, ref, BEN, approved=True, comment=NASTY, stage=PRODUCTION)
        here.done(ref, PRODUCTION, reason=NASTY)
    here.roll_back()
    with pytest.raises(Refused):
        promote.answer(here.look(here.ask(third, PRODUCTION)))
    validate.ask(here.ports, second, BEN)
    here.settle()


def test_the_same_seed_draws_the_same_again_whatever_came_after(world: Make) -> None:
    here = world('level: enforce\nstages: {Staging: {}}\nendpoints: {"*": {serve: off}}\n')
    refs = [here.register() for _ in range(12)]
    for ref in refs:
        here.done(ref, STAGING)
        here.clock.forward(minutes=1)
    until = here.clock.now()
    first = drawn(here, 5)
    here.clock.forward(days=1)
    here.done(refs[0], STAGING)
    again = drawn(here, 5, until=until)
    assert (len(set(ids(first))), first.population) == (5, 12)
    assert (ids(again), again.population) == (ids(first), 12)
    assert ids(drawn(here, 5, seed="another word", until=until)) != ids(first)
    half = drawn(here, 100, since=until - timedelta(minutes=6, seconds=30), until=until)
    assert (half.population, len(half.promotions)) == (6, 6)
    assert drawn(here, 1, seed="").asked.seed


def test_each_promotion_comes_with_all_that_is_kept_of_it(world: Make, tmp_path: Path) -> None:
    here = world(POLICY)
    a_busy_day(here)
    signed(here, tmp_path)
    found = as_sent(here)
    of = {(each.behind.promotion.ref, each.behind.promotion.state, each.behind.promotion.kind): each
          for each in found.promotions}  # fmt: skip
    approved = of["fraud@2", "done", "promote"]
    assert approved.behind.policy is not None
    assert approved.behind.policy.text == POLICY
    assert [d.comment for d in approved.requests[0].decisions] == [NASTY]
    assert approved.evidence is not None
    assert approved.evidence["metrics"]
    assert [each.state for each in approved.validations] == ["passed"]
    assert [file.path for file in approved.manifest]
    assert approved.trouble == ()
    assert of["fraud@3", "refused", "transition"].behind.promotion.verdict is not None
    assert of["fraud@1", "done", "rollback"].behind.promotion.verdict is not None
    actions = [each.entry.action for each in approved.entries]
    assert {"approval:approved", "version:transitioned", "version:pinned"} <= set(actions)
    assert all(each.proven for each in approved.entries)
    assert (found.keys, "lockgate" in found.checkpoint) != ((), False)


@on_sqlite
def test_the_bundle_is_a_page_to_read_and_files_that_prove_themselves(world: Make, tmp_path: Path) -> None:
    here = world(POLICY)
    a_busy_day(here)
    signed(here, tmp_path)
    found = as_sent(here)
    path = tmp_path / "bundle.zip"
    write_bundle(found, path)
    with zipfile.ZipFile(path) as bundle:
        names = bundle.namelist()
        page = bundle.read("index.html").decode()
        told = json.loads(bundle.read("sample.json"))
        proved = [bundle.read(name) for name in names if name.startswith("proofs/")]
        policies = [bundle.read(name).decode() for name in names if name.startswith("policies/")]
    assert told["seed"] == "a word"
    assert len([name for name in names if name.startswith("promotions/")]) == len(found.promotions) == 5
    assert policies == [POLICY]
    assert "<script" not in page
    assert "&lt;script&gt;" in page
    assert "://" not in page
    assert len(proved) == len({(e.entry.chain, e.entry.number) for each in found.promotions for e in each.entries}) > 10
    for each in proved:
        assert proofs.verify(each, ed25519.check).linked.text
    with pytest.raises(ValueError, match=r"model:\d+#\d+"):
        proofs.verify(proved[0].replace(b'\\"action\\"', b'\\"Action\\"'), ed25519.check)
    with pytest.raises(Conflict, match="there already"):
        write_bundle(found, path)
    assert [each.name for each in tmp_path.iterdir() if "bundle" in each.name] == ["bundle.zip"]


@on_sqlite
def test_what_is_missing_or_was_changed_behind_lockgate_is_said(world: Make, tmp_path: Path) -> None:
    here = world(POLICY)
    a_busy_day(here)
    with here.engine.begin() as connection:
        connection.execute(text("UPDATE lockgate_evidence SET text = replace(text, '0.95', '0.99')"))
    found = as_sent(here)
    troubles = {trouble for each in found.promotions for trouble in each.trouble}
    assert any("changed" in trouble for trouble in troubles), troubles
    assert not any(e.proven for each in found.promotions for e in each.entries), "nothing is signed yet"
    write_bundle(found, tmp_path / "bundle.zip")


@on_sqlite
def test_a_sample_that_cannot_be_drawn_is_told_so(world: Make) -> None:
    here = world("")
    now = here.clock.now()
    for wrong in (0, -1, 201):
        with pytest.raises(BadInput, match=f"A sample of {wrong}"):
            drawn(here, wrong)
    with pytest.raises(BadInput, match="ends before it begins"):
        drawn(here, since=now, until=now - timedelta(days=1))
    with pytest.raises(BadInput, match="seed"):
        drawn(here, seed="a\nb")
    assert drawn(here).promotions == []


def test_nobody_can_name_a_file_out_of_the_bundle(tmp_path: Path) -> None:
    from lockgate.cli.sample_page import file_name

    assert file_name("../../etc/passwd") == "promotions/______etc_passwd.json"
