"""The record taken away from a server and checked elsewhere: by the client and by the commands."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from lockgate.adapters.keys.ed25519 import Ed25519Signer, check
from lockgate.adapters.keys.files import FileKeys
from lockgate.adapters.sql.sequencing import SqlSequencing
from lockgate.adapters.sql.store import SqlStore
from lockgate.cli import outcome
from lockgate.cli.main import cli
from lockgate.cli.options import Caller
from lockgate.controller.sequencing import Sequencer
from lockgate.domain.checkpoints import PublicKey, SignedCheckpoint, proof_bytes, sign
from lockgate.domain.keyring import vouching_text
from lockgate.domain.merkle import goes_on
from lockgate.sdk.client import Lockgate
from lockgate.sdk.errors import BadRequest, Conflict, NotFound
from lockgate.usecases import keys
from tests.databases.backends import SQLITE
from tests.integration.api.conftest import Machine

Run = Callable[..., int]
# what differs between databases is tested below the API
pytestmark = pytest.mark.parametrize("backend", [SQLITE], indirect=True)


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    folder = tmp_path / "home"
    monkeypatch.setenv("LOCKGATE_HOME", str(folder))
    monkeypatch.setenv("LOCKGATE_USER", "ada")
    return folder


@pytest.fixture
def controller(machine: Machine, home: Path) -> Sequencer:
    """What a controller does for the record, step by step."""
    files = FileKeys(home, {})
    keys.ensure(machine.ports, files, check, signs=True)

    def signer() -> Ed25519Signer:
        found = files.load()
        assert found is not None
        return found

    store = machine.ports.store
    assert isinstance(store, SqlStore)
    made = Sequencer(machine.ports, SqlSequencing(store), signer, check)
    machine.register("fraud", 1, team="risk")
    with machine.as_("ada") as ada:
        ada.promote("fraud@1", "staging", reason="first", wait=20)
    made.finish()
    return made


@pytest.fixture
def run(machine: Machine, controller: Sequencer, monkeypatch: pytest.MonkeyPatch) -> Run:
    made: list[Lockgate] = []
    real = Caller.client

    def client(caller: Caller) -> Lockgate:
        made.append(real(caller))
        return made[-1]

    # a command ends with its process; here its connections would stay open
    monkeypatch.setattr(Caller, "client", client)

    def told(*words: object) -> int:
        code = outcome.run(cli, ["audit", *map(str, words), "--url", machine.url])
        while made:
            made.pop().close()
        return code

    return told


def test_a_client_gets_what_proves_the_record(machine: Machine, controller: Sequencer) -> None:
    with machine.as_("ada") as ada:
        first = ada.record.checkpoint()
        found = ada.record.verify()
        assert (found.holds, found.size, found.entries) == (True, first.size, first.size)
        proof = ada.record.prove("system", 1)
        assert proof["entry"]["position"] == 0
        ada.promote("fraud@1", "archived")
        newest = ada.audit("fraud", limit=1)[0]
        with pytest.raises(Conflict, match="No checkpoint covers"):
            ada.record.prove(newest.chain, newest.number)
        controller.finish()
        later = ada.record.checkpoint()
        told = ada.record.consistency(first.size, later.size)
        old, new = (SignedCheckpoint.parse(each.note).checkpoint for each in (first, later))
        assert goes_on(old.size, old.root, new.size, new.root, proof_bytes(told.proof))
        assert ada.record.consistency(first.size).second == later.size
        with ada.record.export() as export:
            lines = b"".join(export.pieces).splitlines()
        assert sum(b'"text":' in line for line in lines) == export.entries == later.size
        with pytest.raises(NotFound):
            ada.record.prove("model:1", 99)
        with pytest.raises(BadRequest, match="no proof"):
            ada.record.consistency(first.size, 10_000)
        with pytest.raises(BadRequest):
            ada.record.prove("model:1", 0)


def test_before_the_first_checkpoint_there_is_none(machine: Machine) -> None:
    with machine.as_("ada") as ada:
        with pytest.raises(NotFound, match="No checkpoint is signed yet"):
            ada.record.checkpoint()
        assert ada.record.keys().keys == ()
        assert ada.verify_audit().holds


def test_the_record_is_exported_and_checked_by_commands(
    run: Run, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file, kept = tmp_path / "record.jsonl", tmp_path / "kept"
    assert run("export", "--output", file) == 0
    assert file.stat().st_mode & 0o777 == 0o600
    assert run("export", "--output", file) == 1
    assert run("export", "--output", file, "--force", "--json") == 0
    capsys.readouterr()
    assert run("checkpoint") == 0
    kept.write_text(capsys.readouterr().out, encoding="utf-8")
    assert run("key", "show", "--json") == 0
    told = json.loads(capsys.readouterr().out)
    key = told["keys"][0]["public"]
    assert told["here"] == told["keys"][0]["id"]
    assert run("verify", file, "--key", key, "--checkpoint", kept) == 0
    assert run("verify", "--checkpoint", kept, "--key", key) == 0
    proof = tmp_path / "proof.json"
    assert run("prove", "model:1#2", "--output", proof) == 0
    assert run("verify", proof, "--key", key) == 0
    assert "model:1#2 is on the record, at position" in capsys.readouterr().out
    assert run("prove", "model:1") == 2
    assert run("export", "--output", tmp_path / "none" / "file") == 2
    assert sorted(path.name for path in tmp_path.iterdir() if path.is_file()) == ["kept", "lockgate.db", *[
        path.name for path in sorted(tmp_path.glob("lockgate.db-*"))], "proof.json", "record.jsonl"]  # fmt: skip


def test_a_database_put_back_to_yesterday_is_found_with_a_checkpoint_that_was_kept(
    run: Run, machine: Machine, controller: Sequencer, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with machine.ports.store.changing() as work:
        tables = ("audit", "chains", "leaves", "nodes", "checkpoints", "tree")
        before = {
            table: work.connection.exec_driver_sql(f"SELECT * FROM lockgate_{table}").all()  # type: ignore[attr-defined]
            for table in tables
        }
    with machine.as_("ada") as ada:
        ada.promote("fraud@1", "archived")
    controller.finish()
    capsys.readouterr()
    assert run("checkpoint") == 0
    kept = tmp_path / "kept"
    kept.write_text(capsys.readouterr().out, encoding="utf-8")
    with machine.ports.store.changing() as work:
        connection = work.connection  # type: ignore[attr-defined]
        for table, rows in before.items():
            connection.exec_driver_sql(f"DELETE FROM lockgate_{table}")
            for row in rows:
                connection.exec_driver_sql(
                    f"INSERT INTO lockgate_{table} VALUES ({', '.join('?' * len(row))})", tuple(row)
                )
    assert run("verify") == 0
    assert run("verify", "--checkpoint", kept) == 1
    assert "The record was cut off" in capsys.readouterr().err


def test_a_key_takes_over_from_another_and_the_record_stays_provable(
    run: Run, machine: Machine, controller: Sequencer, home: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with machine.as_("ada") as ada:
        first = ada.record.keys().keys[0]
    assert run("key", "rotate", "--reason", "once a year") == 0
    controller.finish()
    with machine.as_("ada") as ada:
        told = ada.record.keys().keys
        assert [(each.retired_at is None, each.vouched_by) for each in told] == [(False, ""), (True, first.id)]
        assert ada.record.checkpoint().key == told[1].id
        assert ada.verify_audit().holds
        with pytest.raises(Conflict, match="only key in use"):
            ada.record.retire_key(told[1].id)
    file = tmp_path / "record.jsonl"
    assert run("export", "--output", file) == 0
    assert run("verify", file, "--key", first.public) == 0
    # what rotating does, interrupted after its first step: the same command goes on
    fresh = FileKeys(home, {}).next()
    origin = first.public.split("+")[0]
    new, old = PublicKey(origin, fresh.key), FileKeys(home, {}).load()
    assert old is not None
    with machine.as_("ada") as ada:
        ada.record.add_key(str(new), str(sign(vouching_text(origin, new), origin, old)))
    assert run("key", "rotate") == 0
    with machine.as_("ada") as ada:
        assert [each.id for each in ada.record.keys().keys if each.retired_at is None] == [new.id]
        thief = Ed25519Signer.make()
        stolen = PublicKey(origin, thief.key)
        with pytest.raises(BadRequest, match="No key that was known then vouches"):
            ada.record.add_key(str(stolen), str(sign(vouching_text(origin, stolen), origin, thief)))
    capsys.readouterr()
    assert run("key", "add", "nonsense") == 2
    assert run("key", "add", str(stolen)) == 0
    assert run("key", "retire", stolen.id) == 0
    assert run("key", "show") == 0
    assert "retired" in capsys.readouterr().out
