"""Versions get their semantic versions in their order, from what their files say, and by hand for a reason."""

from __future__ import annotations

import json
from collections.abc import Callable
from threading import Thread
from typing import Any

import pytest

from lockgate.adapters.sql.semver_queue import SqlNumbering
from lockgate.controller.numbering import LOOK_SECONDS, Numberer
from lockgate.domain.errors import BadInput, Conflict, NotFound
from lockgate.domain.semver import SemanticVersion
from lockgate.domain.versions import VersionRef
from lockgate.usecases import semver
from lockgate.usecases.gather import inspect_artifacts
from tests.databases.backends import on_sqlite
from tests.integration.usecases.world import BEN, STAGING, M, World

AGE = {"name": "age", "type": "long", "required": True}
NOTE = {"name": "note", "type": "string", "required": False}
Worlds = Callable[[str], World]


class Numbered(World):
    """A world in which versions have signatures, and somebody who numbers them."""

    def logged(self, *inputs: dict[str, Any], readable: bool = True) -> VersionRef:
        """The next version, with these inputs; without any it has no signature."""
        ref = self.register()
        self.sign(ref, *inputs)
        if not readable:
            self.artifacts.change(f"mem:/{ref.version}", "MLmodel", None)
        return ref

    def sign(self, ref: VersionRef, *inputs: dict[str, Any]) -> None:
        told = {"signature": {"inputs": json.dumps(inputs), "outputs": None}} if inputs else {"flavors": {}}
        self.artifacts.change(f"mem:/{ref.version}", "MLmodel", json.dumps(told).encode())

    def number(self) -> None:
        """Let the controller number whatever is due."""
        numberer = Numberer(self.ports, SqlNumbering(self.store))
        for _ in range(50):
            if numberer.step() == LOOK_SECONDS:
                return
        raise AssertionError("it never has enough")

    def numbers(self) -> dict[int, str]:
        """What every version has, which must be the same in our rows and in the tag."""
        found = {each.ref: each.number for each in semver.of_model(self.ports, M)}
        for ref, number in found.items():
            assert self.tag(ref, "model_version") == (None if number is None else str(number))
        return {ref.version: str(number) for ref, number in found.items() if number is not None}

    def because(self, ref: VersionRef) -> str:
        return semver.of_version(self.ports, ref).numbered.because

    def give(self, ref: VersionRef, number: str, reason: str = "we promised that") -> str:
        given = semver.give(self.ports, ref, SemanticVersion.parse(number), reason, BEN)
        return str(given.number)


@pytest.fixture
def here(backend: Any) -> Numbered:
    return Numbered(backend.fresh(), "")


def test_versions_are_numbered_in_their_order_by_what_changed(here: Numbered) -> None:
    refs = [here.logged(AGE), here.logged(AGE, NOTE), here.logged(AGE, NOTE), here.logged(NOTE), here.logged()]
    with here.records(*["version:numbered"] * 5):
        here.number()

    assert here.numbers() == {1: "1.0.0", 2: "1.1.0", 3: "1.1.1", 4: "2.0.0", 5: "3.0.0"}
    assert [here.because(ref) for ref in refs] == [
        "the first version",
        "minor: new optional input: note (string)",
        "patch: the same signature as fraud@2",
        "major: input removed: age (long)",
        "major: the inputs are no longer stated",
    ]
    entry: dict[str, Any] = dict(here.recorded("version:numbered")[1].plain)
    assert (entry["before"], entry["after"], entry["version"]) == (None, "1.1.0", 2)
    assert entry["detail"]["changes"] == ["new optional input: note (string)"]
    with here.records():
        here.number()


@on_sqlite
def test_versions_without_signatures_are_patches_of_each_other(here: Numbered) -> None:
    here.logged()
    second = here.logged()
    here.number()

    assert here.numbers() == {1: "1.0.0", 2: "1.0.1"}
    assert here.because(second) == "patch: no signature, and neither has fraud@1"


@on_sqlite
def test_an_unreadable_version_stays_open_holds_up_nobody_and_is_tried_again(here: Numbered) -> None:
    lost, good = here.logged(AGE, readable=False), here.logged(AGE)
    here.number()

    assert here.numbers() == {2: "1.0.0"}
    assert "no file MLmodel" in here.because(lost)
    here.sign(lost, AGE)
    here.clock.forward(seconds=11)
    here.number()
    # it came back too late: what came after it has the number already
    assert here.because(lost) == f"{good} is 1.0.0 already, and the number that follows would not come before it."
    assert here.give(lost, "0.9.0") == "0.9.0"
    assert here.numbers() == {1: "0.9.0", 2: "1.0.0"}


@on_sqlite
def test_after_some_tries_an_unreadable_version_waits_until_it_is_pinned(here: Numbered) -> None:
    ref = here.logged(AGE, readable=False)
    for _ in range(10):
        here.number()
        here.clock.forward(hours=7)
    here.sign(ref, AGE)
    here.number()
    assert here.numbers() == {}

    inspect_artifacts(here.ports, ref)
    here.number()
    assert here.numbers() == {1: "1.0.0"}


@on_sqlite
def test_files_that_change_before_they_are_pinned_are_compared_anew_and_after_it_never(here: Numbered) -> None:
    here.logged(AGE)
    ref = here.logged(AGE)
    here.number()
    here.sign(ref, NOTE)
    inspect_artifacts(here.ports, ref)
    with here.records("version:renumbered"):
        here.number()
    assert here.numbers() == {1: "1.0.0", 2: "2.0.0"}

    here.sign(ref, AGE)
    with here.store.writing(M) as work:
        work.semver.due(ref, here.clock.now())
    with here.records():
        here.number()
    assert here.numbers() == {1: "1.0.0", 2: "2.0.0"}


@on_sqlite
def test_a_number_set_by_hand_stays_and_what_follows_goes_on_from_it(here: Numbered) -> None:
    first, second = here.logged(AGE), here.logged(AGE)
    here.number()
    with here.records("version:renumbered"):
        here.give(second, "2.0.0", "größer, says 'marketing'\n")
    here.logged(AGE)
    inspect_artifacts(here.ports, second)
    here.number()

    assert here.numbers() == {1: "1.0.0", 2: "2.0.0", 3: "2.0.1"}
    entry: dict[str, Any] = dict(here.recorded("version:renumbered")[0].plain)
    assert (entry["before"], entry["after"], entry["reason"]) == ("1.0.1", "2.0.0", "größer, says 'marketing'\n")
    assert entry["who"]["name"] == "ben"
    with here.records():
        here.give(second, "2.0.0")
    assert here.give(first, "1.9.9") == "1.9.9"


@on_sqlite
def test_a_number_set_before_the_file_was_read_says_nothing_of_what_changed(here: Numbered) -> None:
    here.give(here.logged(AGE, readable=False), "3.1.4")
    here.logged(AGE)
    here.number()

    assert here.numbers() == {1: "3.1.4", 2: "4.0.0"}
    assert here.because(VersionRef(M, 2)) == "major: the signature of fraud@1 is not known"


@on_sqlite
def test_a_number_that_does_not_fit_is_refused_and_changes_nothing(here: Numbered) -> None:
    first, second, third = (here.logged(AGE) for _ in range(3))
    here.number()
    with here.records():
        for ref, number, says in (
            (second, "1.0.0", "not later than 1.0.0, the semantic version of fraud@1"),
            (second, "0.1.0", "not later than"),
            (second, "1.0.2", "not earlier than 1.0.2, the semantic version of fraud@3"),
            (first, "7.0.0", "not earlier than 1.0.1, the semantic version of fraud@2"),
        ):
            with pytest.raises(Conflict, match=says):
                here.give(ref, number)
        with pytest.raises(BadInput, match="reason is empty"):
            here.give(third, "9.0.0", " ")
        with pytest.raises(NotFound):
            here.give(VersionRef(M, 9), "9.0.0")
    assert here.numbers() == {1: "1.0.0", 2: "1.0.1", 3: "1.0.2"}


@on_sqlite
def test_a_number_is_given_once_also_when_its_version_was_deleted(here: Numbered) -> None:
    here.logged(AGE)
    gone = here.logged(AGE)
    here.number()
    with here.store.writing(M) as work:
        work.versions.delete(gone, here.clock.now())
    here.logged(AGE)
    here.number()

    with here.store.reading() as work:
        assert str(work.semver.numbers([VersionRef(M, 3)])[VersionRef(M, 3)]) == "1.0.2"
    with pytest.raises(Conflict, match="given to fraud@2, which was deleted"):
        here.give(VersionRef(M, 3), "1.0.1")
    with pytest.raises(NotFound):
        semver.version_of(here.ports, M, SemanticVersion.parse("1.0.1"))


@on_sqlite
def test_versions_from_before_lockgate_keep_the_tag_they_brought_where_it_is_a_number_that_fits(here: Numbered) -> None:
    for number, tag in enumerate(("2.1.0", "2.0.0", "blue", None), 1):
        tags = {} if tag is None else {"model_version": tag}
        here.mlflow.version(M, number, location=f"mem:/{number}", tags=tags)
        here.artifacts.put(f"mem:/{number}")
    with here.store.writing(None) as work:
        work.adoption.take_over(work.policies.in_force())
    here.number()

    found = {each.ref.version: (str(each.number), each.origin) for each in semver.of_model(here.ports, M)}
    assert found == {
        1: ("2.1.0", "tag"),
        2: ("2.1.1", "signature"),
        3: ("2.1.2", "signature"),
        4: ("2.1.3", "signature"),
    }


@on_sqlite
def test_nothing_of_mlflows_changes_by_itself_on_versions_from_before_and_a_move_brings_the_tag(here: Numbered) -> None:
    tags = ("2.1.0", "blue", None)
    for number, tag in enumerate(tags, 1):
        here.mlflow.version(M, number, location=f"mem:/{number}", tags={} if tag is None else {"model_version": tag})
        here.artifacts.put(f"mem:/{number}")
    with here.store.writing(None) as work:
        work.adoption.take_over(work.policies.in_force())
    here.number()
    assert tuple(here.tag(VersionRef(M, number), "model_version") for number in (1, 2, 3)) == tags

    for number in (1, 2, 3):
        here.done(VersionRef(M, number), STAGING)
    moved = tuple(here.tag(VersionRef(M, number), "model_version") for number in (1, 2, 3))
    assert moved == ("2.1.0", "blue", "2.1.2")


@on_sqlite
def test_what_changed_between_any_two_versions_can_be_asked(here: Numbered) -> None:
    first, _second, third = here.logged(AGE), here.logged(AGE), here.logged(AGE, NOTE)
    unseen = semver.of_version(here.ports, first)
    assert (unseen.numbered.number, unseen.changes) == (None, None)
    here.number()

    against = semver.of_version(here.ports, third, first)
    assert [str(change) for change in against.changes or ()] == ["new optional input: note (string)"]
    assert semver.of_version(here.ports, first).changes is None
    assert semver.version_of(here.ports, M, SemanticVersion(1, 1, 0)) == third


def test_two_controllers_that_number_at_once_give_each_number_once_and_in_order(here: Numbered) -> None:
    for _ in range(25):
        here.logged(AGE)
    wrong: list[BaseException] = []

    def work() -> None:
        numberer = Numberer(here.ports, SqlNumbering(here.store))
        try:
            while numberer.step() != LOOK_SECONDS:
                pass
        except BaseException as error:  # noqa: BLE001 - told by the test that waits for it
            wrong.append(error)

    threads = [Thread(target=work) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert wrong == []
    here.clock.forward(seconds=2)  # what one of them had to leave to the other
    here.number()

    assert here.numbers() == {number: f"1.0.{number - 1}" for number in range(1, 26)}
