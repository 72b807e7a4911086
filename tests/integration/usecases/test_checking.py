"""A result from outside is about the files that are pinned, stands on the record, and wakes what waits for it."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from lockgate.domain.access import Grant, Person, Role
from lockgate.domain.errors import BadInput, Conflict, Forbidden, NotFound, Unreadable
from lockgate.domain.identity import PERSON, SERVICE, Who
from lockgate.domain.versions import VersionRef
from lockgate.usecases import checks
from tests.databases.backends import on_sqlite
from tests.integration.usecases.world import ANA, PRODUCTION, M, World

pytestmark = on_sqlite  # what is SQL of it is in tests/contracts, on both databases
Worlds = Callable[[str], World]
CHANGED = ("MLmodel", b"changed")


def report(here: World, ref: VersionRef, name: str = "bias", who: Who = ANA, **how: object) -> str:
    told = checks.Report(ref, name, **{"passed": True, **how})  # type: ignore[arg-type]
    return checks.report(here.ports, told, who).digest


def test_a_report_pins_the_files_and_stands_on_the_record_with_their_digest(world: Worlds) -> None:
    here = world("")
    ref = here.register()
    with here.records("version:pinned", "check:reported"):
        digest = report(here, ref, comment="größe 'x'\n", url="https://ci/1")

    assert digest == here.row(ref).digest
    entry = here.recorded("check:reported")[0].plain
    assert (entry["before"], entry["after"], entry["reason"]) == (None, "passed", "größe 'x'\n")
    assert entry["detail"] == {"check": "bias", "digest": digest, "url": "https://ci/1"}


def test_a_later_report_of_the_same_name_replaces_the_earlier_and_both_stay(world: Worlds) -> None:
    here = world("")
    ref = here.register()
    report(here, ref)
    here.clock.forward(hours=-1)  # a clock may go backwards
    report(here, ref, passed=False)

    assert [each.passed for each in checks.listed(here.ports, ref)] == [False]
    assert [each.passed for each in checks.listed(here.ports, ref, every=True)] == [False, True]
    assert here.recorded("check:reported")[-1].plain["before"] == "passed"


def test_a_report_about_files_that_are_not_those_that_were_pinned_is_refused(world: Worlds) -> None:
    here = world("")
    ref, unread = here.register(), here.register()
    digest = report(here, ref)
    here.artifacts.change("mem:/1", *CHANGED)
    here.artifacts.change("mem:/2", "MLmodel", None)

    with here.records():
        with pytest.raises(Conflict, match="no longer what was pinned: changed MLmodel"):
            report(here, ref)
        with pytest.raises(Unreadable, match="cannot be read"):
            report(here, unread)
    here.artifacts.change("mem:/2", "MLmodel", b"{}")
    with pytest.raises(Conflict, match=f"about the artifacts {digest}"):
        report(here, unread, digest=digest)
    assert checks.listed(here.ports, unread) == []
    assert report(here, unread, digest=here.row(unread).digest)


def test_bad_input_is_refused_before_anything_is_pinned(world: Worlds) -> None:
    here = world("")
    ref = here.register()
    here.mlflow.model("hello", tags={"mlflow.prompt.is_prompt": "true"})
    here.mlflow.version("hello", 1)
    with here.records():
        for wrong in ({"name": "Bias!"}, {"url": "ftp://x"}, {"comment": "x" * 2_001}):
            with pytest.raises(BadInput):
                report(here, ref, **wrong)  # type: ignore[arg-type]
        with pytest.raises(BadInput, match="is a prompt"):
            report(here, VersionRef("hello", 1))
        for nobody in (VersionRef(M, 9), VersionRef("nobody", 1)):
            with pytest.raises(NotFound):
                report(here, nobody)
            with pytest.raises(NotFound):
                checks.listed(here.ports, nobody)
    assert here.row(ref).digest is None


def test_names_without_end_are_refused(world: Worlds, monkeypatch: pytest.MonkeyPatch) -> None:
    here = world("")
    ref = here.register()
    monkeypatch.setattr(checks, "MOST_NAMES", 2)
    for name in ("a", "b"):
        report(here, ref, name)

    with pytest.raises(Conflict, match="2 different names"):
        report(here, ref, "c")
    report(here, ref, "b", passed=False)


@pytest.mark.parametrize(
    ("kind", "grant", "may"),
    [
        (SERVICE, Grant(Role.CONTRIBUTOR), True),
        (SERVICE, Grant(Role.CONTRIBUTOR, "other-*"), False),
        (SERVICE, Grant(Role.VIEWER), False),
        (PERSON, Grant(Role.CONTRIBUTOR), False),
        (PERSON, Grant(Role.APPROVER), False),
        (PERSON, Grant(Role.OPERATOR, "fraud"), True),
        (PERSON, Grant(Role.ADMIN), True),
    ],
)
def test_once_there_are_people_a_service_account_or_an_operator_reports(
    world: Worlds, kind: str, grant: Grant, may: bool
) -> None:
    here = world("")
    ref = here.register()
    with here.store.writing(None) as work:
        work.people.add(Person("robo", kind, here.clock.now(), "ana", (grant,)), ANA)
    robo = Who("robo", verified=True, kind=kind)

    if may:
        with here.records("version:pinned", "check:reported"):
            report(here, ref, who=robo)
        return
    with here.records("access:refused"), pytest.raises(Forbidden, match="To report a check takes the role"):
        report(here, ref, who=robo)
    assert here.row(ref).digest is None


def test_a_promotion_that_waits_looks_again_when_a_check_is_reported(world: Worlds) -> None:
    here = world("level: enforce\nstages:\n  Production:\n    requires:\n      checks: [bias]\n")
    ref = here.register()
    opened = here.look(here.promote(ref, PRODUCTION))
    assert opened.state == "waiting"
    assert "bias" in opened.because

    report(here, ref)

    assert here.look(opened).state == "done"
