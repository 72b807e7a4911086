"""What the edge of our own does with clients that are slow, half gone, greedy, or behind TLS."""

from __future__ import annotations

import json
import socket
import ssl
from collections.abc import Callable
from pathlib import Path

import pytest

from lockgate.worker.http.access import AccessLog
from lockgate.worker.http.limits import Limits
from lockgate.worker.http.tls import BadCertificate, server_context
from tests.integration.edge.edges import Served, request

Serve = Callable[..., Served]


def test_a_client_that_says_no_more_still_gets_every_answer(serve: Serve) -> None:
    served = serve()
    with served.client() as client:
        client.send(request("/later?a") + request("/ping") + request("/later?b"))
        served.loop.wait_until(lambda: bool(served.behind.waiting))
        client.socket.shutdown(socket.SHUT_WR)
        served.loop.wait_until(lambda: all(each._half_closed for each in served.connections._shared.open))
        served.loop.call(served.behind.answer_all)
        assert (client.read().body, client.read().body) == (b"a", b"\n")
        served.loop.wait_until(lambda: bool(served.behind.waiting))
        served.loop.call(served.behind.answer_all)
        assert (client.read().body, client.is_ended()) == (b"b", True)


def test_a_client_that_breaks_off_in_the_middle_is_forgotten(serve: Serve) -> None:
    served = serve()
    for begun in (b"GET /pi", request("/echo", "POST", b"", "Content-Length: 9") + b"hell"):
        with served.client() as client:
            client.send(begun)
            client.socket.shutdown(socket.SHUT_WR)
            assert client.is_ended()
    served.loop.wait_until(lambda: len(served.connections) == 0)
    assert not served.behind.requests


def test_nothing_is_computed_for_a_client_that_does_not_read(serve: Serve) -> None:
    served = serve()
    with served.client(receive_buffer=4096) as client:
        client.send(request("/large?1000000") * 40)
        served.loop.wait_until(lambda: any(each._full for each in served.connections._shared.open))
        assert len(served.behind.requests) < 30
        assert served.ask().status == 200
        for _ in range(40):
            assert len(client.read().body) == 1_000_000
        assert client.ask().status == 200


def test_a_client_that_never_reads_is_cut_off(serve: Serve) -> None:
    served = serve("lockgate", Limits(write_seconds=0.2))
    with served.client(receive_buffer=4096) as client:
        client.send(request("/large?20000000"))
        served.loop.wait_until(lambda: bool(served.behind.requests))
        served.loop.wait_until(lambda: len(served.connections) == 0)
        with pytest.raises((AssertionError, ConnectionResetError)):
            client.read()


def test_requests_are_not_read_ahead_without_limit(serve: Serve) -> None:
    served = serve("lockgate", Limits(held_bytes=10_000))
    with served.client() as client:
        client.socket.settimeout(0.2)
        with pytest.raises(TimeoutError):
            client.socket.sendall((request("/later?x") + request("/ping")) * 500_000)
        client.socket.settimeout(15)
        for _ in range(30):
            held = served.loop.call(lambda: sum(len(each._held) for each in served.connections._shared.open))
            assert held < 600_000
            served.loop.call(served.behind.answer_all)
            assert (client.read().body, client.read().body) == (b"x", b"\n")


def test_a_client_that_sends_too_much_can_read_why(serve: Serve) -> None:
    served = serve("lockgate", Limits(body_bytes=8_000_000))
    with served.client() as client:
        client.send(request("/echo", "POST", b"", "Content-Length: 8000001"), b"x" * 4_000_000)
        told = client.read()
        assert (told.status, json.loads(told.body)["error_code"]) == (413, "BAD_REQUEST")
        client.send(b"x" * 3_000_000)  # no reset: it is read over
        assert client.is_ended()


def test_what_refuses_to_end_is_ended(serve: Serve, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("lockgate.worker.http.connection.LINGER_SECONDS", 0.1)
    served = serve("lockgate", Limits(read_seconds=1.0))
    with served.client() as client:
        assert client.send(b"\r\n\r\n\x00").read().status == 400
        served.loop.wait_until(lambda: len(served.connections) == 0)


def test_a_line_tells_of_every_answer(serve: Serve) -> None:
    written: list[bytes] = []
    log = AccessLog(written.append)
    served = serve("lockgate", access=log)
    with served.client() as client:
        told = client.ask("/echo?secret=1", "POST", b"hello", "X-Request-Id: r1")
        client.send(b"\x00")
        client.read()
    served.loop.call(log.flush)
    one, other = [json.loads(line) for line in b"".join(written).splitlines()]
    assert told.headers["x-request-id"] == one["request"] == "r1"
    assert (one["method"], one["path"], one["status"]) == ("POST", "/echo", 200)
    assert (one["bytes_in"], one["bytes_out"], other["status"]) == (5, 5, 400)
    assert one["client"].startswith("127.0.0.1:")
    assert one["seconds"] >= 0
    assert "secret" not in str(one)


def test_lines_that_come_too_fast_are_counted(serve: Serve, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("lockgate.worker.http.access._MOST_WAITING", 3)
    written: list[bytes] = []
    log = AccessLog(written.append)
    served = serve("lockgate", access=log)
    with served.client() as client:
        client.send(request() * 8)
        for _ in range(8):
            client.read()
    served.loop.call(log.flush)
    lines = [json.loads(line) for line in b"".join(written).splitlines()]
    assert sum(line.get("dropped", 1) for line in lines) == 8
    assert any("dropped" in line for line in lines)


@pytest.mark.parametrize("kind", ["lockgate", "uvicorn"])
def test_a_port_can_speak_tls(serve: Serve, kind: str, certificate: tuple[Path, Path]) -> None:
    served = serve(
        kind, tls=server_context(*map(str, certificate)), give=lambda *_: pytest.fail("keys cannot go along")
    )
    served.behind.hand_over_to = Path("/elsewhere")
    trusting = ssl.create_default_context(cafile=str(certificate[0]))
    with served.client(tls=trusting) as client, served.client(tls=trusting) as idle:
        assert client.ask("/echo", "POST", b"x" * 500_000).status == 200
        assert client.ask("/elsewhere").body == b"stayed"
        assert idle.ask().status == 200
        assert client.socket.version() in ("TLSv1.2", "TLSv1.3")  # type: ignore[attr-defined]
        served.loop.call(lambda: served.connections.give_all(lambda: Path("/elsewhere")))
        assert (client.ask().headers["connection"], client.is_ended()) == ("close", True)
        assert idle.ask().headers["connection"] == "close"
    with served.client() as plain:
        plain.send(request())
        assert plain.is_ended()


def test_what_is_no_certificate_is_told(tmp_path: Path, certificate: tuple[Path, Path]) -> None:
    (tmp_path / "no.pem").write_text("no")
    for one, other in ((tmp_path / "none", certificate[1]), (certificate[0], tmp_path / "no.pem")):
        with pytest.raises(BadCertificate, match="PEM"):
            server_context(str(one), str(other))
