"""Versions that share an endpoint: shares, headers, keys, cookies, copies, and what happens when one of them fails."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

from lockgate.domain.traffic import Share, Split
from lockgate.wire.workers import WorkerConfig
from lockgate.worker.routing.traffic import Traffic
from tests.integration.routing.workers import Client, Loaded, Town, Version, Watcher, Worker

HALF = Split((Share(8, 50.0),))


def _loads(**versions: Any) -> Callable[[WorkerConfig], Loaded]:
    """A way of loading that gives what it is told, or raises it."""

    def load(config: WorkerConfig) -> Loaded:
        found = versions.get(f"v{config.version}", Version(config.model, config.version))
        if isinstance(found, Exception):
            raise found
        return Loaded(found, Watcher())

    return load


async def _loaded(worker: Worker, number: int, client: Client) -> None:
    """Once the version answers who asks for it."""
    heard = 503
    while heard == 503:  # each question gives the loading thread a turn
        heard = (await client.ask("POST", f"/models/fraud/versions/{number}/invocations")).status
    assert number in worker.router._versions.numbers


async def _answers(client: Client, number: int, **headers: str) -> Counter[str]:
    heard = [await client.ask("POST", "/invocations", b"%d" % turn, **headers) for turn in range(number)]
    assert {answer.status for answer in heard} == {200}
    assert all(answer.body.startswith(answer.who[1].encode()) for answer in heard), "the headers name who computed it"
    return Counter(answer.who[1] for answer in heard)


def test_a_share_goes_to_a_version_in_the_same_process(tmp_path: Path) -> None:
    async def scene() -> None:
        async with Town(tmp_path) as town:
            one = await town.worker("fraud", 7, load=_loads())
            one.divides(HALF, here=(8,))
            client = await town.client(one)
            await _loaded(one, 8, client)
            found = await _answers(client, 200)
            assert 60 < found["7"] < 140
            assert found["8"] == 200 - found["7"]
            one.divides(None)
            assert await _answers(client, 50) == {"7": 50}
            assert one.watcher.ways == {}

    asyncio.run(scene())


def test_a_share_goes_to_a_version_in_workers_of_its_own(tmp_path: Path) -> None:
    async def scene() -> None:
        async with Town(tmp_path) as town:
            one, other = await town.worker("fraud", 7), await town.worker("fraud", 8, accept=False)
            one.divides(HALF, other)
            client = await town.client(one)
            found = await _answers(client, 200)
            assert 60 < found["8"] < 140
            assert other.watcher.answers[200] == found["8"]

    asyncio.run(scene())


def test_a_version_is_asked_for_by_its_path_whether_or_not_it_has_a_share(tmp_path: Path) -> None:
    async def scene() -> None:
        async with Town(tmp_path) as town:
            one = await town.worker("fraud", 7, load=_loads(v6=RuntimeError("no such library")))
            other = await town.worker("fraud", 8, accept=False)
            one.divides(None, other, here=(6, 5))
            client = await town.client(one)
            for way in ("/models/fraud/versions/{}/invocations", "/v2/models/fraud/versions/{}/infer"):
                assert (await client.ask("POST", way.format(7), b"x")).body == b"7 x"
                assert (await client.ask("POST", way.format(8), b"x")).body == b"8 x"
                assert (await client.ask("POST", way.format(9), b"x")).status == 404
            await _loaded(one, 5, client)
            assert (await client.ask("GET", "/v2/models/fraud/versions/5")).body == b"described 5"
            assert (await client.ask("GET", "/v2/models/fraud/versions/8/ready")).status == 200
            said = b""
            while b"no such library" not in said:
                heard = await client.ask("POST", "/models/fraud/versions/6/invocations")
                assert heard.status == 503
                said = heard.body
            assert await _answers(client, 20) == {"7": 20}

    asyncio.run(scene())


def test_what_a_version_with_a_share_cannot_answer_the_primary_answers(tmp_path: Path) -> None:
    async def scene() -> None:
        async with Town(tmp_path) as town:
            one, other = await town.worker("fraud", 7), await town.worker("fraud", 8, accept=False)
            one.divides(Split((Share(8, 100.0),)), other)
            client = await town.client(one)
            assert await _answers(client, 5) == {"8": 5}
            other.served.status = 500
            assert await _answers(client, 5) == {"7": 5}
            assert one.watcher.ways["fell_back"] == 5
            other.served.status = 400
            assert (await client.ask("POST", "/invocations")).status == 400, "what the client did wrong stays wrong"
            other.close()
            assert await _answers(client, 5) == {"7": 5}
            heard = await client.ask("POST", "/models/fraud/versions/8/invocations")
            assert heard.status == 503, "who asks for a version gets no other"

    asyncio.run(scene())


def test_a_header_names_the_version_and_one_that_is_not_there_is_refused(tmp_path: Path) -> None:
    async def scene() -> None:
        async with Town(tmp_path) as town:
            one, other = await town.worker("fraud", 7), await town.worker("fraud", 8, accept=False)
            one.divides(Split(header="X-Use-Version"), other)
            client = await town.client(one)
            assert await _answers(client, 5) == {"7": 5}
            assert await _answers(client, 5, x_use_version="8") == {"8": 5}
            assert await _answers(client, 5, x_use_version="7") == {"7": 5}
            for junk in ("9", "latest", "-1", "8.0", "9" * 50):
                assert (await client.ask("POST", "/invocations", x_use_version=junk)).status == 404

    asyncio.run(scene())


def test_a_key_stays_with_its_version_on_every_worker_and_a_growing_share_keeps_whom_it_had(tmp_path: Path) -> None:
    async def scene() -> None:
        async with Town(tmp_path) as town:
            pair = [await town.worker("fraud", 7, load=_loads()) for _ in range(2)]
            shares: list[dict[str, str]] = []
            for percent in (30.0, 60.0):
                for worker in pair:
                    client = await town.client(worker)
                    worker.divides(Split((Share(8, percent),), key="X-User"), here=(8,))
                    await _loaded(worker, 8, client)
                    asked = {f"u{n}": await client.ask("POST", "/invocations", x_user=f"u{n}") for n in range(60)}
                    shares.append({user: heard.who[1] for user, heard in asked.items()})
            assert shares[0] == shares[1]
            assert shares[2] == shares[3]
            small, large = ({user for user, version in share.items() if version == "8"} for share in shares[1:3])
            assert 5 < len(small) < len(large) < 50
            assert small < large

    asyncio.run(scene())


def test_a_cookie_keeps_a_client_with_its_version(tmp_path: Path) -> None:
    async def scene() -> None:
        async with Town(tmp_path) as town:
            one, other = await town.worker("fraud", 7), await town.worker("fraud", 8, accept=False)
            one.divides(Split((Share(8, 50.0),), cookie="side"), other)
            client = await town.client(one)
            seen = Counter[str]()
            for _ in range(12):
                first = await client.ask("POST", "/invocations")
                cookie = first.headers["set-cookie"].partition(";")[0]
                again = [await client.ask("POST", "/invocations", cookie=f"a=b; {cookie}") for _ in range(5)]
                assert {heard.who for heard in again} == {first.who}
                assert not any("set-cookie" in heard.headers for heard in again)
                seen[first.who[1]] += 1
            assert len(seen) == 2

    asyncio.run(scene())


def test_a_copy_changes_no_answer_and_what_there_is_no_room_for_is_dropped(tmp_path: Path) -> None:
    async def scene() -> None:
        async with Town(tmp_path) as town:
            one, shadow = await town.worker("fraud", 7), await town.worker("fraud", 8, accept=False)
            one.divides(Split(shadow=8), shadow)
            client = await town.client(one)
            assert await _answers(client, 10) == {"7": 10}
            while len(shadow.served.asked) < 10:
                await client.ask("GET", "/ping")
            assert sorted(shadow.served.asked) == sorted(b"%d" % turn for turn in range(10))
            shadow.served.status = None  # it answers no more: the copies pile up to their limit
            assert await _answers(client, 100) == {"7": 100}
            assert one.watcher.ways == {"shadowed": 74, "shadow_dropped": 36}
            shadow.close()
            assert await _answers(client, 5) == {"7": 5}

    asyncio.run(scene())


def test_versions_follow_what_the_agent_says(tmp_path: Path) -> None:
    async def scene() -> None:
        async with Town(tmp_path) as town:
            one = await town.worker("fraud", 7, load=_loads())
            client = await town.client(one)
            one.divides(HALF, here=(8,))
            await _loaded(one, 8, client)
            held: Any = one.router._versions._ones[8].loaded.served  # type: ignore[union-attr]
            one.divides(Split((Share(8, 100.0),)), here=(8,))
            assert await _answers(client, 5) == {"8": 5}, "what is loaded is not loaded again"
            one.divides(None)
            while held.status is not None:  # it is let go of in a thread
                await client.ask("GET", "/ping")
            assert (await client.ask("POST", "/models/fraud/versions/8/invocations")).status == 404

    asyncio.run(scene())


def test_a_version_that_hangs_loses_its_share_and_takes_nobody_along(tmp_path: Path) -> None:
    async def scene() -> None:
        async with Town(tmp_path) as town:
            one = await town.worker("fraud", 7, load=_loads())
            client = await town.client(one)
            one.divides(Split((Share(8, 100.0),)), here=(8,))
            await _loaded(one, 8, client)
            one.router._versions._ones[8].loaded.stuck.set()  # type: ignore[union-attr]
            await client.ask("GET", "/ping")
            assert await _answers(client, 5) == {"7": 5}
            heard = await client.ask("POST", "/models/fraud/versions/8/invocations")
            assert (heard.status, b"never came back" in heard.body) == (503, True)
            assert heard.who == ("fraud", "7"), "this worker says so"

    asyncio.run(scene())


def test_a_release_that_was_taken_over_answers_what_is_passed_on_to_it_while_it_has_a_share(tmp_path: Path) -> None:
    async def scene() -> None:
        async with Town(tmp_path) as town:
            green, blue = await town.worker("fraud", 8), await town.worker("fraud", 7)
            blue.router.turn(Traffic.FORWARD, [green.folder])
            green.divides(None, blue)
            client, old = await town.client(green), await town.client(blue)
            path = "/models/fraud/versions/7/invocations"
            assert (await client.ask("POST", path)).status == 503, "green asks blue, blue asks green, and no further"
            blue.router.tell_split({"versions": [], "split": None, "shares": True})
            assert (await client.ask("POST", path, b"x")).body == b"7 x"
            assert (await client.ask("GET", path)).status == 405
            assert (await old.ask("POST", "/invocations", b"x")).body == b"8 x", "clients of its own it has none"

    asyncio.run(scene())
