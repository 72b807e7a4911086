"""Where spans are sent."""

from __future__ import annotations

from urllib.parse import SplitResult, urlsplit

_PATH = "/v1/traces"


def collector(told: str) -> SplitResult:
    """Read the address of an OpenTelemetry collector; an address alone means its `/v1/traces`.

    Raises ValueError, for a person, for anything but HTTP and for an address with a password in it.
    """
    try:
        url = urlsplit(told)
        _ = url.port  # raises for what is no port
    except ValueError:
        raise ValueError(f"{told!r} is no address") from None
    if url.scheme not in ("http", "https") or not url.hostname or url.username is not None:
        raise ValueError(f"{told!r} is no address of a collector. Expected one like http://127.0.0.1:4318")
    return url if url.path.strip("/") else url._replace(path=_PATH)
