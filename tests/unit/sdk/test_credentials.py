"""What a client shows for itself, and where it finds it."""

from __future__ import annotations

import base64

import pytest

from lockgate.sdk.client import Lockgate
from lockgate.sdk.credentials import Credentials, found
from lockgate.sdk.errors import BadRequest

MLFLOWS = {"MLFLOW_TRACKING_USERNAME": "ann", "MLFLOW_TRACKING_PASSWORD": "a:b"}
EVERYTHING = {"LOCKGATE_TOKEN": "lgt_1", "MLFLOW_TRACKING_TOKEN": "lgt_2", "LOCKGATE_USER": "ben", **MLFLOWS}


def _without(*names: str) -> dict[str, str]:
    return {name: value for name, value in EVERYTHING.items() if name not in names}


@pytest.mark.parametrize(
    ("environment", "shown"),
    [
        (EVERYTHING, Credentials("", "Authorization", "Bearer lgt_1")),
        (_without("LOCKGATE_TOKEN"), Credentials.password("ann", "a:b")),
        (_without("LOCKGATE_TOKEN", "MLFLOW_TRACKING_PASSWORD"), Credentials("", "Authorization", "Bearer lgt_2")),
        (
            {"LOCKGATE_USER": "zoë", "MLFLOW_TRACKING_USERNAME": "ann"},
            Credentials("zoë", "X-Lockgate-User", "zo%C3%AB"),
        ),
    ],
)
def test_the_environment_is_read_in_one_order(environment, shown):
    assert found(None, None, environment) == shown


def test_what_is_given_beats_the_environment():
    assert found("ann", None, EVERYTHING) == Credentials.claim("ann")
    assert found("ann", "secret", EVERYTHING) == Credentials.password("ann", "secret")
    assert found(None, "lgt_9", EVERYTHING).value == "Bearer lgt_9"


def test_a_password_is_sent_as_basic_authentication_in_utf_8():
    scheme, _, told = Credentials.password("zoë", "a:ß").value.partition(" ")
    assert (scheme, base64.b64decode(told).decode()) == ("Basic", "zoë:a:ß")


def test_what_no_header_can_carry_is_refused_before_anybody_is_asked():
    with pytest.raises(BadRequest, match="colon"):
        Lockgate("http://h", who="a:b", password="x")
    with pytest.raises(BadRequest, match="Copy it"):
        Lockgate("http://h", token="lgt_1\nX-Evil: 1")
