"""Checkpoints in places outside: what is written there, what happens when that fails, and what an auditor finds."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, HTTPServer
from itertools import pairwise
from pathlib import Path
from threading import Thread

import pytest
from sqlalchemy import text

from lockgate.adapters.anchors.commits import FILE, GitAnchor
from lockgate.adapters.anchors.files import FileAnchor
from lockgate.adapters.anchors.objects import S3Anchor
from lockgate.adapters.artifacts.objects import S3
from lockgate.adapters.keys import ed25519
from lockgate.cli import outcome
from lockgate.cli.main import cli
from lockgate.controller.anchoring import Anchoring
from lockgate.domain.audit import Entry
from lockgate.domain.checkpoints import SignedCheckpoint
from lockgate.domain.errors import Unavailable
from lockgate.domain.webhooks import body_of
from lockgate.usecases import anchoring, export, status, webhooks
from lockgate.usecases.anchor_ports import Anchor, Anchored
from tests.artifacts import s3
from tests.contracts.webhooks import add_webhook
from tests.databases.backends import on_sqlite
from tests.integration.usecases.test_sample import signed
from tests.integration.usecases.world import ANA, STAGING, World

Make = Callable[[str], World]
EVERY = timedelta(minutes=10)
POLICY = 'level: enforce\nstages: {Staging: {}}\nendpoints: {"*": {serve: off}}\n'


class Broken:
    """A place that refuses until it is mended."""

    place = "file:///somewhere"

    def __init__(self) -> None:
        self.broken = True
        self.got: list[int] = []

    def put(self, note: str, size: int, at: datetime) -> None:
        if self.broken:
            raise Unavailable("The disk is full.", hint="")
        self.got.append(size)


def moved(here: World, folder: Path) -> int:
    """One more move is signed; how many entries that are."""
    here.done(here.register(), STAGING)
    signed(here, folder)
    with here.store.reading() as work:
        newest = work.tree.newest()
    assert newest is not None
    return newest.size


def kept_up(here: World, *places: Anchor) -> int:
    return anchoring.keep_up(here.ports, places, EVERY)


def state(here: World) -> Anchored:
    (only,) = anchoring.listed(here.ports)
    return only


def recorded(here: World, action: str) -> list[Entry]:
    with here.store.reading() as work:
        return [Entry.from_plain(each.plain) for each in work.record.read(action=action)]


def test_the_newest_checkpoint_is_appended_to_a_file_at_most_once_in_a_while(world: Make, tmp_path: Path) -> None:
    here = world(POLICY)
    path = tmp_path / "kept" / "checkpoints.jsonl"
    path.parent.mkdir()
    place = FileAnchor(path)
    assert kept_up(here, place) == 0, "nothing is signed yet"
    first = moved(here, tmp_path)
    assert kept_up(here, place) == 1
    second = moved(here, tmp_path)
    assert kept_up(here, place) == 0, "it is too soon"
    here.clock.forward(minutes=11)
    assert kept_up(here, place) == 1
    here.clock.forward(minutes=11)
    assert kept_up(here, place) == 0, "there is nothing new"
    lines = [json.loads(line) for line in path.read_text().splitlines()]
    assert [line["size"] for line in lines] == [first, second]
    assert [SignedCheckpoint.parse(line["note"]).checkpoint.size for line in lines] == [first, second]
    assert (state(here).place, state(here).size, state(here).failures) == (path.as_uri(), second, 0)
    assert [entry.after for entry in recorded(here, "anchor:added")] == [path.as_uri()]


@on_sqlite
def test_a_place_that_fails_is_tried_again_after_growing_pauses_and_is_on_the_record_once(
    world: Make, tmp_path: Path
) -> None:
    here, place = world(POLICY), Broken()
    moved(here, tmp_path)
    tries = []
    for minute in range(300):
        before = state(here).failures if minute else 0
        kept_up(here, place)
        if state(here).failures > before:
            tries.append(minute)
        here.clock.forward(minutes=1)
    assert tries[:6] == [0, 1, 2, 4, 8, 16]
    assert all(later - earlier <= 61 for earlier, later in pairwise(tries))
    assert [entry.why for entry in recorded(here, "anchor:failed")] == ["The disk is full."]
    assert status.overview(here.ports).troubles == (
        "Checkpoints cannot be written to file:///somewhere: The disk is full.",
    )
    place.broken = False
    here.clock.forward(hours=2)
    assert kept_up(here, place) == 1
    assert (state(here).failures, state(here).error, len(place.got)) == (0, "", 1)
    assert [entry.detail for entry in recorded(here, "anchor:restored")] == [
        {"size": place.got[0], "failures": len(tries)}
    ]


@on_sqlite
def test_what_was_anchored_finds_a_database_that_was_put_back(
    world: Make, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    here, kept, file = world(POLICY), tmp_path / "checkpoints.jsonl", tmp_path / "record.jsonl"
    moved(here, tmp_path)
    with file.open("wb") as old:
        old.writelines(export.lines(here.store, ed25519.check, here.clock.now()))
    assert outcome.run(cli, ["audit", "verify", str(file)]) == 0
    moved(here, tmp_path)
    kept_up(here, FileAnchor(kept))
    assert outcome.run(cli, ["audit", "verify", str(file), "--checkpoint", str(kept)]) == 1
    assert "cut off" in capsys.readouterr().err
    with kept.open("ab") as half:
        half.write(b'{"size": 9, "no')
    assert outcome.run(cli, ["audit", "verify", str(file), "--checkpoint", str(kept)]) == 2


@on_sqlite
def test_one_place_that_fails_keeps_no_other_waiting(world: Make, tmp_path: Path) -> None:
    here, path = world(POLICY), tmp_path / "checkpoints.jsonl"
    moved(here, tmp_path)
    Anchoring(here.ports, [Broken(), FileAnchor(path)], EVERY).look()
    assert len(path.read_text().splitlines()) == 1


@on_sqlite
def test_two_controllers_write_it_once(world: Make, tmp_path: Path) -> None:
    here, path = world(POLICY), tmp_path / "checkpoints.jsonl"
    moved(here, tmp_path)
    for owner in ("one", "two"):
        anchoring.keep_up(here.ports_of(owner), [FileAnchor(path)], EVERY)
    assert len(path.read_text().splitlines()) == 1


@on_sqlite
def test_a_git_repository_gets_a_commit_for_each_and_keeps_its_other_files(world: Make, tmp_path: Path) -> None:
    here, repository = world(POLICY), tmp_path / "a repository"
    git = ("git", "-C", str(repository))
    subprocess.run(["git", "init", "-q", str(repository)], check=True)
    hook = repository / ".git" / "hooks" / "pre-commit"
    hook.write_text(f"#!/bin/sh\ntouch '{tmp_path}/ran'\nexit 1\n")
    hook.chmod(0o755)
    (repository / "mine.txt").write_text("not yours")
    subprocess.run([*git, "add", "mine.txt"], check=True)
    place = GitAnchor(repository)
    sizes = []
    for _ in range(2):
        sizes.append(moved(here, tmp_path))
        assert kept_up(here, place) == 1
        here.clock.forward(minutes=11)
    told = subprocess.run([*git, "log", "--format=%an %s", "--name-only"], check=True, capture_output=True, text=True)
    lines = told.stdout.split("\n")
    assert [line for line in lines if line.startswith("lockgate checkpoint")] == [
        line for size in reversed(sizes) for line in lines if line.startswith(f"lockgate checkpoint {size} of ")
    ]
    assert "mine.txt" not in lines
    assert SignedCheckpoint.parse((repository / FILE).read_text()).checkpoint.size == sizes[-1]
    assert not (tmp_path / "ran").exists(), "a hook of the repository ran"
    place.put((repository / FILE).read_text(), sizes[-1], here.clock.now())  # again is no mistake
    with pytest.raises(Unavailable, match="no git repository"):
        GitAnchor(tmp_path / "nothing").put("note", 1, here.clock.now())


@on_sqlite
def test_a_bucket_gets_an_object_for_each(
    world: Make, tmp_path: Path, tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch
) -> None:
    bucket = s3.bucket(tmp_path_factory)
    here = world(POLICY)
    for name, value in bucket.environment.items():
        monkeypatch.setenv(name, value)
    size = moved(here, tmp_path)
    assert kept_up(here, S3Anchor(bucket.bucket, f"{bucket.prefix}/anchored", None, S3())) == 1
    assert list(bucket.paths()) == [f"anchored/{size:020}.txt"]
    assert SignedCheckpoint.parse(bucket.get(f"anchored/{size:020}.txt").decode()).checkpoint.size == size
    with pytest.raises(Unavailable, match="NoSuchBucket"):
        S3Anchor("no-such-bucket", "", None, S3()).put("note", 1, here.clock.now())


def test_an_object_is_locked_for_as_long_as_the_address_says(monkeypatch: pytest.MonkeyPatch) -> None:
    got: list[dict[str, str]] = []

    class Store(BaseHTTPRequestHandler):
        def do_PUT(self) -> None:
            got.append({name.lower(): value for name, value in self.headers.items()})
            self.rfile.read(int(self.headers["Content-Length"]))
            self.send_response(200)
            self.end_headers()

        def log_message(self, *_: object) -> None:
            pass

    at = datetime(2026, 3, 1, tzinfo=UTC)
    with HTTPServer(("127.0.0.1", 0), Store) as store:
        Thread(target=store.handle_request, daemon=True).start()
        monkeypatch.setenv("AWS_ACCESS_KEY_ID", "key")
        monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "secret")
        monkeypatch.setenv("AWS_DEFAULT_REGION", "us-east-1")
        monkeypatch.setenv("MLFLOW_S3_ENDPOINT_URL", f"http://127.0.0.1:{store.server_port}")
        S3Anchor("bucket", "", timedelta(days=400), S3()).put("note", 1, at)
    (headers,) = got
    assert headers["x-amz-object-lock-mode"] == "COMPLIANCE"
    assert headers["x-amz-object-lock-retain-until-date"].startswith("2027-04-05")
    assert headers["content-md5"]


@on_sqlite
def test_webhooks_that_hear_of_checkpoints_get_them(world: Make, tmp_path: Path) -> None:
    here = world(POLICY)
    moved(here, tmp_path)
    assert kept_up(here, anchoring.Webhooks(here.ports)) == 0
    assert "lockgate webhooks subscribe" in state(here).error
    add_webhook(here.engine, "a", ["registered_model.created"])
    webhooks.subscribe(here.ports, "a", [anchoring.SIGNED], ANA)
    here.clock.forward(minutes=1)
    assert kept_up(here, anchoring.Webhooks(here.ports)) == 1
    with here.engine.connect() as connection:
        query = text("SELECT payload FROM lockgate_outbox WHERE topic = 'checkpoint:signed'")
        payload = connection.execute(query).scalar_one()
    body = json.loads(body_of(anchoring.SIGNED, json.loads(payload), here.clock.now()))
    assert (body["entity"], body["action"]) == ("checkpoint", "signed")
    assert SignedCheckpoint.parse(body["data"]["note"]).checkpoint.root.hex() == body["data"]["root"]


def test_a_file_that_cannot_be_written_says_so(tmp_path: Path) -> None:
    with pytest.raises(Unavailable, match="No such file or directory"):
        FileAnchor(tmp_path / "nowhere" / "file").put("note", 1, datetime.now().astimezone())
