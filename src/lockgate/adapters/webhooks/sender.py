"""One attempt to deliver: decrypt, sign, POST, and say in words what came of it. Redirects and proxies are not used."""

from __future__ import annotations

import ssl
import time
from collections.abc import Collection, Mapping
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime
from urllib.parse import urlsplit

import httpcore2
from cryptography.fernet import Fernet, InvalidToken

from lockgate.adapters.webhooks.addresses import DEADLINE, NotPublicError, Outside
from lockgate.adapters.webhooks.signing import headers
from lockgate.domain.webhooks import LONGEST_TOLD, Attempt
from lockgate.usecases.webhook_ports import Target

MOST_READ = 64 * 1024  # of an answer: enough to keep the connection for the next one, in all but odd cases
CONNECTIONS = 64
IDLE_SECONDS = 20.0

UNDECRYPTABLE = (
    "its secret cannot be decrypted with this controller's key, and unsigned it is not sent: put back the key it was "
    "stored under, or set the secret anew"
)


class HttpSender:
    """`Sender`. `timeout` in seconds is for a whole attempt; `private` allows receivers at addresses inside."""

    def __init__(self, key: str, *, timeout: float, private: bool, schemes: Collection[str] = ("https",)) -> None:
        self._cipher = Fernet(key)
        self._timeout = timeout
        self._schemes = frozenset(schemes)
        self._pool = httpcore2.ConnectionPool(
            ssl_context=ssl.create_default_context(),
            max_connections=CONNECTIONS,
            keepalive_expiry=IDLE_SECONDS,
            network_backend=Outside(private=private),
        )

    def send(self, target: Target, delivery: str, body: str) -> Attempt:
        if because := self._refused(target.url):
            return Attempt(error=because, final=True)
        try:
            secret = None if target.secret is None else self._cipher.decrypt(target.secret).decode()
        except (InvalidToken, ValueError):
            return Attempt(error=UNDECRYPTABLE)
        raw = body.encode()
        token = DEADLINE.set(time.monotonic() + self._timeout)
        try:
            return self._post(target.url, raw, headers(delivery, int(time.time()), raw, secret))
        except NotPublicError as inside:
            return Attempt(error=f"{inside}, so nothing was sent", final=True)
        except httpcore2.TimeoutException:
            return Attempt(error=f"no answer within {self._timeout:g} s")
        except (httpcore2.NetworkError, httpcore2.ProtocolError) as error:
            return Attempt(error=f"the connection failed: {str(error) or type(error).__name__}")
        except (httpcore2.UnsupportedProtocol, ValueError, UnicodeError) as error:
            return Attempt(error=f"the address cannot be called: {error}", final=True)
        finally:
            DEADLINE.reset(token)

    def close(self) -> None:
        """Close the connections."""
        self._pool.close()

    def _post(self, url: str, body: bytes, told: dict[str, str]) -> Attempt:
        limits = {"timeout": dict.fromkeys(("connect", "read", "write", "pool"), self._timeout)}
        sent = [*told.items(), ("Content-Length", str(len(body))), ("User-Agent", "lockgate"), ("Accept", "*/*")]
        with self._pool.stream("POST", url, headers=sent, content=body, extensions=limits) as response:
            answer = b""
            for chunk in response.iter_stream():
                answer += chunk
                if len(answer) > MOST_READ:
                    break
        status = response.status
        given = {name.lower(): value.decode("latin-1") for name, value in response.headers}
        text = answer[: 4 * LONGEST_TOLD].decode(errors="replace")
        error = "" if 200 <= status < 300 else _told(status, given)
        return Attempt(status, error, text, retry_after(given.get(b"retry-after", ""), datetime.now(UTC)))

    def _refused(self, url: str) -> str:
        """Why this address is not called, or nothing."""
        try:
            parts = urlsplit(url)
            host = parts.hostname
        except ValueError:
            return "the address is malformed"
        if parts.scheme not in self._schemes:
            allowed = ", ".join(sorted(self._schemes))
            return f"addresses that begin with {parts.scheme}: are not called; allowed: {allowed}"
        if not host or parts.username or parts.password:
            return "the address has no host, or a password in it"
        return ""


def schemes(environment: Mapping[str, str]) -> tuple[str, ...]:
    """The kinds of address that MLflow's own setting allows: https, where nothing is set."""
    written = environment.get("MLFLOW_WEBHOOK_ALLOWED_SCHEMES", "")
    return tuple(each.strip().lower() for each in written.split(",") if each.strip()) or ("https",)


def retry_after(written: str, now: datetime) -> timedelta | None:
    """The pause that a receiver asks for, in seconds or as a date; None when it asks for none that can be read."""
    try:
        if written.strip().isdigit():
            return timedelta(seconds=float(written))
        return max(timedelta(), parsedate_to_datetime(written) - now)
    except (ValueError, TypeError, OverflowError):
        return None


def _told(status: int, given: dict[bytes, str]) -> str:
    if 300 <= status < 400:
        return f"it answered {status}, a redirect to {given.get(b'location', 'nowhere')}: redirects are not followed"
    return f"it answered {status}"
