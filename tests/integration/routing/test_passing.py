"""Requests that are passed on to workers which die, hang, talk nonsense or answer at length."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path

from lockgate.wire.workers import FORWARD_SOCKET
from lockgate.worker.http.messages import Answer, Request
from lockgate.worker.local_sockets import bound
from lockgate.worker.routing.passing import HOPS, Address, Passer, hops_of

LIMIT = 20.0
OK = b"HTTP/1.1 200 OK\r\ncontent-type: text/csv\r\nx-lockgate-model: m\r\nx-request-id: theirs\r\nx-own: 1\r\n"

Handler = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[bytes]]


@asynccontextmanager
async def _other(folder: Path, answer: Handler) -> AsyncIterator[None]:
    """A worker that answers each request of a line with what `answer` gives, nothing: it ends the line."""

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while told := await answer(reader, writer):
                writer.write(told)
                await writer.drain()
        except (asyncio.IncompleteReadError, ConnectionError):
            pass
        finally:
            writer.close()

    server = await asyncio.start_unix_server(serve, sock=bound(folder, FORWARD_SOCKET))
    try:
        yield
    finally:
        server.close()
        await server.wait_closed()


async def _read(reader: asyncio.StreamReader) -> tuple[bytes, bytes]:
    head = await reader.readuntil(b"\r\n\r\n")
    length = int(head.lower().partition(b"content-length:")[2].split(b"\r\n")[0])
    return head, await reader.readexactly(length)


async def _echo(reader: asyncio.StreamReader, _writer: asyncio.StreamWriter) -> bytes:
    _, body = await _read(reader)
    return OK + b"content-length: %d\r\n\r\n" % len(body) + body


async def _ask(passer: Passer, to: list[Address], body: bytes = b"x", method: bytes = b"POST") -> Answer | None:
    heard: asyncio.Future[Answer | None] = asyncio.get_running_loop().create_future()
    headers = [(b"host", b"localhost"), (b"connection", b"close"), (b"x-lockgate-hops", b"9"), (b"expect", b"x")]
    passer.send(Request(method, b"/p", b"q=1", headers, body, id=b"ours"), to, heard.set_result)
    return await asyncio.wait_for(heard, LIMIT)


def _run(scene: Callable[[Passer], Awaitable[None]], seconds: float = LIMIT, limit: int = 8) -> None:
    async def whole() -> None:
        passer = Passer(limit=limit, seconds=seconds)
        await scene(passer)
        passer.close()
        await asyncio.sleep(0.01)  # transports let go of their sockets in the next turns

    asyncio.run(whole())


def test_what_is_meant_for_the_client_is_passed_and_what_is_of_one_hop_is_not(tmp_path: Path) -> None:
    heads: list[bytes] = []

    async def answer(reader: asyncio.StreamReader, _writer: asyncio.StreamWriter) -> bytes:
        head, _ = await _read(reader)
        heads.append(head)
        return OK + b"content-length: 2\r\nkeep-alive: x\r\n\r\nhi"

    async def scene(passer: Passer) -> None:
        async with _other(tmp_path, answer):
            told = await _ask(passer, [tmp_path], method=b"HEAD")
        assert told is not None
        assert (told.status, told.body, told.content_type) == (200, b"hi", b"text/csv")
        assert (told.identity, told.headers) == (b"x-lockgate-model: m\r\n", ((b"x-own", b"1"),))

    _run(scene)
    (head,) = heads
    assert head.startswith(b"GET /p?q=1 HTTP/1.1\r\n"), "who passes the answer on leaves the body out"
    assert b"x-request-id: ours\r\n" in head
    assert HOPS + b": 1\r\n" in head
    assert not any(name in head for name in (b"connection", b"expect", b"hops: 9"))


def test_a_line_is_used_again_and_a_long_body_comes_through(tmp_path: Path) -> None:
    async def scene(passer: Passer) -> None:
        async with _other(tmp_path, _echo):
            for size in (0, 1, 3_000_000, 10):
                told = await _ask(passer, [tmp_path], b"y" * size)
                assert told is not None
                assert len(told.body) == size
            assert len(passer._lines) == 1

    _run(scene)


def test_a_worker_that_dies_under_a_request_is_replaced_by_one_other_and_no_more(tmp_path: Path) -> None:
    asked: list[int] = []
    folders = [tmp_path / name for name in ("dead", "bad", "good")]
    for folder in folders:
        folder.mkdir()

    async def dies(reader: asyncio.StreamReader, _writer: asyncio.StreamWriter) -> bytes:
        await _read(reader)
        asked.append(1)
        return b""

    async def scene(passer: Passer) -> None:
        dead, bad, good = folders
        async with _other(bad, dies), _other(good, _echo):
            told = await _ask(passer, [dead, bad, good])
            assert told is not None
            assert (told.body, len(asked)) == (b"x", 1)
            assert await _ask(passer, [bad]) is None
            assert len(asked) == 3, "what ends a worker is not given to all of them"

    _run(scene)


def test_nonsense_and_what_is_cut_off_are_no_answers(tmp_path: Path) -> None:
    said = iter((b"nonsense\r\n\r\n", OK + b"content-length: 100\r\n\r\nhi"))

    async def nonsense(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bytes:
        await _read(reader)
        writer.write(next(said))
        return b""

    async def scene(passer: Passer) -> None:
        async with _other(tmp_path, nonsense):
            assert await _ask(passer, [tmp_path]) is None
            assert await _ask(passer, []) is None

    _run(scene)


def test_nobody_waits_longer_than_the_limit_and_a_late_answer_is_nobody_elses(tmp_path: Path) -> None:
    async def silent(reader: asyncio.StreamReader, _writer: asyncio.StreamWriter) -> bytes:
        head, _ = await _read(reader)
        if b"content-length: 4" in head:
            await asyncio.Event().wait()
        return OK + b"content-length: 1\r\n\r\nx"

    async def scene(passer: Passer) -> None:
        async with _other(tmp_path, silent):
            assert await _ask(passer, [tmp_path], b"wait") is None
            told = await _ask(passer, [tmp_path])
            assert told is not None
            assert told.body == b"x"

    _run(scene, seconds=0.2)


def test_no_more_are_on_their_way_than_the_limit(tmp_path: Path) -> None:
    async def scene(passer: Passer) -> None:
        async with _other(tmp_path, _echo):
            several = await asyncio.gather(*(_ask(passer, [tmp_path]) for _ in range(5)))
            assert [answer is None for answer in several] == [False, False, True, True, True]
            assert await _ask(passer, [tmp_path]) is not None

    _run(scene, limit=2)


def test_how_often_a_request_was_passed_on_is_never_guessed_low() -> None:
    for written, hops in ((b"2", 2), (b"", 1000), (b"-1", 1000), (b"x", 1000), (b"99999", 1000)):
        assert hops_of(Request(b"GET", b"/", b"", [(HOPS, written)], b"")) == hops
