"""A request that went past both frameworks is read by MLflow's handlers as it was sent."""

from __future__ import annotations

from typing import Any

from flask import Request

from lockgate.server.registry.writes import environ

SCOPE: dict[str, Any] = {
    "type": "http",
    "method": "PATCH",
    "http_version": "1.1",
    "scheme": "https",
    "path": "/api/2.0/mlflow/modèle",
    "query_string": b"name=a%20b&name=%C3%A9",
    "server": ("127.0.0.1", 5000),
    "client": ("127.0.0.2", 40000),
    "headers": [
        (b"host", b"example.org"),
        (b"content-type", b"application/json"),
        (b"content-length", b"999"),
        (b"x-thing", b"one"),
        (b"x-thing", b"two"),
    ],
}


def test_method_path_query_and_body_arrive():
    request = Request(environ(SCOPE, b'{"name": "x"}'))
    assert (request.method, request.path, request.scheme) == ("PATCH", "/api/2.0/mlflow/modèle", "https")
    assert request.args.getlist("name") == ["a b", "é"]
    assert request.get_json() == {"name": "x"}
    assert request.remote_addr == "127.0.0.2"


def test_headers_arrive_and_the_length_is_that_of_the_body():
    request = Request(environ(SCOPE, b"{}"))
    assert (request.host, request.mimetype) == ("example.org", "application/json")
    assert request.headers["X-Thing"] == "one,two"
    assert request.content_length == 2


def test_a_body_that_came_in_chunks_is_read_too():
    chunked = [(b"content-type", b"application/json"), (b"transfer-encoding", b"chunked")]
    request = Request(environ({**SCOPE, "headers": chunked}, b'{"name": "x"}'))
    assert request.get_json() == {"name": "x"}


def test_a_request_over_a_unix_socket_has_an_address_too():
    request = Request(environ({**SCOPE, "scheme": "http", "server": None, "client": None, "headers": []}, b""))
    assert request.host == "localhost"
    assert request.remote_addr == ""
    assert request.get_data() == b""
