"""Whatever people do, in any order and by any clock: the gate opens for enough of the right ones and no others."""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from random import Random

from lockgate.domain.access import Grant, Person, Role
from lockgate.domain.errors import LockgateError
from lockgate.domain.identity import PERSON, Who
from lockgate.domain.verdict import Gate
from lockgate.domain.versions import VersionRef
from lockgate.usecases import approve, delegate, plan, withdraw
from tests.integration.usecases.world import PRODUCTION, World

POLICY = """
level: enforce
stages:
  Staging: {}
  Production: {min_accuracy: 0.5, approval_required: {approvals: 2, expires: 2d}}
"""
ROLES = {
    "ana": Role.CONTRIBUTOR, "boss": Role.ADMIN, "ben": Role.APPROVER, "cara": Role.APPROVER, "dana": Role.VIEWER,
}  # fmt: skip
APPROVERS = {name for name, role in ROLES.items() if role in (Role.ADMIN, Role.APPROVER)}
LENGTH = timedelta(days=2)


@dataclass
class Yes:
    hand: str
    voice: str
    plan: str
    at: datetime
    taken_back: bool = False

    @property
    def people(self) -> set[str]:
        return {self.hand, self.voice}


@dataclass
class Model:
    """What a careful clerk would have written down beside it."""

    requester: str = ""
    rejected: bool = False
    yeses: list[Yes] = field(default_factory=list)
    gone: set[str] = field(default_factory=set)

    def good(self, plan_now: str, now: datetime) -> list[Yes]:
        return [
            yes
            for yes in self.yeses
            if yes.plan == plan_now and not yes.taken_back and yes.at <= now < yes.at + LENGTH
            and self.requester not in yes.people and not yes.people & self.gone and yes.voice in APPROVERS
        ]  # fmt: skip


class People:
    """Does things at random to one version, and keeps the clerk's book."""

    def __init__(self, here: World, random: Random) -> None:
        self.here, self.random, self.book = here, random, Model()
        self.ref: VersionRef = here.register()
        with here.store.writing(None) as work:
            for name, role in ROLES.items():
                work.people.add(Person(name, PERSON, here.clock.now(), "x", (Grant(role),)), Who("x", verified=True))

    def act(self) -> None:
        deed = self.random.choice(
            (self.ask, self.approve, self.approve, self.approve, self.withdraw, self.reject, self.leave, self.come_back,
             self.delegate, self.change, self.wait)
        )  # fmt: skip
        with contextlib.suppress(LockgateError):
            deed()

    def ask(self) -> None:
        if self.book.requester and self.random.random() < 0.6:
            return
        who = self._who("ana", "boss", "ben")
        approve.request(self.here.ports, self.ref, who, "please")
        self.book.requester, self.book.rejected, self.book.yeses = who.name, False, []

    def approve(self) -> None:
        made = approve.decide(self.here.ports, self.ref, self._who(*ROLES), approved=True, comment="yes")
        last = made.decisions[-1]
        self.book.yeses.append(Yes(last.who.name, last.voice, last.plan_digest, last.at))

    def withdraw(self) -> None:
        who = self._who(*ROLES)
        after = withdraw.withdraw(self.here.ports, self.ref, who, "no")
        if after.state == "withdrawn":
            self.book.requester = ""
        for yes in self.book.yeses:
            yes.taken_back = yes.taken_back or who.name in yes.people or after.state == "withdrawn"

    def reject(self) -> None:
        if self.random.random() < 0.2:
            approve.decide(self.here.ports, self.ref, self._who(*APPROVERS), approved=False, comment="no")
            self.book.rejected = True

    def leave(self) -> None:
        self._disable(self._who(*ROLES).name, self.here.clock.now())

    def come_back(self) -> None:
        for name in sorted(self.book.gone):
            self._disable(name, None)

    def delegate(self) -> None:
        until = self.here.clock.now() + timedelta(days=1)
        delegate.give(self.here.ports, self._who(*APPROVERS), self.random.choice(["dana", "ana"]), until, "away")

    def change(self) -> None:
        with self.here.engine.begin() as connection:
            connection.exec_driver_sql(f"UPDATE latest_metrics SET value = {self.random.choice([0.7, 0.8])}")

    def wait(self) -> None:
        self.here.clock.forward(hours=self.random.choice([-5, 1, 9, 30]))

    def gate(self) -> tuple[Gate, str]:
        found = plan.plan(self.here.ports, self.ref, PRODUCTION)
        return next(each for each in found.verdict.gates if each.name == "approval_required"), found.digest

    def _disable(self, name: str, at: datetime | None) -> None:
        with self.here.store.writing(None) as work:
            work.people.set_disabled(name, at)
        self.book.gone ^= {name} if (at is None) == (name in self.book.gone) else set()

    def _who(self, *names: str) -> Who:
        return Who(self.random.choice(sorted(names)), verified=True, via="test")


def test_the_gate_opens_for_two_good_yeses_and_never_otherwise(
    quick: Callable[[str], World], rounds: Callable[[int, int], int]
) -> None:
    opened = 0
    for seed in range(2, 2 + rounds(1, 40)):
        here = quick(POLICY)
        people = People(here, Random(seed))
        for step in range(30):
            people.act()
            gate, digest = people.gate()
            good = people.book.good(digest, here.clock.now())
            told = (seed, step, gate, people.book)
            if gate.standing == "holds":
                opened += 1
                assert not people.book.rejected, told
                assert len({yes.voice for yes in good}) >= 2, told
                assert len({yes.hand for yes in good}) >= 2, told
            elif not people.book.rejected and all(yes.hand == yes.voice for yes in good):
                assert len({yes.voice for yes in good}) < 2, told
    assert opened, "no random walk ever got two yeses: the test looks at nothing"
