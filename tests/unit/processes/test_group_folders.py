"""The folders in which the workers of a release count together."""

from __future__ import annotations

import fcntl
import os
from pathlib import Path

from lockgate.adapters.processes.group_folders import GroupFolders


def test_what_a_group_counted_outlives_it_for_a_while_and_no_longer(tmp_path: Path) -> None:
    folders = GroupFolders(tmp_path / "groups")
    old, present = folders.begin("production", "ep-1", "r1"), folders.begin("production", "ep-1", "r2")
    (old / "w1.counts").touch()
    folders.keep({("ep-1", "r2")})
    assert sorted(old.iterdir()) == [old / "ended", old / "w1.counts"]
    assert not list(present.iterdir())
    folders.keep({("ep-1", "r2")})
    assert old.exists()
    os.utime(old / "ended", (0, 0))
    folders.keep({("ep-1", "r2")})
    assert not old.exists()
    assert present.exists()


def test_a_group_that_is_started_again_goes_on_counting(tmp_path: Path) -> None:
    folders = GroupFolders(tmp_path / "groups")
    folder = folders.begin("production", "ep-1", "r1")
    folders.keep(set())
    os.utime(folder / "ended", (0, 0))
    assert folders.begin("production", "ep-1", "r1") == folder
    folders.keep(set())
    assert folder.exists()
    os.utime(folder / "ended", (0, 0))
    folders.keep(set())
    assert not folder.parent.exists()


def test_an_environment_may_be_called_anything(tmp_path: Path) -> None:
    folder = GroupFolders(tmp_path / "groups").begin("../eu west/1", "ep-1", "r1")
    assert len(folder.relative_to(tmp_path / "groups").parts) == 3


def test_a_folder_in_which_somebody_counts_stays(tmp_path: Path) -> None:
    folders = GroupFolders(tmp_path / "groups")
    folder = folders.begin("production", "ep-1", "r1")
    folders.keep(set())
    os.utime(folder / "ended", (0, 0))
    with (folder / "w1.counts").open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        folders.keep(set())
        assert [path.name for path in folder.iterdir()] == ["w1.counts"]
    folders.keep(set())
    os.utime(folder / "ended", (0, 0))
    folders.keep(set())
    assert not folder.exists()
