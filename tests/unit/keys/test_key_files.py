"""The private key: made once, for its owner alone, and never replaced by accident."""

from __future__ import annotations

import os
import threading
from pathlib import Path

import pytest

from lockgate.adapters.keys.ed25519 import Ed25519Signer, check
from lockgate.adapters.keys.files import KEY_VARIABLE, FileKeys
from lockgate.cli.children import environment, without_keys
from lockgate.domain.errors import BadInput, Conflict


def mode(path: Path) -> int:
    return path.stat().st_mode & 0o777


def test_a_key_is_made_once_and_for_its_owner_alone(tmp_path: Path) -> None:
    keys = FileKeys(tmp_path, {})
    assert keys.load() is None
    made = keys.make()
    assert (mode(keys.path), mode(keys.path.parent)) == (0o600, 0o700)
    assert keys.make().key == made.key
    again = FileKeys(tmp_path, {}).load()
    assert again is not None
    assert check(made.key, again.sign(b"told"), b"told")
    assert not check(made.key, again.sign(b"told"), b"else")
    assert os.listdir(keys.path.parent) == ["checkpoint.key"]


def test_of_many_that_make_it_at_once_all_have_the_same(tmp_path: Path) -> None:
    found: list[bytes] = []
    threads = [threading.Thread(target=lambda: found.append(FileKeys(tmp_path, {}).make().key)) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    assert len(found) == 8
    assert len(set(found)) == 1


def test_a_file_that_others_could_read_is_closed_again(tmp_path: Path) -> None:
    keys = FileKeys(tmp_path, {})
    keys.make()
    keys.path.chmod(0o644)
    assert keys.exposed() == f"chmod 600 {keys.path}"
    keys.load()
    assert mode(keys.path) == 0o600
    keys.path.parent.chmod(0o755)
    assert keys.exposed() == f"chmod 700 {keys.path.parent}"
    keys.path.parent.chmod(0o700)
    assert keys.exposed() == ""


def test_a_key_is_given_as_a_file_or_as_itself(tmp_path: Path) -> None:
    pem = Ed25519Signer.make().pem()
    file = tmp_path / "mine.pem"
    file.write_bytes(pem)
    by_path = FileKeys(tmp_path / "home", {KEY_VARIABLE: str(file)}).load()
    by_text = FileKeys(tmp_path / "home", {KEY_VARIABLE: pem.decode()}).load()
    assert by_path is not None
    assert by_text is not None
    assert by_path.key == by_text.key
    assert not (tmp_path / "home").exists()


@pytest.mark.parametrize(
    "told",
    [
        b"",
        b"nonsense",
        b"-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n",
        b"\xff" * 100,
    ],
)
def test_what_is_no_key_is_told_without_showing_it(tmp_path: Path, told: bytes) -> None:
    keys = FileKeys(tmp_path, {})
    keys.path.parent.mkdir()
    keys.path.write_bytes(told)
    with pytest.raises(BadInput, match=r"checkpoint\.key holds no key") as raised:
        keys.load()
    assert "AAAA" not in str(raised.value)


def test_a_key_of_another_kind_or_under_a_password_is_told_as_that(tmp_path: Path) -> None:
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
    from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey
    from cryptography.hazmat.primitives.serialization import (
        BestAvailableEncryption,
        Encoding,
        NoEncryption,
        PrivateFormat,
    )

    other = X25519PrivateKey.generate().private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    locked = Ed25519PrivateKey.generate().private_bytes(
        Encoding.PEM, PrivateFormat.PKCS8, BestAvailableEncryption(b"x")
    )
    for pem, because in ((other, "it is no Ed25519 key"), (locked, "it is encrypted")):
        with pytest.raises(BadInput, match=because):
            FileKeys(tmp_path, {KEY_VARIABLE: pem.decode()}).load()


def test_a_file_that_was_named_and_is_not_there_is_told_and_not_made(tmp_path: Path) -> None:
    keys = FileKeys(tmp_path, {KEY_VARIABLE: str(tmp_path / "gone.pem")})
    with pytest.raises(BadInput, match="no such file"):
        keys.load()
    with pytest.raises(Conflict, match="not Lockgate's to replace"):
        keys.next()


def test_the_next_key_stays_the_same_until_it_took_over(tmp_path: Path) -> None:
    keys = FileKeys(tmp_path, {})
    old = keys.make()
    new = keys.next()
    assert new.key != old.key
    assert keys.next().key == new.key
    keys.replace(new)
    loaded = keys.load()
    assert loaded is not None
    assert loaded.key == new.key
    assert mode(keys.path) == 0o600
    with pytest.raises(Conflict):
        keys.replace(Ed25519Signer.make())


def test_what_starts_workers_never_sees_the_key(tmp_path: Path) -> None:
    passed = environment({KEY_VARIABLE: "secret", "PATH": "/bin"}, {})
    assert KEY_VARIABLE in passed
    assert KEY_VARIABLE not in without_keys(passed)
