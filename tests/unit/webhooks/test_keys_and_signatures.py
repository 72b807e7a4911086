"""The key is made once and kept to its owner; signatures are what receivers check."""

from __future__ import annotations

import base64
import hashlib
import hmac
import os
import stat
import threading
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from cryptography.fernet import Fernet

from lockgate.adapters.keys.webhooks import KEY_FILE, KEY_VARIABLE, encryption_key
from lockgate.adapters.webhooks.addresses import is_public
from lockgate.adapters.webhooks.sender import retry_after, schemes
from lockgate.adapters.webhooks.signing import headers
from lockgate.domain.errors import BadInput, Unavailable


def test_a_key_is_made_once_for_its_owner_alone(tmp_path: Path) -> None:
    home = tmp_path / "home"
    key = encryption_key(home, {})
    Fernet(key)
    assert encryption_key(home, {}) == key
    assert stat.S_IMODE((home / KEY_FILE).stat().st_mode) == 0o600
    assert stat.S_IMODE(home.stat().st_mode) == 0o700
    assert [each.name for each in home.iterdir()] == [KEY_FILE]


def test_many_that_start_at_once_use_one_key(tmp_path: Path) -> None:
    found: list[str] = []
    together = threading.Barrier(8)

    def start() -> None:
        together.wait(10)
        found.append(encryption_key(tmp_path / "home", {}))

    threads = [threading.Thread(target=start) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(10)
    assert len(found) == 8
    assert len(set(found)) == 1


def test_the_environments_key_goes_before_the_file_and_makes_none(tmp_path: Path) -> None:
    given = Fernet.generate_key().decode()
    assert encryption_key(tmp_path / "home", {KEY_VARIABLE: given}) == given
    assert not (tmp_path / "home").exists()


def test_a_key_that_others_may_read_is_closed_to_them(tmp_path: Path) -> None:
    key = encryption_key(tmp_path, {})
    (tmp_path / KEY_FILE).chmod(0o644)
    assert encryption_key(tmp_path, {}) == key
    assert stat.S_IMODE((tmp_path / KEY_FILE).stat().st_mode) == 0o600


@pytest.mark.parametrize("wrong", ["short", "ä", "x" * 41, "A" * 60])
def test_what_is_no_key_is_refused_without_being_shown(tmp_path: Path, wrong: str) -> None:
    with pytest.raises(BadInput) as error:
        encryption_key(tmp_path, {KEY_VARIABLE: wrong})
    assert wrong not in str(error.value)
    (tmp_path / KEY_FILE).write_text(f"{wrong}\n")
    with pytest.raises(BadInput) as error:
        encryption_key(tmp_path, {})
    assert f"{KEY_FILE} holds no key" in str(error.value)
    assert wrong not in str(error.value)


def test_a_home_that_cannot_be_made_is_told_so(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(Unavailable):
        encryption_key(tmp_path / "file" / "home", dict(os.environ) | {KEY_VARIABLE: ""})


def test_a_signature_is_the_one_mlflow_makes() -> None:
    told = headers("id-1", 1700000000, b'{"a": 1}', "s3cret")
    made = hmac.new(b"s3cret", b'id-1.1700000000.{"a": 1}', hashlib.sha256).digest()
    assert told["X-MLflow-Signature"] == told["webhook-signature"] == "v1," + base64.b64encode(made).decode()
    assert told["X-MLflow-Delivery-Id"] == told["webhook-id"] == "id-1"
    assert told["X-MLflow-Timestamp"] == told["webhook-timestamp"] == "1700000000"


def test_a_standard_secret_signs_for_both_conventions() -> None:
    raw = b"0123456789abcdef01234567"
    secret = "whsec_" + base64.b64encode(raw).decode()
    told = headers("id-1", 1700000000, b"{}", secret)
    signed = b"id-1.1700000000.{}"
    for name, key in (("X-MLflow-Signature", secret.encode()), ("webhook-signature", raw)):
        assert told[name] == "v1," + base64.b64encode(hmac.new(key, signed, hashlib.sha256).digest()).decode()


def test_without_a_secret_there_is_no_signature() -> None:
    assert not [name for name in headers("id-1", 1, b"{}", None) if "signature" in name.lower()]


@pytest.mark.parametrize(
    ("address", "public"),
    [
        ("8.8.8.8", True), ("2001:4860:4860::8888", True), ("127.0.0.1", False), ("10.1.2.3", False),
        ("169.254.169.254", False), ("100.64.0.1", False), ("::1", False), ("fe80::1%eth0", False), ("fd00::1", False),
        ("::ffff:10.0.0.1", False), ("::ffff:8.8.8.8", True), ("2002:0a00:0001::", False),
        ("64:ff9b::a9fe:a9fe", False), ("64:ff9b::808:808", True), ("240.0.0.1", False), ("", False), ("no", False),
    ],
)  # fmt: skip
def test_only_public_addresses_are_public(address: str, public: bool) -> None:
    assert is_public(address) is public


def test_schemes_are_https_unless_mlflow_is_told_otherwise() -> None:
    assert schemes({}) == ("https",)
    assert schemes({"MLFLOW_WEBHOOK_ALLOWED_SCHEMES": "http, https"}) == ("http", "https")


def test_a_pause_is_read_in_seconds_and_as_a_date() -> None:
    now = datetime(2026, 3, 1, 12, tzinfo=UTC)
    assert retry_after("120", now) == timedelta(seconds=120)
    assert retry_after("Sun, 01 Mar 2026 12:00:30 GMT", now) == timedelta(seconds=30)
    assert retry_after("Sun, 01 Mar 2026 11:00:30 GMT", now) == timedelta()
    for wrong in ("", "soon", "-1", "9" * 400, "Sun, 01 Mar 2026 12:00:30"):
        assert retry_after(wrong, now) in (None, timedelta())
