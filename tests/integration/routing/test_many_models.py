"""Many models behind any port of their environment: connections that change hands, and requests that are passed on."""

from __future__ import annotations

import asyncio
import ssl
import subprocess
from pathlib import Path
from typing import Any

import pytest

from lockgate.usecases.login import secret_digest
from lockgate.worker.routing.traffic import Traffic
from tests.integration.routing.workers import Heard, Town, Worker


async def _pair(town: Town, **told: Any) -> tuple[Worker, Worker]:
    one, other = await town.worker("fraud", 1, **told), await town.worker("credit", 5, **told)
    for worker in (one, other):
        worker.knows(one, other)
    return one, other


def test_a_connection_goes_to_the_model_it_asks_for_and_its_own_port_keeps_its_meaning(tmp_path: Path) -> None:
    async def scene() -> list[Heard]:
        async with Town(tmp_path) as town:
            one, other = await _pair(town)
            client = await town.client(one)
            paths = ["/invocations", "/models/credit/invocations", "/models/credit/invocations", "/invocations"]
            heard = [await client.ask("POST", path, b"x") for path in paths]
            assert (one.watcher.ways, other.watcher.ways) == ({"handed": 1}, {"handed": 1})
            assert sum(one.watcher.answers.values()) == sum(other.watcher.answers.values()) == 2
            return heard

    heard = asyncio.run(scene())
    assert [answer.who for answer in heard] == [("fraud", "1"), ("credit", "5"), ("credit", "5"), ("fraud", "1")]
    assert [answer.body for answer in heard] == [b"1 x", b"5 x", b"5 x", b"1 x"]


def test_a_connection_that_changes_models_often_stays_and_its_requests_are_passed_on(tmp_path: Path) -> None:
    async def scene() -> None:
        async with Town(tmp_path) as town:
            one, other = await _pair(town)
            client = await town.client(one)
            for turn in range(20):
                model, number = (("credit", b"5"), ("fraud", b"1"))[turn % 2]
                heard = await client.ask(
                    "POST", f"/models/{model}/invocations", b"%d" % turn, x_request_id=f"id-{turn}"
                )
                assert (heard.status, heard.body) == (200, b"%s %d" % (number, turn))
                assert heard.headers["x-request-id"] == f"id-{turn}"
                assert heard.who[0] == model
            ways = one.watcher.ways + other.watcher.ways
            assert ways["handed"] == 3
            assert ways["forwarded"] == 9, "one of the two models is where the connection stays"

    asyncio.run(scene())


def test_pipelined_requests_for_two_models_are_answered_in_order(tmp_path: Path) -> None:
    async def scene() -> None:
        async with Town(tmp_path) as town:
            one, _ = await _pair(town)
            client = await town.client(one)
            for turn in range(30):
                client.send("POST", f"/models/{('fraud', 'credit')[turn % 3 == 0]}/invocations", b"%d" % turn)
            bodies = [(await client.hear()).body for _ in range(30)]
            assert bodies == [b"%d %d" % (5 if turn % 3 == 0 else 1, turn) for turn in range(30)]

    asyncio.run(scene())


def test_another_models_tokens_are_judged_where_that_model_is_served(tmp_path: Path) -> None:
    async def scene() -> None:
        async with Town(tmp_path) as town:
            one, other = await _pair(town)
            one.router.entrance.admit([secret_digest("lge_one")])
            other.router.entrance.admit([secret_digest("lge_other")])
            for secret, model, status in (
                ("lge_one", "fraud", 200), ("lge_other", "fraud", 401), ("lge_one", "credit", 401),
                ("lge_other", "credit", 200),
            ):  # fmt: skip
                for worker in (one, other):
                    client = await town.client(worker)
                    heard = await client.ask("POST", f"/models/{model}/invocations", authorization=f"Bearer {secret}")
                    assert heard.status == status, (secret, model)

    asyncio.run(scene())


def test_where_nobody_takes_a_request_the_client_hears_so_and_the_connection_goes_on(tmp_path: Path) -> None:
    async def scene() -> None:
        async with Town(tmp_path) as town:
            one, other = await _pair(town)
            other.close()
            client = await town.client(one)
            heard = await client.ask("POST", "/models/credit/invocations", b"x")
            assert (heard.status, heard.headers["retry-after"]) == (503, "1")
            assert (await client.ask("POST", "/invocations", b"y")).body == b"1 y"

    asyncio.run(scene())


def test_what_reaches_a_release_that_was_taken_over_is_answered_by_its_successor(tmp_path: Path) -> None:
    async def scene() -> None:
        async with Town(tmp_path) as town:
            one, blue = await _pair(town)
            green = await town.worker("credit", 6)
            green.knows(one, green)
            blue.router.turn(Traffic.FORWARD, [green.folder])
            often = await town.client(one)
            for _ in range(6):  # it is not told of green yet
                assert (await often.ask("POST", "/models/credit/invocations", b"x")).who == ("credit", "6")
                assert (await often.ask("POST", "/models/fraud/invocations", b"x")).who[0] == "fraud"

    asyncio.run(scene())


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A certificate for localhost, and its key in one file."""
    folder = tmp_path_factory.mktemp("tls")
    made = folder / "both.pem"
    command = [
        "openssl",
        "req",
        "-x509",
        "-newkey",
        "ec",
        "-pkeyopt",
        "ec_paramgen_curve:P-256",
        "-nodes",
        "-days",
        "1",
    ]
    subprocess.run([*command, "-subj", "/CN=localhost", "-keyout", made, "-out", folder / "c"], check=True)
    made.write_bytes(made.read_bytes() + (folder / "c").read_bytes())
    return made


def test_where_the_worker_speaks_tls_requests_are_passed_on_and_no_connection_changes_hands(
    tmp_path: Path, certificate: Path
) -> None:
    async def scene() -> None:
        async with Town(tmp_path) as town:
            one, _ = await _pair(town, tls_certificate=str(certificate), tls_key=str(certificate))
            trusting = ssl.create_default_context(cafile=str(certificate))
            trusting.check_hostname = False
            client = await town.client(one, ssl=trusting)
            for _ in range(3):
                assert (await client.ask("POST", "/models/credit/invocations", b"x")).who == ("credit", "5")
                assert (await client.ask("POST", "/invocations", b"x")).who == ("fraud", "1")
            assert one.watcher.ways == {"forwarded": 3}

    asyncio.run(scene())


def test_with_uvicorns_edge_requests_are_passed_on(tmp_path: Path) -> None:
    async def scene() -> None:
        async with Town(tmp_path) as town:
            one, _ = await _pair(town, edge="uvicorn")
            client = await town.client(one)
            for _ in range(3):
                assert (await client.ask("POST", "/models/credit/invocations", b"x")).who == ("credit", "5")
                assert (await client.ask("POST", "/invocations", b"x")).who == ("fraud", "1")
            assert one.watcher.ways == {"forwarded": 3}

    asyncio.run(scene())


def test_a_request_that_is_too_long_to_go_along_with_its_connection_is_passed_on(tmp_path: Path) -> None:
    async def scene() -> None:
        async with Town(tmp_path) as town:
            one, _ = await _pair(town)
            client = await town.client(one)
            heard = await client.ask("POST", "/models/credit/invocations", b"x" * 500_000)
            assert (heard.who, len(heard.body)) == (("credit", "5"), 500_002)
            assert one.watcher.ways == {"forwarded": 1}
            heard = await client.ask("POST", "/models/credit/invocations", b"x" * 50_000)
            assert (heard.who, len(heard.body)) == (("credit", "5"), 50_002)
            assert one.watcher.ways == {"forwarded": 1, "handed": 1}

    asyncio.run(scene())
