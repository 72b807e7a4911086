"""What is kept of a password: argon2id for ours, and MLflow's own form until the next login."""

from __future__ import annotations

import hashlib

import pytest

from lockgate.adapters.identity.passwords import Argon2Passwords


@pytest.fixture(scope="module")
def passwords() -> Argon2Passwords:
    return Argon2Passwords()


def scrypt(password: str, salt: str = "salt", n: int = 2**14) -> str:
    found = hashlib.scrypt(password.encode(), salt=salt.encode(), n=n, r=8, p=1, maxmem=132 * n * 8)
    return f"scrypt:{n}:8:1${salt}${found.hex()}"


def pbkdf2(password: str, salt: str = "salt", rounds: int = 1000) -> str:
    return (
        f"pbkdf2:sha256:{rounds}${salt}${hashlib.pbkdf2_hmac('sha256', password.encode(), salt.encode(), rounds).hex()}"
    )


def test_a_password_fits_what_is_kept_of_it_and_another_one_does_not(passwords: Argon2Passwords) -> None:
    kept = passwords.keep("Größe über alles")

    assert kept.startswith("$argon2id$")
    assert "Größe" not in kept
    assert passwords.fits(kept, "Größe über alles")
    assert not passwords.fits(kept, "Größe über alle")
    assert not passwords.outdated(kept)
    assert not passwords.understood(kept), "a hash of ours that somebody sends is nothing that was kept elsewhere"


def test_nothing_fits_where_nothing_is_kept(passwords: Argon2Passwords) -> None:
    assert not passwords.fits(None, "anything")


@pytest.mark.parametrize("kept", [scrypt("hunter2"), pbkdf2("hunter2")])
def test_what_mlflow_kept_is_understood_and_to_be_replaced(passwords: Argon2Passwords, kept: str) -> None:
    assert passwords.understood(kept)
    assert passwords.outdated(kept)
    assert passwords.fits(kept, "hunter2")
    assert not passwords.fits(kept, "hunter3")


@pytest.mark.parametrize(
    "kept",
    [
        *("", "x", "plain", "$argon2id$broken", "scrypt:1:2:3$salt$zz", "scrypt:16384:8:1$salt$", "md5$salt$aa"),
        *("scrypt:1073741824:8:1$salt$aa", "pbkdf2:sha256:999999999$salt$aa", "pbkdf2:md5:10$salt$aa", "scrypt:$a$bb"),
        *("scrypt:-16384:8:1$salt$aa", "pbkdf2:sha256:0$salt$aa", "scrypt:16383:8:1$salt$aa", "pbkdf2:sha256$salt$aa"),
    ],
)
def test_what_is_broken_or_made_to_keep_us_busy_is_not_understood_and_fits_nothing(
    passwords: Argon2Passwords, kept: str
) -> None:
    assert not passwords.understood(kept)
    assert not passwords.fits(kept, "hunter2")


def test_a_password_without_end_fits_nothing(passwords: Argon2Passwords) -> None:
    assert not passwords.fits(scrypt("x" * 2000), "x" * 2000)


def test_half_a_character_is_no_password(passwords: Argon2Passwords) -> None:
    assert not passwords.fits(passwords.keep("twelve letters"), "\ud800")
