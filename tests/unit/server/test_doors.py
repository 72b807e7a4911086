"""Host, origin, forwarded headers and size: what a request must keep to before anything looks at it."""

from __future__ import annotations

import pytest

from lockgate.server.arrival import Openings
from lockgate.server.limits import Doors, Size, bare_host
from tests.unit.server.asgi import Echo, ask


@pytest.mark.parametrize("host", ["localhost", "LOCALHOST:5000", "127.0.0.1:5000", "[::1]:5000", "here.example:5000"])
def test_our_own_names_are_let_in(host):
    assert ask(Doors(Echo([]), Openings(hosts=("here.example",))), headers={"host": host}).status == 200


@pytest.mark.parametrize("host", ["evil.example", "localhost.evil.example", "127.0.0.1.evil.example", "", "[::2]:5000"])
def test_a_host_that_is_not_ours_is_refused_and_told_which_are(host):
    seen = Echo([])
    answer = ask(Doors(seen), headers={"host": host})
    assert (answer.status, seen.seen) == (403, [])
    assert "localhost" in answer.json["message"]


def test_an_address_that_means_all_addresses_is_no_name():
    anywhere = "0.0.0.0"  # noqa: S104 - nothing is bound to it
    assert ask(Doors(Echo([]), Openings(hosts=(anywhere,))), headers={"host": "0.0.0.0:5000"}).status == 403


@pytest.mark.parametrize("name", ["X-Forwarded-For", "X-Forwarded-Host", "Forwarded", "X-Real-IP"])
def test_a_proxy_that_speaks_for_somebody_is_refused(name):
    answer = ask(Doors(Echo([])), headers={name: "10.0.0.1"})
    assert answer.status == 400
    assert name.lower() in answer.json["message"]


@pytest.mark.parametrize(
    "origin", ["http://evil.example", "http://localhost:3000", "null", "http://localhost:5000.evil"]
)
def test_a_foreign_page_may_read_but_not_change(origin):
    doors = Doors(Echo([]))
    assert ask(doors, "POST", headers={"origin": origin}).status == 403
    assert ask(doors, "GET", headers={"origin": origin}).status == 200


def test_our_own_page_may_change():
    assert ask(Doors(Echo([])), "POST", headers={"origin": "http://localhost:5000"}).status == 200


def test_a_body_over_the_limit_is_refused_before_it_is_read():
    seen = Echo([])
    answer = ask(Size(seen, limit=10), "POST", headers={"content-length": "11"})
    assert (answer.status, seen.seen) == (413, [])


def test_a_body_without_a_length_is_counted():
    seen = Echo([])
    assert ask(Size(seen, limit=10), "POST", chunks=[b"x" * 6, b"x" * 6]).status == 413
    assert seen.seen == []
    assert ask(Size(seen, limit=10), "POST", chunks=[b"x" * 5, b"x" * 5]).json == {"size": 10}


def test_an_artifact_upload_has_no_limit():
    path = "/api/2.0/mlflow-artifacts/artifacts/0/run/model.pkl"
    assert ask(Size(Echo([]), limit=10), "PUT", path, chunks=[b"x" * 20]).json == {"size": 20}
    assert ask(Size(Echo([]), limit=10), "POST", path, chunks=[b"x" * 20]).status == 413


@pytest.mark.parametrize(
    ("written", "host"),
    [("localhost:5000", "localhost"), ("[::1]:5000", "::1"), ("::1", "::1"), ("Box", "box"), ("[::1", "::1")],
)
def test_a_host_is_read_without_its_port(written, host):
    assert bare_host(written) == host
