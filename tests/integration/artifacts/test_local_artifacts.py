"""Pinning on a real disk: what is copied, what is refused, and what a changed file looks like."""

from __future__ import annotations

import hashlib
import os
import shutil
import socket
import stat
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from lockgate.adapters.artifacts.blobs import Blobs
from lockgate.adapters.artifacts.pinned import PinnedArtifacts
from lockgate.adapters.artifacts.reading import Fetch, HashOnly, Limits
from lockgate.adapters.artifacts.tree import Tree
from lockgate.domain.errors import BadInput, Unavailable, Unreadable
from lockgate.domain.manifest import PinnedFile
from lockgate.testing.artifacts import ArtifactsInMemory

LOCATION = "mlflow-artifacts:/0/models/m-1/artifacts"


@pytest.fixture
def root(tmp_path: Path) -> Path:
    return tmp_path / "store"


@pytest.fixture
def source(root: Path) -> Path:
    folder = root / "0" / "models" / "m-1" / "artifacts"
    (folder / "code" / "deep").mkdir(parents=True)
    (folder / "MLmodel").write_text("flavors: {}\n")
    (folder / "model.skops").write_bytes(os.urandom(3 * 1024 * 1024 + 17))
    (folder / "code" / "deep" / "ключ.py").write_text("x = 1\n")
    (folder / "empty").touch()
    return folder


@pytest.fixture
def artifacts(root: Path, tmp_path: Path) -> PinnedArtifacts:
    return PinnedArtifacts(str(root), tmp_path / "home" / "cache")


def leftovers(tmp_path: Path) -> list[str]:
    """What is in the cache besides copies and the files they are made of."""
    cache = tmp_path / "home" / "cache"
    if not cache.exists():
        return []
    found = [path.name for path in cache.iterdir() if not path.name.startswith(("sha256-", "blobs", "incoming"))]
    return found + [path.name for path in (cache / "incoming").glob("[!.]*")]


def test_every_file_is_pinned_with_its_hash_and_copied_for_reading_only(
    artifacts: PinnedArtifacts, source: Path, tmp_path: Path
) -> None:
    manifest = artifacts.pin(LOCATION)

    assert [file.path for file in manifest.files] == ["MLmodel", "code/deep/ключ.py", "empty", "model.skops"]
    big = (source / "model.skops").read_bytes()
    assert manifest.files[3] == PinnedFile("model.skops", len(big), hashlib.sha256(big).hexdigest())
    folder = artifacts.folder(manifest.digest)
    assert artifacts.is_cached(manifest.digest)
    assert folder.name == manifest.digest.replace(":", "-")
    for path in [folder, *folder.rglob("*")]:
        expected = 0o555 if path.is_dir() else 0o444
        assert stat.S_IMODE(path.stat().st_mode) == expected
        if path.is_file():
            assert path.read_bytes() == (source / path.relative_to(folder)).read_bytes()
    assert leftovers(tmp_path) == []


def test_a_fake_gives_the_same_manifest_as_the_disk(artifacts: PinnedArtifacts, source: Path) -> None:
    fake = ArtifactsInMemory()
    fake.put(LOCATION, {p.relative_to(source).as_posix(): p.read_bytes() for p in source.rglob("*") if p.is_file()})

    assert fake.pin(LOCATION) == artifacts.pin(LOCATION)


def test_however_the_location_is_written_it_is_the_same_pin(artifacts: PinnedArtifacts, source: Path) -> None:
    assert artifacts.pin(LOCATION) == artifacts.pin(source.as_uri()) == artifacts.pin(str(source))


def test_pinning_again_keeps_the_copy_that_is_there(artifacts: PinnedArtifacts, source: Path) -> None:
    folder = artifacts.folder(artifacts.pin(LOCATION).digest)
    before = folder.stat().st_ino

    artifacts.pin(LOCATION)

    assert folder.stat().st_ino == before


def test_a_cached_copy_that_somebody_edited_is_replaced(
    artifacts: PinnedArtifacts, source: Path, tmp_path: Path
) -> None:
    folder = artifacts.folder(artifacts.pin(LOCATION).digest)
    (folder / "MLmodel").chmod(0o644)
    (folder / "MLmodel").write_text("flavors: {evil: {}}\n")

    artifacts.pin(LOCATION)

    assert (folder / "MLmodel").read_text() == "flavors: {}\n"
    assert leftovers(tmp_path) == []


def test_many_pins_of_the_same_files_at_once_all_succeed(
    artifacts: PinnedArtifacts, source: Path, tmp_path: Path
) -> None:
    with ThreadPoolExecutor(8) as pool:
        manifests = list(pool.map(lambda _: artifacts.pin(LOCATION), range(16)))

    assert len(set(manifests)) == 1
    assert artifacts.is_cached(manifests[0].digest)
    assert leftovers(tmp_path) == []


def test_nothing_has_changed_until_something_has_and_then_each_file_is_named(
    artifacts: PinnedArtifacts, source: Path
) -> None:
    pinned = artifacts.pin(LOCATION)
    assert artifacts.check(LOCATION, pinned) == ()

    (source / "MLmodel").write_text("flavors: {x: {}}\n")
    (source / "empty").unlink()
    (source / "code" / "new.py").touch()

    assert artifacts.check(LOCATION, pinned) == ("changed MLmodel", "added code/new.py", "missing empty")
    assert artifacts.pin(LOCATION).digest != pinned.digest
    assert artifacts.is_cached(pinned.digest)


def test_a_folder_that_is_gone_has_all_its_files_missing(artifacts: PinnedArtifacts, source: Path) -> None:
    pinned = artifacts.pin(LOCATION)
    shutil.rmtree(source)

    assert artifacts.check(LOCATION, pinned) == tuple(f"missing {file.path}" for file in pinned.files)


def test_only_what_is_certain_not_to_be_there_is_called_nothing(
    artifacts: PinnedArtifacts, root: Path, source: Path
) -> None:
    (root / "file").write_text("a file is no folder, and pinning says so")

    assert artifacts.is_nothing(str(root / "missing"))
    assert artifacts.is_nothing("ftp://somewhere/else")
    assert not artifacts.is_nothing(str(source))
    assert not artifacts.is_nothing(str(root / "file" / "below"))
    assert not artifacts.is_nothing("s3://bucket/missing")


def test_a_missing_or_an_empty_folder_cannot_be_pinned(artifacts: PinnedArtifacts, root: Path, tmp_path: Path) -> None:
    (root / "empty" / "inside").mkdir(parents=True)

    with pytest.raises(
        Unreadable, match=r"^There is no folder at .*gone\. Its artifacts were deleted or never uploaded"
    ):
        artifacts.pin("mlflow-artifacts:/gone")
    with pytest.raises(Unreadable, match=r"^There is no file in the folder at "):
        artifacts.pin("mlflow-artifacts:/empty")
    with pytest.raises(Unreadable, match=r"^There is no folder at "):
        PinnedArtifacts(str(tmp_path / "no store yet"), tmp_path / "home" / "cache").pin("mlflow-artifacts:/gone")
    assert leftovers(tmp_path) == []


def a_link_to_a_file(source: Path) -> None:
    (source / "x").symlink_to("/etc/passwd")


def a_link_to_a_folder(source: Path) -> None:
    (source / "x").symlink_to(source.parent, target_is_directory=True)


def a_link_to_nothing(source: Path) -> None:
    (source / "x").symlink_to("nowhere")


def a_link_on_the_way(source: Path) -> None:
    source.parent.rename(source.parent.parent / "real")
    source.parent.symlink_to("real", target_is_directory=True)


def a_pipe(source: Path) -> None:
    os.mkfifo(source / "x")


def a_socket(source: Path) -> None:
    with socket.socket(socket.AF_UNIX) as bound:
        here = os.open(source, os.O_RDONLY)
        try:
            bound.bind(f"/proc/self/fd/{here}/x")
        finally:
            os.close(here)


def folders_without_end(source: Path) -> None:
    source.joinpath(*["d"] * 40).mkdir(parents=True)


def a_name_of_bytes(source: Path) -> None:
    Path(os.fsdecode(os.fsencode(source) + b"/\xff\xfe")).touch()


@pytest.mark.parametrize(
    ("put", "because"),
    [
        (a_link_to_a_file, "hold a symbolic link, which could lead anywhere: x"),
        (a_link_to_a_folder, "hold a symbolic link, which could lead anywhere: x"),
        (a_link_to_nothing, "hold a symbolic link, which could lead anywhere: x"),
        (a_link_on_the_way, "hold a symbolic link, which could lead anywhere: m-1"),
        (a_pipe, "hold something that is no file: x"),
        (a_socket, "cannot be read: .* \\(x\\)"),
        (folders_without_end, "have folders more than 32 deep"),
        (a_name_of_bytes, "have a file whose name is not UTF-8"),
    ],
)
def test_what_is_no_plain_file_is_refused_and_named(
    artifacts: PinnedArtifacts, source: Path, tmp_path: Path, put: Callable[[Path], None], because: str
) -> None:
    put(source)

    with pytest.raises(Unreadable, match=because):
        artifacts.pin(LOCATION)

    assert leftovers(tmp_path) == []


def appended_to(source: Path) -> None:
    with (source / "model.skops").open("ab") as file:
        file.write(b"x")


def edited_in_place(source: Path) -> None:
    before = (source / "model.skops").stat()
    with (source / "model.skops").open("r+b") as file:
        file.seek(before.st_size - 1)
        file.write(os.urandom(1))
    # as whoever wants to hide it would
    os.utime(source / "model.skops", ns=(before.st_atime_ns, before.st_mtime_ns))


def replaced(source: Path) -> None:
    (source / "new").write_bytes(os.urandom(100))
    (source / "new").rename(source / "model.skops")


def added(source: Path) -> None:
    (source / "more").touch()


def removed(source: Path) -> None:
    (source / "empty").unlink()


def until_the_disks_clock_moves(source: Path) -> None:
    """The disk notes times in steps of some milliseconds: wait until a write now is noted as later than the files."""
    newest = max(path.stat().st_ctime_ns for path in source.rglob("*"))
    probe = source.parents[3] / "probe"
    probe.touch()
    while probe.stat().st_ctime_ns <= newest:
        probe.touch()


class Meddling(HashOnly):
    """Somebody writes when the last of the files has just been read."""

    def __init__(self, write: Callable[[], None]) -> None:
        self._write = write

    def take(self, path: str, fetch: Fetch, mark: str | None) -> PinnedFile:
        taken = super().take(path, fetch, mark)
        if path == "model.skops":
            self._write()
        return taken


@pytest.mark.parametrize("write", [appended_to, edited_in_place, replaced, added, removed])
def test_what_is_written_while_it_is_read_is_refused(root: Path, source: Path, write: Callable[[Path], None]) -> None:
    tree = Tree(root, ("0", "models", "m-1", "artifacts"), LOCATION)
    until_the_disks_clock_moves(source)

    with pytest.raises(Unreadable, match=r"changed while they were read: \w+") as refused:
        tree.read(Meddling(lambda: write(source)))

    assert "Wait until whoever writes there is done" in refused.value.hint
    assert tree.read(HashOnly()) is not None


def test_a_file_that_grows_as_fast_as_it_is_read_is_not_read_for_ever(root: Path, source: Path) -> None:
    class Growing(HashOnly):
        def take(self, path: str, fetch: Fetch, mark: str | None) -> PinnedFile:
            def growing(offset: int) -> Iterator[bytes]:
                for chunk in fetch(offset):
                    appended_to(source)
                    yield chunk

            return super().take(path, growing if path == "model.skops" else fetch, mark)

    with pytest.raises(Unreadable, match=r"changed while they were read: model\.skops"):
        Tree(root, ("0", "models", "m-1", "artifacts"), LOCATION).read(Growing())


def test_a_version_that_shares_files_with_another_costs_only_its_own(
    artifacts: PinnedArtifacts, source: Path, root: Path, tmp_path: Path
) -> None:
    first = artifacts.pin(LOCATION)
    shutil.copytree(source, root / "0" / "models" / "m-2" / "artifacts")
    (root / "0" / "models" / "m-2" / "artifacts" / "MLmodel").write_text("flavors: {new: {}}\n")

    second = artifacts.pin("mlflow-artifacts:/0/models/m-2/artifacts")

    shared = [(artifacts.folder(manifest.digest) / "model.skops").stat().st_ino for manifest in (first, second)]
    assert first.digest != second.digest
    assert shared[0] == shared[1]


def test_files_that_no_copy_uses_go_after_a_day(artifacts: PinnedArtifacts, source: Path, tmp_path: Path) -> None:
    cache = tmp_path / "home" / "cache"
    manifest = artifacts.pin(LOCATION)
    blobs = Blobs(cache)
    unused = blobs.take("x", lambda _offset: iter([b"nobody's"]), None)
    (cache / "incoming" / "half").write_bytes(b"ha")

    def sweep(*, later: float) -> None:
        (cache / "incoming" / ".swept").unlink(missing_ok=True)
        blobs.sweep(at=time.time() + later)

    sweep(later=0)
    assert blobs.path(unused.sha256).exists()

    sweep(later=25 * 3600)
    assert not blobs.path(unused.sha256).exists()
    assert not (cache / "incoming" / "half").exists()
    assert all(blobs.path(file.sha256).exists() for file in manifest.files)


def test_a_full_disk_is_told_with_what_is_left_and_leaves_nothing_half_made(source: Path, tmp_path: Path) -> None:
    # a limit on the size of files stands for the end of the disk: it is met in the middle of one, too
    script = (
        "import resource, signal, sys\n"
        "from pathlib import Path\n"
        "from lockgate.adapters.artifacts.pinned import PinnedArtifacts\n"
        "signal.signal(signal.SIGXFSZ, signal.SIG_IGN)\n"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (1 << 20, 1 << 20))\n"
        "try:\n"
        f"    PinnedArtifacts(sys.argv[1], Path(sys.argv[2])).pin({LOCATION!r})\n"
        "except Exception as error:\n"
        "    print(type(error).__name__, error)\n"
    )
    told = [str(tmp_path / "store"), str(tmp_path / "home" / "cache")]
    done = subprocess.run([sys.executable, "-c", script, *told], capture_output=True, text=True, timeout=60, check=True)

    assert done.stdout.startswith(f"Unavailable There is no room for the artifacts at {LOCATION}: they need more, and ")
    assert "bytes left. Make room there, then try again" in done.stdout
    assert leftovers(tmp_path) == []


def test_a_file_where_the_folder_should_be_is_refused(artifacts: PinnedArtifacts, source: Path) -> None:
    with pytest.raises(Unreadable, match=r"Not a directory \(MLmodel\)"):
        artifacts.pin(LOCATION + "/MLmodel")


def test_more_files_than_the_limit_are_refused(root: Path, source: Path, tmp_path: Path) -> None:
    with pytest.raises(Unreadable, match="hold more than 3 files"):
        PinnedArtifacts(str(root), tmp_path / "home" / "cache", limits=Limits(files=3)).pin(LOCATION)


def test_a_cache_that_cannot_be_written_is_not_blamed_on_the_model(root: Path, source: Path, tmp_path: Path) -> None:
    (tmp_path / "cache").write_text("a file, not a folder")

    with pytest.raises(Unavailable, match=r"The artifact cache .* cannot be written"):
        PinnedArtifacts(str(root), tmp_path / "cache").pin(LOCATION)


def test_what_a_killed_process_left_half_made_goes_after_a_day(
    artifacts: PinnedArtifacts, source: Path, tmp_path: Path
) -> None:
    cache = tmp_path / "home" / "cache"
    (cache / ".pinning-old").mkdir(parents=True)
    (cache / ".pinning-old" / "half").write_text("x")
    (cache / ".pinning-old").chmod(0o555)
    (cache / ".pinning-young").mkdir()
    os.utime(cache / ".pinning-old", (0, 0))

    artifacts.pin(LOCATION)

    assert leftovers(tmp_path) == [".pinning-young"]


@pytest.mark.parametrize("written", ["", "sha256:", "sha256:../../etc", "md5:" + "0" * 64, "sha256:" + "G" * 64])
def test_what_is_no_digest_names_no_folder(artifacts: PinnedArtifacts, written: str) -> None:
    with pytest.raises(BadInput, match="is not a digest"):
        artifacts.folder(written)
