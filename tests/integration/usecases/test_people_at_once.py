"""What holds when several people, or servers, do it at the same moment, on both databases."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from threading import Barrier

from lockgate.domain.access import Grant, Role
from lockgate.domain.errors import Conflict, LockgateError, Unauthenticated
from lockgate.domain.identity import Who
from lockgate.testing.passwords import OpenPasswords
from lockgate.usecases import login, people
from lockgate.usecases.ports import Ports
from tests.integration.usecases.world import World

PASSWORDS = OpenPasswords()
CLAIM = Who("whoever", via="cli")
ADMIN = Grant(Role.ADMIN)


def at_once(*acts: Callable[[], object]) -> list[object]:
    """What each came to: what it gave, or the error it ended with."""
    start = Barrier(len(acts))

    def run(act: Callable[[], object]) -> object:
        start.wait(20)
        try:
            return act()
        except LockgateError as error:
            return error

    with ThreadPoolExecutor(len(acts)) as pool:
        return list(pool.map(run, acts))


def administrators(ports: Ports) -> list[str]:
    with ports.store.reading() as work:
        return [each.name for each in work.people.all() if each.active and ADMIN in each.grants]


def test_of_several_first_ones_exactly_one_becomes_the_administrator(world: Callable[[], World]) -> None:
    ports = world().ports
    ended = at_once(*(lambda name=name: people.add(ports, PASSWORDS, name, CLAIM) for name in ("ana", "ben", "cleo")))

    assert len(administrators(ports)) == 1
    assert sum(isinstance(each, Unauthenticated) for each in ended) == 2, "the others came too late to come unknown"


def test_of_several_servers_exactly_one_makes_the_first_administrator(world: Callable[[], World]) -> None:
    built = world()
    servers = [built.ports_of(f"server-{number}") for number in range(3)]
    made = at_once(*(lambda ports=ports: people.first_admin(ports, PASSWORDS) for ports in servers))

    assert [type(each) for each in sorted(made, key=str)].count(str) == 1
    assert administrators(built.ports) == ["admin"]


def test_two_administrators_who_disable_each_other_at_once_leave_one(world: Callable[[], World]) -> None:
    ports = world().ports
    people.add(ports, PASSWORDS, "ana", CLAIM)
    ana, ben = Who("ana", verified=True), Who("ben", verified=True)
    people.add(ports, PASSWORDS, "ben", ana, grants=[ADMIN])
    at_once(
        lambda: people.disable(ports, "ben", ana),
        lambda: people.disable(ports, "ana", ben),
        lambda: people.revoke(ports, "ana", ADMIN, ben),
    )

    assert len(administrators(ports)) == 1


def test_of_two_names_that_look_the_same_one_is_taken(world: Callable[[], World]) -> None:
    ports = world().ports
    people.add(ports, PASSWORDS, "boss", CLAIM)
    boss = Who("boss", verified=True)
    ended = at_once(*(lambda name=name: people.add(ports, PASSWORDS, name, boss) for name in ("Zoë", "zoë", "ZOË")))

    assert sum(isinstance(each, Conflict) for each in ended) == 2


def test_guesses_at_the_same_moment_end_like_those_one_after_the_other(world: Callable[[], World]) -> None:
    built = world()
    people.add(built.ports, PASSWORDS, "boss", CLAIM)
    servers = [built.ports_of(f"server-{number}") for number in range(4)]

    def guess(ports: Ports) -> None:
        for _ in range(login.MOST_BOTH):
            try:
                login.by_password(ports, PASSWORDS, "boss", "wrong", "192.0.2.1")
            except Unauthenticated as refusal:
                if refusal.wait:
                    return

    at_once(*(lambda ports=ports: guess(ports) for ports in servers))
    with built.ports.store.reading() as work:
        failed = work.people.failures("boss", "192.0.2.1", built.clock.now() - login.WINDOW).both.number
        told = work.record.read(action="people:locked")
    assert login.MOST_BOTH <= failed < login.MOST_BOTH + len(servers), "each server looks at one more at most"
    assert len(told) == 1
