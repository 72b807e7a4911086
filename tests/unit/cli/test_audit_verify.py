"""`lockgate audit verify FILE` needs no server, no database and no MLflow, and its exit code says what was proved."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from lockgate.adapters.keys.ed25519 import check
from lockgate.cli import outcome
from lockgate.cli.main import cli
from lockgate.domain import proofs
from lockgate.domain.canonical import canonical
from lockgate.domain.merkle import Frontier, Place, inclusion_ranges, places_of, proof_from
from lockgate.domain.verification import leaf_of
from tests.unit.domain.exports import Story, story


@pytest.fixture
def record() -> Story:
    return story("iris", "sign", "iris", "fraud", "sign")


@pytest.fixture
def file(record: Story, tmp_path: Path) -> Path:
    path = tmp_path / "record.jsonl"
    path.write_bytes(b"".join(record.lines()))
    return path


def run(*told: object) -> int:
    return outcome.run(cli, ["audit", "verify", *map(str, told)])


def test_an_export_holds_and_says_which_case_it_proved(
    record: Story, file: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(file, "--key", record.key) == 0
    said = capsys.readouterr().out
    assert "The file holds: 4 entries and 2 checkpoints checked." in said
    assert f"Complete up to the checkpoint of size 4, signed by {record.key.id}" in said
    assert run(file, "--json") == 0
    told = json.loads(capsys.readouterr().out)
    assert (told["holds"], told["size"], told["after"], told["self_named"]) == (True, 4, 0, True)


def test_a_changed_byte_is_named_and_exits_1(record: Story, file: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file.write_bytes(file.read_bytes().replace(b'\\"reason\\":\\"so\\"', b'\\"reason\\":\\"no\\"', 1))
    assert run(file, "--key", record.key) == 1
    said = capsys.readouterr().err
    assert "does NOT hold" in said
    assert "system#1" in said
    assert run(file, "--json") == 1
    assert json.loads(capsys.readouterr().out)["breaks"][0]["chain"] == "system"


def test_a_cut_file_is_found_with_a_checkpoint_that_was_kept(
    record: Story, file: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    kept, key = tmp_path / "kept", tmp_path / "key"
    kept.write_text(str(record.points[-1].note), encoding="utf-8")
    key.write_text(f"{record.key}\n")
    file.write_bytes(b"".join(story_before(record)))
    assert run(file, "--key", key) == 0
    assert run(file, "--key", key, "--checkpoint", kept) == 1
    assert "2 entries are cut off its end" in " ".join(capsys.readouterr().err.split())


def story_before(record: Story) -> list[bytes]:
    """The record as it was at its first checkpoint."""
    earlier = Story(record.signer)
    earlier.write("act:a", "iris")
    earlier.sign()
    return earlier.lines()


def test_a_key_nobody_knows_proves_nothing(file: Path, capsys: pytest.CaptureFixture[str]) -> None:
    stranger = Story()
    assert run(file, "--key", stranger.key) == 1
    assert "no key you gave vouches" in " ".join(capsys.readouterr().err.split())


@pytest.mark.parametrize(
    ("told", "because"),
    [
        (["{tmp}/none.jsonl"], "cannot be read"),
        (["{tmp}/empty"], "empty"),
        (["{tmp}/text"], "no export of a record"),
        (["{file}", "--key", "x+y+z"], "no public key"),
        (["{file}", "--key", "{tmp}/text"], "no public key"),
        (["{file}", "--checkpoint", "{tmp}/text"], "no signed note"),
        (["{file}", "--checkpoint", "{tmp}/none"], "cannot be read"),
        (["{tmp}"], "is a directory"),
    ],
)
def test_what_is_no_export_key_or_checkpoint_is_wrong_usage(
    file: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], told: list[str], because: str
) -> None:
    (tmp_path / "empty").write_bytes(b"")
    (tmp_path / "text").write_text("hello\nworld\n")
    assert run(*(each.format(tmp=tmp_path, file=file) for each in told)) == 2
    assert because in " ".join(capsys.readouterr().err.split())


def test_the_proof_of_one_entry_is_checked_by_itself(
    record: Story, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    tree, nodes = Frontier(), {}
    for position, entry in enumerate(record.entries):
        nodes[Place(0, position)] = leaf_of(entry.hash)
        nodes.update(tree.append(leaf_of(entry.hash)))
    ranges = inclusion_ranges(2, 4)
    path = proof_from(ranges, {place: nodes[place] for place in places_of(ranges)})
    proof = proofs.proof(record.entries[2], 2, path, str(record.points[-1].note), [record.key])
    file = tmp_path / "proof.json"
    file.write_bytes(canonical(proof) + b"\n")
    assert run(file, "--key", record.key) == 0
    assert "iris#2 is on the record, at position 2" in capsys.readouterr().out
    assert run(file, "--key", Story().key) == 1
    assert run(file, "--checkpoint", file) == 2
    file.write_bytes(canonical(proof).replace(b'\\"so\\"', b'\\"no\\"'))
    assert run(file) == 1
    assert "iris#2 at position 2: its text does not match its hash" in capsys.readouterr().err
    assert proofs.verify(canonical(proof), check).self_named


def test_it_imports_neither_mlflow_nor_the_database(file: Path) -> None:
    script = (
        "import sys; from lockgate.cli import outcome; from lockgate.cli.main import cli;"
        "code = outcome.run(cli, ['audit', 'verify', sys.argv[1]]);"
        "print(code, [name for name in ('mlflow', 'sqlalchemy', 'httpx2', 'pydantic') if name in sys.modules])"
    )
    done = subprocess.run(
        [sys.executable, "-c", script, str(file)], capture_output=True, text=True, timeout=60, check=True
    )
    assert done.stdout.strip().splitlines()[-1] == "0 []"
