"""Every route, through the Python client."""

from __future__ import annotations

import socket
from datetime import UTC, datetime, timedelta

import pytest

from lockgate.domain.identity import Who
from lockgate.domain.promotion import Kind, Promotion, PromotionState
from lockgate.domain.serving import EndpointState, Release
from lockgate.domain.stages import Stage
from lockgate.domain.versions import VersionRef
from lockgate.sdk.client import Lockgate
from lockgate.sdk.errors import BadRequest, Conflict, Forbidden, NotFound, Refused, Unreachable, Waiting
from tests.integration.api.conftest import POLICY, Machine, listening

NOW = datetime.now(UTC)


def test_the_whole_way_of_a_version(machine: Machine):
    machine.register("fraud", 1, team="risk")
    with machine.as_("ada") as ada, machine.as_("ben") as ben:
        assert [model.model for model in ada.status().models] == ["fraud"]
        plan = ada.plan("fraud@1", "staging")
        assert (plan.stage, plan.verdict.standing) == ("Staging", "holds")
        staged = ada.promote("fraud@1", "staging", reason="first", wait=20)
        assert (staged.state, staged.stage, staged.asked_by.name) == ("done", "Staging", "ada")

        opened = ada.promote("fraud@1")
        assert (opened.state, opened.is_over) == ("waiting", False)
        assert ada.promote("fraud@1").id == opened.id
        with pytest.raises(Waiting) as waits:
            ada.promote("fraud@1", wait=0.1)
        assert [gate.name for gate in waits.value.gates if gate.standing == "waits"] == ["approval_required"]
        assert ada.promotions("fraud")[0].id == opened.id

        asked = ada.request("fraud@1", "better than the last")
        assert [request.id for request in ada.approvals()] == [asked.id]
        with pytest.raises(Forbidden, match="may not approve it"):
            ada.approve("fraud@1")
        decided = ben.approve("fraud@1", "looks right")
        assert (decided.state, decided.decisions[0].who.name) == ("approved", "ben")
        assert ada.approvals() == ()

        status = ada.status("fraud")
        assert status.versions[0].stage == "Staging"
        assert status.versions[0].open_promotion is not None
        assert status.versions[0].missing == ()
        cancelled = ben.cancel(opened.id)
        assert cancelled.state == "cancelled"
        with pytest.raises(Conflict):
            ben.cancel(opened.id)
        assert ada.promotion(opened.id).because.startswith("cancelled by ben")

        assert ada.promote("fraud@1", wait=20).state == "done"
        assert ada.status("fraud").versions[0].stage == "Production"
        entries = ada.audit("fraud")
        assert entries[-1].number == 1
        assert {"approval:approved", "promotion:cancelled"} <= {entry.action for entry in entries}
        assert [entry.action for entry in ada.audit("fraud", "approval:approved")] == ["approval:approved"]
        assert len(ada.audit(limit=2)) == 2
        check = ada.verify_audit()
        assert check.holds
        assert check.entries >= len(entries)


def test_a_refusal_tells_its_gates(machine: Machine):
    machine.register("fraud", 1)
    with machine.as_("ada") as ada, pytest.raises(Refused, match="team") as refused:
        ada.promote("fraud@1", "Staging")

    assert [gate.name for gate in refused.value.gates if gate.standing == "fails"] == ["required_tags"]
    assert refused.value.promotion
    with machine.as_("ada") as ada:
        assert ada.promotion(refused.value.promotion).state == "refused"


def test_a_rejection_is_on_the_request(machine: Machine):
    machine.register("fraud", 1, team="risk")
    with machine.as_("ada") as ada, machine.as_("ben") as ben:
        ada.request("fraud@1", "please")
        rejected = ben.reject("fraud@1", "too early")

    assert (rejected.state, rejected.decisions[0].comment) == ("rejected", "too early")


def test_a_validation_is_queued_once(machine: Machine):
    machine.register("fraud", 1)
    with machine.as_("ada") as ada:
        queued = ada.validate("fraud@1")
        assert (queued.state, queued.trigger) == ("queued", "asked")
        assert ada.validate("fraud@1").id == queued.id
        assert ada.validation(queued.id) == queued
        assert ada.validations("fraud") == (queued,)
        with pytest.raises(Waiting):
            ada.validate("fraud@1", wait=0.1)


def test_the_policy_is_told_and_a_text_is_checked(machine: Machine):
    with machine.as_("ada") as ada:
        policy, right, wrong = ada.policy(), ada.check_policy(POLICY), ada.check_policy("stages:\n  Prod: {}\n")

    assert (policy.level, policy.builtin, policy.text) == ("enforce", False, POLICY)
    assert (right.valid, right.digest) == (True, policy.digest)
    assert not wrong.valid
    assert ":2:" in wrong.because


@pytest.mark.parametrize(
    ("call", "kind"),
    [
        (lambda ada: ada.status("nobody"), NotFound),
        (lambda ada: ada.plan("nobody@1"), NotFound),
        (lambda ada: ada.promote("nobody@1"), NotFound),
        (lambda ada: ada.promote("fraud@1", "Prod"), BadRequest),
        (lambda ada: ada.promote(("fraud", 0)), BadRequest),
        (lambda ada: ada.promotion("prm_none"), NotFound),
        (lambda ada: ada.cancel("prm_none"), NotFound),
        (lambda ada: ada.validate("fraud@9"), NotFound),
        (lambda ada: ada.validation("val_none"), NotFound),
        (lambda ada: ada.validations("nobody"), NotFound),
        (lambda ada: ada.request("fraud@1", " "), BadRequest),
        (lambda ada: ada.approve("fraud@1"), NotFound),
        (lambda ada: ada.reject("fraud@1", ""), BadRequest),
        (lambda ada: ada.rollback("fraud", "bad"), Conflict),
        (lambda ada: ada.rollback("fraud", ""), BadRequest),
        (lambda ada: ada.rollback("nobody", "bad"), NotFound),
        (lambda ada: ada.rollback("fraud", "bad", environment="moon"), BadRequest),
        (lambda ada: ada.rollouts("nobody"), NotFound),
        (lambda ada: ada.retire("production", "fraud"), NotFound),
        (lambda ada: ada.audit(limit=1001), BadRequest),
        (lambda ada: ada.promotions(limit=0), BadRequest),
    ],
)
def test_every_wrong_question_has_an_error_that_says_what_to_do(still: Machine, call, kind):
    with still.as_("ada") as ada, pytest.raises(kind) as caught:
        call(ada)

    assert type(caught.value) is kind
    assert caught.value.message


def test_an_endpoint_is_told_with_what_serves_there_and_can_be_retired_when_vacant(machine: Machine):
    ref = machine.register("fraud", 1, team="risk")
    with machine.ports.store.writing("fraud") as work:
        work.endpoints.create("ep_1", "production", "fraud", NOW)
        for number, id in ((1, "rel_1"), (1, "rel_2")):
            release = Release(id, "ep_1", VersionRef("fraud", number), "sha256:" + id, "mlflow", "", NOW)
            work.endpoints.warm("ep_1", release)
            work.endpoints.commit("ep_1", id, NOW)
        work.endpoints.set_state("ep_1", EndpointState.VACANT, "its version left")

    with machine.as_("ada") as ada:
        (endpoint,) = ada.endpoints()
        assert (endpoint.environment, endpoint.version, endpoint.state) == ("production", ref.version, "vacant")
        assert (endpoint.generation, endpoint.acknowledged, endpoint.port, endpoint.url) == (2, 0, None, None)
        assert ada.status().models[0].endpoints == (endpoint,)
        assert ada.status("fraud").endpoints == (endpoint,)
        assert ada.retire("production", "fraud").state == "retired"
        assert ada.endpoints() == ()


def test_a_rollout_says_from_which_version_to_which(machine: Machine):
    for number in (1, 2, 3):
        machine.register("fraud", number, team="risk")
    ends = [PromotionState.DONE, PromotionState.DONE, PromotionState.FAILED]
    with machine.ports.store.writing("fraud") as work:
        work.endpoints.create("ep_1", "production", "fraud", NOW)
        for number, state in enumerate(ends, start=1):
            at = NOW + timedelta(minutes=number)
            work.promotions.add(_moved(number, state, at), due_at=at)

    with machine.as_("ada") as ada:
        third, second, first = ada.rollouts("fraud")

    assert [(r.from_version, r.to_version) for r in (first, second, third)] == [(None, 1), (1, 2), (2, 3)]
    assert (third.state, third.environment, third.id) == ("failed", "production", "prm_3")


def _moved(number: int, state: PromotionState, at: datetime) -> Promotion:
    return Promotion(
        id=f"prm_{number}",
        ref=VersionRef("fraud", number),
        stage=Stage.PRODUCTION,
        kind=Kind.PROMOTE,
        lasting=True,
        archive_existing=True,
        asked_by=Who("ada"),
        reason="",
        asked_at=at,
        state=state,
        endpoint="ep_1",
        generation=0 if state is PromotionState.FAILED else number,
        state_since=at,
        closed_at=at,
    )


def test_a_server_that_is_not_ready_or_not_there_is_told_apart(machine: Machine):
    with machine.as_("ada") as ada:
        assert ada.ready() is False  # nothing answers /ready here: the API is mounted alone
    with socket.create_server(("127.0.0.1", 0)) as silent:
        url = f"http://127.0.0.1:{silent.getsockname()[1]}"
        with (
            Lockgate(url, "ada", timeout=0.2) as ada,
            pytest.raises(Unreachable, match=r"did not answer within 0\.2 s"),
        ):
            ada.ready()
    with Lockgate(url, "ada") as ada, pytest.raises(Unreachable, match="Start it with: lockgate up"):
        ada.status()


@pytest.mark.parametrize("body", [b"<html>a stock MLflow</html>", b"[]", b'{"detail": "Not Found"}'])
def test_another_kind_of_server_is_not_taken_for_lockgate(body):
    async def other(scope, receive, send):
        await send({"type": "http.response.start", "status": 404, "headers": []})
        await send({"type": "http.response.body", "body": body})

    with listening(other) as url, Lockgate(url, "ada") as ada, pytest.raises(Unreachable, match="Set LOCKGATE_URL"):
        ada.status()


@pytest.mark.parametrize("name", ["Zoë Ångström", "a+b@example.org", "100 %"])
def test_any_name_arrives_as_it_was_given(machine: Machine, name):
    machine.register("fraud", 1, team="risk")
    with machine.as_(name) as caller:
        asked = caller.request("fraud@1", "ünï…")

    assert (asked.asked_by.name, asked.asked_by.verified, asked.asked_by.via) == (name, False, "sdk")
    assert asked.reason == "ünï…"
