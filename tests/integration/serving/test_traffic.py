"""Requests that find their model and their version, on real workers: at whichever port, and while workers die."""

from __future__ import annotations

import os
import signal
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

from lockgate.domain.serving import GroupState, Release
from lockgate.domain.traffic import Share, Split
from tests.integration.serving.machine import SPLIT, Client, Heard, Machine, until
from tests.integration.serving.models import release

FRAUD, CREDIT = "/models/fraud%20model/invocations", "/models/credit/invocations"


def _change(machine: Machine, endpoint: str = "e1", model: str = "", **change: Any) -> None:
    """Put something else on the record of an endpoint."""
    want = next(want for want in machine.ledger.desired() if want.endpoint.id == endpoint)
    if model:
        want = replace(want, endpoint=replace(want.endpoint, model=model))
    machine.ledger.want(replace(want, **change))


def _two_models(machine: Machine) -> None:
    machine.want(endpoint="e1")
    machine.want(endpoint="e2")
    _change(machine, "e2", model="credit")
    machine.begin()
    machine.serve(release(1, machine.models.first))
    machine.serve(release(5, machine.models.first, endpoint="e2", name="credit"))


def _whose(heard: Heard) -> tuple[str, str]:
    return heard.headers["x-lockgate-model"], heard.headers["x-lockgate-version"]


def _once_known(client: Client) -> None:
    until(lambda: client.ask(CREDIT, SPLIT).status == 200, "a worker that knows of the other model")


def test_any_port_of_an_environment_answers_for_all_its_models_also_when_one_is_swapped(
    machine: Machine, rounds: Callable[[int, int], int]
) -> None:
    _two_models(machine)
    client = machine.client("e1")
    _once_known(client)
    assert _whose(client.ask(CREDIT, SPLIT)) == ("credit", "5")
    assert _whose(client.predict()) == ("fraud%20model", "1"), "the port keeps its meaning"
    others = [machine.client(endpoint) for endpoint in ("e1", "e1", "e2")]
    for other in others:
        _once_known(other)
    for turn in range(rounds(1, 20)):
        number = 6 - turn % 2
        model = machine.models.second if number == 6 else machine.models.first
        green = replace(release(number, model, endpoint="e2", name="credit"), id=f"r6-{turn}")
        machine.ledger.warm("e2", green)
        machine.seen(green.id, GroupState.READY, "e2")
        seen = _asked_during_the_swap_to(machine, green, others)
        assert {heard.status for _, heard in seen} == {200}
        assert {_whose(heard) for over, heard in seen if over} == {("credit", str(number))}
        assert all((heard.told["predictions"][0] >= 100) == (heard.version == "6") for _, heard in seen)


def _asked_during_the_swap_to(machine: Machine, green: Release, clients: Sequence[Client]) -> list[tuple[bool, Heard]]:
    """Answers about the other model: whether the swap was over when it was asked, and what was heard."""
    generation = machine.ledger.commit("e2", green)
    seen: list[tuple[bool, Heard]] = []

    def done() -> bool:
        over = machine.ledger.endpoint("e2").acknowledged == generation
        seen.extend((over, client.ask(CREDIT, SPLIT)) for client in clients)
        return over

    until(done, "the swap")
    return [*seen, *((True, client.ask(CREDIT, SPLIT)) for client in [*clients] * 10)]


def test_when_the_other_models_worker_dies_clients_of_this_one_hear_so_and_soon_get_answers_again(
    machine: Machine,
) -> None:
    _two_models(machine)
    client = machine.client("e2")
    until(lambda: client.ask(FRAUD, SPLIT).status == 200, "a worker that knows of the other model")
    for _ in range(4):  # a connection that changes models so often stays, with the first one's worker here
        assert _whose(client.ask(CREDIT, SPLIT)) == ("credit", "5")
        assert _whose(client.ask(FRAUD, SPLIT)) == ("fraud%20model", "1")
    (pid,) = machine.seen("r5", GroupState.SERVING, "e2").pids
    os.kill(pid, signal.SIGKILL)
    heard = Counter(client.ask(CREDIT, SPLIT).status for _ in range(20))
    assert set(heard) <= {200, 503}, "what comes meanwhile waits at the port for the next worker"
    assert heard[200] > 0
    assert client.ask(FRAUD, SPLIT).status == 200
    assert client.ask(CREDIT, SPLIT).status == 200
    assert _whose(client.predict()) == ("credit", "5"), "its port keeps its meaning"


def test_versions_share_an_endpoint_in_one_process_and_a_shadow_has_its_own(machine: Machine) -> None:
    models = machine.models
    primary, other, shadow = release(7, models.first), release(8, models.second), release(9, models.second)
    machine.want()
    machine.begin()
    machine.serve(primary)
    _change(machine, beside=(other, shadow), split=Split((Share(8, 50.0),), shadow=9))
    client = machine.client()
    until(lambda: client.ask("/models/fraud%20model/versions/9/invocations", SPLIT).status == 200, "the shadow")
    until(lambda: client.predict().version == "8", "a share")
    assert machine.seen("r9", GroupState.READY).pids != machine.seen("r7", GroupState.SERVING).pids
    assert "r8" not in machine.ledger.observed("e1"), "it lives in the workers of the primary version"
    heard = [client.predict() for _ in range(100)]
    found = Counter(answer.version for answer in heard)
    assert set(found) == {"7", "8"}
    assert 20 < found["8"] < 80
    assert all((answer.told["predictions"][0] >= 100) == (answer.version == "8") for answer in heard)
    told = client.ask("/metrics").body.decode()
    assert "lockgate_requests_passed_total{" in told
    assert 'how="shadowed"' in told
    (pid,) = machine.seen("r9", GroupState.READY).pids
    os.kill(pid, signal.SIGKILL)
    assert {client.predict().status for _ in range(20)} == {200}, "nobody waits for a shadow"
    _change(machine, beside=(), split=None)
    until(lambda: client.ask("/models/fraud%20model/versions/8/invocations", SPLIT).status == 404, "the end of it")
    assert {client.predict().version for _ in range(20)} == {"7"}
    until(lambda: "r9" not in machine.ledger.observed("e1"), "the shadow leaving")
