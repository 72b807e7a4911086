"""Who may speak for whom: trusted proxies, pages of other origins, and the names of requests."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lockgate.server.arrival import REQUEST_ID, Openings, Proxies, new_request_id, request_id
from lockgate.server.identity import address_of
from lockgate.server.limits import Doors
from tests.unit.server.asgi import Echo, ask

PROXY = "10.0.0.1"
BEHIND = Openings(
    hosts=("models.example.org", "*.inside.example.org"),
    origins=("https://portal.example.org",),
    proxies=Proxies.of(["10.0.0.0/8", "fd00::/8"]),
)


def _seen(client: str = PROXY, **headers: str):
    inner = Echo([])
    told = {name.replace("_", "-"): value for name, value in headers.items()}
    answer = ask(Doors(inner, BEHIND), "GET", headers={"host": "models.example.org", **told}, client=client)
    return answer, inner.seen[0] if inner.seen else None


def test_what_a_trusted_proxy_says_counts():
    answer, scope = _seen(
        x_forwarded_for="203.0.113.7", x_forwarded_proto="https", x_forwarded_host="a.inside.example.org"
    )
    assert answer.status == 200
    assert (address_of(scope), scope["scheme"]) == ("203.0.113.7", "https")
    assert dict(scope["headers"])[b"host"] == b"a.inside.example.org"


def test_no_forwarded_header_goes_further():
    _, scope = _seen(
        x_forwarded_for="203.0.113.7", x_forwarded_prefix="/x", forwarded="for=1.1.1.1", x_real_ip="1.1.1.1"
    )
    assert {key for key, _ in scope["headers"]} == {b"host"}


@pytest.mark.parametrize(
    ("chain", "address"),
    [
        ("198.51.100.1, 203.0.113.7", "203.0.113.7"),  # what stands further left the caller wrote
        ("203.0.113.7, 10.9.9.9", "203.0.113.7"),
        ("10.1.1.1, 10.2.2.2", "10.1.1.1"),
        ("[2001:db8::1]:4711, fd00::5", "2001:db8::1"),
        ("203.0.113.7:4711", "203.0.113.7"),
        ("::ffff:203.0.113.7", "203.0.113.7"),
    ],
)
def test_the_caller_is_the_nearest_address_that_is_no_proxy(chain, address):
    _, scope = _seen(x_forwarded_for=chain)
    assert address_of(scope) == address


@pytest.mark.parametrize("client", ["203.0.113.7", "127.0.0.1", "::1", "11.0.0.1", ""])
def test_from_anybody_else_it_is_refused(client):
    answer, scope = _seen(client, x_forwarded_for="198.51.100.1")
    assert (answer.status, scope) == (400, None)
    assert "--trusted-proxies" in answer.json["message"]


@pytest.mark.parametrize(
    "headers",
    [
        {"x_forwarded_for": "unknown"},
        {"x_forwarded_for": ""},
        {"x_forwarded_for": "1.1.1.1,' OR 1=1 --"},
        {"x_forwarded_for": ",".join(["10.0.0.9"] * 21)},
        {"x_forwarded_proto": "gopher"},
    ],
)
def test_what_a_proxy_says_has_to_make_sense(headers):
    assert _seen(**headers)[0].status == 400


def test_a_proxy_cannot_name_a_host_that_is_not_ours():
    assert _seen(x_forwarded_host="evil.example")[0].status == 403
    assert _seen(x_forwarded_host="models.example.org, evil.example")[0].status == 403


@pytest.mark.parametrize(
    ("host", "status"), [("b.inside.example.org:80", 200), ("inside.example.org", 403), ("x.org", 403)]
)
def test_a_star_stands_for_the_names_below(host, status):
    assert ask(Doors(Echo([]), BEHIND), headers={"host": host}).status == status


def test_a_page_that_was_allowed_may_change_and_read():
    inner = Echo([])
    answer = ask(
        Doors(inner, BEHIND), "POST", headers={"host": "models.example.org", "origin": "https://portal.example.org"}
    )
    assert (answer.status, answer.headers["access-control-allow-origin"]) == (200, "https://portal.example.org")
    assert answer.headers["access-control-allow-credentials"] == "true"
    # it is settled: MLflow's own code would refuse every origin but loopback's
    assert b"origin" not in dict(inner.seen[0]["headers"])


def test_a_browser_that_asks_first_is_told_for_a_page_that_was_allowed_and_for_no_other():
    def preflight(origin: str):
        told = {"host": "models.example.org", "origin": origin, "access-control-request-method": "POST"}
        return ask(Doors(Echo([]), BEHIND), "OPTIONS", headers=told)

    assert preflight("https://portal.example.org").status == 204
    assert "access-control-allow-origin" not in preflight("https://evil.example").headers


def test_our_own_page_behind_a_proxy_may_change():
    told = {"host": "models.example.org", "origin": "https://models.example.org"}
    assert ask(Doors(Echo([]), BEHIND), "POST", headers=told).status == 200


def test_every_answer_carries_the_name_of_its_request_and_a_sane_one_of_the_clients_is_kept():
    inner = Echo([])
    answer = ask(Doors(inner), headers={"x-request-id": "4bf92f3577b34da6"})
    assert answer.headers["x-request-id"] == inner.seen[0][REQUEST_ID] == "4bf92f3577b34da6"
    refused = ask(Doors(inner), headers={"host": "evil.example"})
    assert refused.headers["x-request-id"].startswith("req-")


@given(st.text(max_size=100))
def test_a_name_that_could_not_stand_on_the_record_is_replaced(told):
    kept = request_id(told.encode())
    assert kept == told or kept.startswith("req-")
    assert kept.isascii()
    assert kept.isprintable()
    assert 0 < len(kept) <= 64


def test_no_two_requests_have_the_same_name():
    assert len({new_request_id() for _ in range(1_000)}) == 1_000
