"""One attempt on a real connection: what a receiver gets, what it may answer, and where nothing is sent."""

from __future__ import annotations

import base64
import contextlib
import socket
import threading
import uuid
from collections.abc import Iterator
from datetime import timedelta

import pytest
from cryptography.fernet import Fernet
from standardwebhooks.webhooks import Webhook

from lockgate.adapters.webhooks.sender import HttpSender
from lockgate.usecases.webhook_ports import Target
from tests.integration.webhooks.receiver import Receiver, verify_as_mlflow_says

KEY = Fernet.generate_key().decode()
SECRET = "a secret of some length"
ID = str(uuid.uuid4())
BODY = '{"entity": "model_version", "action": "created", "data": {"name": "größer"}}'


@contextlib.contextmanager
def sending(*, timeout: float = 20.0, private: bool = True, key: str = KEY) -> Iterator[HttpSender]:
    sender = HttpSender(key, timeout=timeout, private=private, schemes=("http", "https"))
    with contextlib.closing(sender):
        yield sender


def target(url: str, secret: str | None = SECRET) -> Target:
    return Target(url, None if secret is None else Fernet(KEY).encrypt(secret.encode()).decode(), True)


def test_a_receiver_written_for_mlflow_verifies_what_it_gets(hook: Receiver) -> None:
    with sending() as sender:
        assert sender.send(target(hook.url), ID, BODY).arrived
    (got,) = hook.got
    assert got.raw.decode() == BODY
    assert got.headers["content-type"] == "application/json"
    assert got.headers["x-mlflow-delivery-id"] == ID
    assert verify_as_mlflow_says(got, SECRET)
    assert not verify_as_mlflow_says(got, "another secret")


@pytest.mark.parametrize("secret", [SECRET, "whsec_" + base64.b64encode(b"0123456789abcdef01234567").decode()])
def test_a_receiver_of_standard_webhooks_verifies_it_too(hook: Receiver, secret: str) -> None:
    with sending() as sender:
        sender.send(target(hook.url, secret), ID, BODY)
    standard = secret if secret.startswith("whsec_") else base64.b64encode(secret.encode()).decode()
    assert Webhook(standard).verify(hook.got[0].raw, hook.got[0].headers)["entity"] == "model_version"


def test_without_a_secret_it_is_sent_unsigned(hook: Receiver) -> None:
    with sending() as sender:
        assert sender.send(target(hook.url, None), ID, BODY).arrived
    assert "x-mlflow-signature" not in hook.got[0].headers


def test_with_a_secret_that_cannot_be_read_nothing_is_sent(hook: Receiver) -> None:
    with sending(key=Fernet.generate_key().decode()) as sender:
        attempt = sender.send(target(hook.url), ID, BODY)
    assert "cannot be decrypted" in attempt.error
    assert not attempt.final
    assert hook.got == []


@pytest.mark.parametrize("status", [301, 302, 307, 308])
def test_a_redirect_is_not_followed(hook: Receiver, other_hook: Receiver, status: int) -> None:
    hook.status(status, {"Location": other_hook.url})
    with sending() as sender:
        attempt = sender.send(target(hook.url), ID, BODY)
    assert (attempt.status, attempt.arrived) == (status, False)
    assert "redirects are not followed" in attempt.error
    assert other_hook.got == []


def test_a_failing_receivers_answer_and_wish_are_kept_short(hook: Receiver) -> None:
    hook.status(503, {"Retry-After": "77"}, b"no \x00 disk" + b"x" * 200_000)
    with sending() as sender:
        attempt = sender.send(target(hook.url), ID, BODY)
        assert (attempt.status, attempt.error, attempt.retry_after) == (503, "it answered 503", timedelta(seconds=77))
        assert len(attempt.answer) < 5000
        # the rest of that answer does not spoil the next one
        hook.status(204)
        assert sender.send(target(hook.url), ID, BODY).status == 204


def test_an_address_inside_is_not_called_unless_that_is_allowed(hook: Receiver) -> None:
    with sending(private=False) as sender:
        for host in ("127.0.0.1", "localhost"):
            attempt = sender.send(target(hook.url.replace("127.0.0.1", host)), ID, BODY)
            assert attempt.final
            assert "no public address" in attempt.error
    assert hook.got == []


@pytest.mark.parametrize(
    ("url", "because", "final"),
    [
        ("ftp://example.org/", "not called", True),
        ("file:///etc/passwd", "not called", True),
        ("http://", "no host", True),
        ("http://ann:pw@127.0.0.1/", "password", True),
        ("http://[::1", "malformed", True),
        ("http://127.0.0.1:99999/", "", True),
        ("nonsense", "not called", True),
        ("http://nowhere.invalid/", "connection failed", False),
    ],
)
def test_a_bad_address_is_an_attempt_that_says_why(url: str, because: str, final: bool) -> None:
    with sending() as sender:
        attempt = sender.send(target(url), ID, BODY)
    assert (attempt.status, attempt.final) == (None, final), attempt
    assert attempt.error
    assert because in attempt.error


def test_nobody_at_the_address_is_an_attempt_that_failed() -> None:
    with socket.create_server(("127.0.0.1", 0)) as held:
        port = held.getsockname()[1]
    with sending() as sender:
        attempt = sender.send(target(f"http://127.0.0.1:{port}/"), ID, BODY)
    assert "connection failed" in attempt.error
    assert not attempt.final


@pytest.mark.parametrize(
    "answer", [b"", b"HTTP/1.1 200 OK\r\nX-Slow: ", b"HTTP/1.1 200 OK\r\nContent-Length: 99999\r\n\r\n"]
)
def test_a_receiver_that_sends_a_byte_now_and_then_gets_no_more_time(answer: bytes) -> None:
    over = threading.Event()

    def trickle(listener: socket.socket) -> None:
        connection, _ = listener.accept()
        with connection, contextlib.suppress(OSError):
            connection.sendall(answer)
            while answer and not over.wait(0.05):
                connection.sendall(b"x")
            over.wait(30)

    with socket.create_server(("127.0.0.1", 0)) as listener:
        thread = threading.Thread(target=trickle, args=(listener,), daemon=True)
        thread.start()
        with sending(timeout=0.5) as sender:
            attempt = sender.send(target(f"http://127.0.0.1:{listener.getsockname()[1]}/"), ID, BODY)
        over.set()
        thread.join(10)
    assert attempt.error == "no answer within 0.5 s"
