"""Approvals where everybody logs in: who may answer, by which token, in whose place, and the policy's second person."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta

import pytest
from starlette.applications import Starlette
from starlette.routing import Mount

from lockgate.adapters.policyfile import parse_policy
from lockgate.domain.access import Grant, Person, Role
from lockgate.domain.identity import PERSON, Who
from lockgate.sdk.client import Lockgate
from lockgate.sdk.errors import Conflict, Forbidden
from lockgate.server.api.app import create_api
from lockgate.server.authorise import Leaves
from lockgate.server.identity import Identity
from lockgate.server.logins import Logins, proofs_of
from lockgate.testing.passwords import OpenPasswords
from lockgate.usecases import registry
from lockgate.wire.requests import PREFIX
from tests.databases.backends import SqliteBackend
from tests.databases.postgres import shared_folder
from tests.integration.api.conftest import POLICY, listening, running

GOOD = "four words nobody chose"
ROLES = {
    "ana": Role.CONTRIBUTOR, "ben": Role.APPROVER, "vic": Role.VIEWER, "boss": Role.ADMIN, "second": Role.ADMIN,
}  # fmt: skip
As = Callable[..., Lockgate]


@pytest.fixture
def as_(tmp_path_factory: pytest.TempPathFactory) -> Iterator[As]:
    """`as_("ben")`: a client that logged in as ben. fraud@1 and fraud@2 are registered."""
    backend = SqliteBackend(tmp_path_factory.mktemp("guarded"), shared_folder(tmp_path_factory))
    clients: list[Lockgate] = []
    with running(backend.fresh()) as machine:
        passwords, ports = OpenPasswords(), machine.ports
        for number in (1, 2):
            machine.register("fraud", number, team="risk")
        with ports.store.writing(None) as work:
            for name, role in ROLES.items():
                person = Person(name, PERSON, ports.clock.now(), "boss", (Grant(role),), has_password=True)
                work.people.add(person, Who("boss", verified=True))
                work.people.set_password(name, passwords.keep(GOOD), must_change=False, at=ports.clock.now())
        api = create_api(ports, passwords, parse_policy=parse_policy)
        leaves = Leaves(lambda who, asked, model, why: registry.refused(ports, model, asked, who, why))
        app = Identity(Starlette(routes=[Mount(PREFIX, app=api)]), Logins(proofs_of(ports, passwords)), leaves)
        with listening(app) as url:

            def client(name: str, password: str | None = GOOD, **more: str) -> Lockgate:
                clients.append(Lockgate(url, name, password=password, timeout=20, **more))
                return clients[-1]

            yield client
            for each in clients:
                each.close()
    backend.close()


def test_who_answers_is_the_person_whatever_token_and_a_stand_in_needs_no_role_of_their_own(as_: As) -> None:
    ana, ben, vic, boss = (as_(name) for name in ("ana", "ben", "vic", "boss"))
    ana.promote("fraud@1", "staging", wait=20)
    boss.request("fraud@1", "better")
    token = boss.tokens.create(label="another door", roles=("approver",)).secret
    with (
        Lockgate(boss.url, token=token, timeout=20) as other_door,
        pytest.raises(Forbidden, match="may not approve it"),
    ):
        other_door.approve("fraud@1")
    with pytest.raises(Forbidden, match="takes the role approver or admin on the model fraud"):
        vic.approve("fraud@1")
    with pytest.raises(Forbidden):
        as_("ben", None).approve("fraud@1")
    ben.delegations.give("vic", datetime.now(UTC) + timedelta(days=1), "holiday")
    answered = vic.approve("fraud@1", "in ben's place")
    assert (answered.state, answered.decisions[-1].behalf) == ("approved", "ben")
    assert answered.decisions[-1].who.verified
    boss.people.disable("ben", "left")
    (open_gate,) = ana.plan("fraud@1").verdict.open
    assert "ben has not the role to approve any more" in open_gate.because
    with pytest.raises(Forbidden):
        vic.request("fraud@1", "I may not ask")
    with pytest.raises(Forbidden, match="has not approved"):
        ana.withdraw("fraud@1", "not mine")


def test_an_emergency_takes_roles_and_a_policy_takes_two_administrators(as_: As) -> None:
    ana, ben, vic, boss, second = (as_(name) for name in ("ana", "ben", "vic", "boss", "second"))
    with pytest.raises(Forbidden, match="break the glass"):
        ana.break_glass.ask("fraud@2", "I want to")
    glass = ben.break_glass.ask("fraud@2", "the till is down")
    with pytest.raises(Forbidden):
        vic.break_glass.confirm(glass.id)
    assert boss.break_glass.confirm(glass.id).promotion.state == "done"
    assert second.break_glass.review(glass.id, "it was right").state == "reviewed"
    assert ana.status("fraud").versions[0].stage == "Production"

    applied = boss.policies.apply(POLICY + "max_endpoints: 3\n", reason="fewer")
    assert (applied.in_force, bool(applied.proposal)) == (False, True)
    for who in (boss, ben):
        with pytest.raises(Forbidden):
            who.proposals.approve(applied.proposal)
    assert second.proposals.approve(applied.proposal, "agreed").decided_by is not None
    assert boss.policy().digest == applied.digest
    with pytest.raises(Conflict):
        second.proposals.reject(applied.proposal, "too late")
