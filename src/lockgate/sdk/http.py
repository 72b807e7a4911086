"""One question to the server and its answer, with every way that can go wrong turned into an error of ours."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any
from urllib.parse import urlsplit

import httpx2

from lockgate import __version__
from lockgate.sdk.credentials import Credentials
from lockgate.sdk.errors import (
    BadRequest,
    Conflict,
    Failed,
    Forbidden,
    LockgateError,
    NotFound,
    Refused,
    Unreachable,
    Waiting,
)
from lockgate.wire.plain import WrongShape, from_json
from lockgate.wire.requests import PREFIX, VIA_HEADER, WORKSPACE_HEADER
from lockgate.wire.shapes import Problem

_LOOPBACK = ("127.0.0.1", "localhost", "::1")

_BY_KIND: dict[str, type[LockgateError]] = {
    "bad_input": BadRequest,
    "not_found": NotFound,
    "unauthenticated": Forbidden,
    "forbidden": Forbidden,
    "refused": Refused,
    "waits": Waiting,
    "conflict": Conflict,
    "unreadable": Conflict,
    "failed": Failed,
    "unavailable": Unreachable,
}
# the server's doors answer before our API does, in the form of MLflow's
_BY_CODE: dict[str, type[LockgateError]] = {
    "PERMISSION_DENIED": Forbidden,
    "UNAUTHENTICATED": Forbidden,
    "RESOURCE_DOES_NOT_EXIST": NotFound,
    "ENDPOINT_NOT_FOUND": NotFound,
    "RESOURCE_CONFLICT": Conflict,
    "INVALID_PARAMETER_VALUE": BadRequest,
    "BAD_REQUEST": BadRequest,
    "TEMPORARILY_UNAVAILABLE": Unreachable,
}


class Http:
    """Speaks JSON with one server. Raises Unreachable when it does not answer as a Lockgate server does."""

    def __init__(self, url: str, shown: Credentials, timeout: float, via: str, workspace: str) -> None:
        address = urlsplit(url)
        if address.scheme not in ("http", "https") or not address.hostname:
            raise BadRequest(f"{url!r} is not a server's address.", hint="Write it as http://127.0.0.1:5000.")
        self._url = url
        self._timeout = timeout
        headers = {
            shown.header: shown.value,
            VIA_HEADER: via,
            "User-Agent": f"lockgate-sdk/{__version__}",
            "Accept": "application/json",
        }
        if workspace:
            headers[WORKSPACE_HEADER] = workspace
        # a proxy of the environment cannot reach this machine's own loopback
        trust_env = address.hostname not in _LOOPBACK
        # without TLS there is nothing to verify, and reading every known certificate takes a tenth of a second
        tls = address.scheme != "http"
        self._client = httpx2.Client(headers=headers, timeout=timeout, trust_env=trust_env, verify=tls)

    def close(self) -> None:
        """Close the connections."""
        self._client.close()

    def get(self, path: str, **query: str | int | None) -> Any:
        """The JSON at a path of the API; a query of None is left out. Raises errors of lockgate.sdk.errors."""
        asked = {key: value for key, value in query.items() if value is not None}
        return self._answer("GET", PREFIX + path, asked, None)

    def get_slowly(self, path: str, timeout: float, **query: str | int | None) -> Any:
        """As get, for what may take longer than an answer otherwise does: so many seconds."""
        asked = {key: value for key, value in query.items() if value is not None}
        return self._answer("GET", PREFIX + path, asked, None, timeout)

    @contextmanager
    def streaming(self, path: str) -> Iterator[tuple[Mapping[str, str], Iterator[bytes]]]:
        """The headers of what a path of the API answers, and the answer in pieces as they come.

        Raises as get, in the middle of the pieces too.
        """
        try:
            with self._client.stream("GET", self._url + PREFIX + path) as response:
                if response.status_code >= 400:
                    response.read()
                    raise self._refused(response)
                yield response.headers, response.iter_bytes()
        except httpx2.HTTPError as error:
            raise self._unreachable(error, self._timeout) from None

    def post_slowly(self, path: str, body: Any, timeout: float) -> Any:
        """As post, for what takes so many seconds at most."""
        return self._answer("POST", PREFIX + path, {}, body, timeout)

    def post(self, path: str, body: Any) -> Any:
        """As get, with a body (None: an empty one)."""
        return self._answer("POST", PREFIX + path, {}, body)

    def is_ready(self) -> bool:
        """Whether /ready answers 200."""
        return self._send("GET", "/ready", {}, None).status_code == 200

    def _answer(
        self, method: str, path: str, query: dict[str, str | int], body: Any, timeout: float | None = None
    ) -> Any:
        response = self._send(method, path, query, body, timeout)
        if response.status_code >= 400:
            raise self._refused(response)
        try:
            return json.loads(response.content)
        except ValueError:
            raise self._stranger(response) from None

    def _send(
        self, method: str, path: str, query: dict[str, str | int], body: Any, timeout: float | None = None
    ) -> httpx2.Response:
        limit = self._timeout if timeout is None else timeout
        told: dict[str, Any] = {} if body is None else {"json": body}
        try:
            return self._client.request(method, self._url + path, params=query or None, timeout=limit, **told)
        except (httpx2.TransportError, httpx2.DecodingError, httpx2.InvalidURL) as error:
            raise self._unreachable(error, limit) from None

    def _unreachable(self, error: Exception, limit: float) -> Unreachable:
        match error:
            case httpx2.ConnectError():
                hint = "Is the server running? Start it with: lockgate up"
                return Unreachable(f"Nobody answers at {self._url}.", hint=hint)
            case httpx2.TimeoutException():
                hint = "Is the server running? lockgate up. Ask again, or with a larger timeout."
                return Unreachable(f"{self._url} did not answer within {limit:g} s.", hint=hint)
            case _:
                hint = "Is the server running? Start it with: lockgate up"
                return Unreachable(f"The connection to {self._url} broke: {error}.", hint=hint)

    def _refused(self, response: httpx2.Response) -> LockgateError:
        try:
            return self._error(response, json.loads(response.content))
        except ValueError:
            return self._stranger(response)

    def _error(self, response: httpx2.Response, plain: Any) -> LockgateError:
        try:
            problem = from_json(Problem, plain)
        except WrongShape:
            return self._stranger(response)
        detail = problem.lockgate
        kind = _BY_KIND.get(detail.kind) or _BY_CODE.get(problem.error_code, LockgateError)
        return kind(problem.message, hint=problem.hint or detail.next, gates=detail.gates, promotion=detail.promotion)

    def _stranger(self, response: httpx2.Response) -> Unreachable:
        message = f"{self._url} answered {response.status_code}, and not as a Lockgate server does."
        return Unreachable(message, hint="Is this the address of a Lockgate server? Set LOCKGATE_URL.")
