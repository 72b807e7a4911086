"""What the client decides by itself: where, as whom, about which version, and what an end means."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from lockgate.sdk.client import Lockgate
from lockgate.sdk.errors import BadRequest, Conflict, Failed, LockgateError, Refused, Waiting
from lockgate.sdk.outcome import outcome_of, wait_until_over
from lockgate.sdk.written import read_version
from lockgate.wire import shapes

AT = datetime(2026, 1, 31, 12, tzinfo=UTC)
ADA = shapes.Who("ada")
GATE = shapes.Gate(
    "min_accuracy", "fails", "enforce", "accuracy is 0.8, below 0.9", "0.8", ">= 0.9", "Train a better one."
)


@pytest.fixture(autouse=True)
def bare_environment(monkeypatch):
    for name in ("LOCKGATE_URL", "MLFLOW_TRACKING_URI", "LOCKGATE_USER"):
        monkeypatch.delenv(name, raising=False)
    return monkeypatch


def promotion(state: str, *gates: shapes.Gate, standing: str = "holds", because: str = "") -> shapes.Promotion:
    judged = shapes.Verdict(standing, standing, gates)
    return shapes.Promotion(
        "prm_1", "fraud", 7, "Production", "promote", state, True, True, ADA, "", AT, because=because, verdict=judged
    )


@pytest.mark.parametrize(
    ("environment", "url"),
    [
        ({}, "http://127.0.0.1:5000"),
        ({"MLFLOW_TRACKING_URI": "http://host:1/"}, "http://host:1"),
        ({"MLFLOW_TRACKING_URI": "sqlite:///mlflow.db"}, "http://127.0.0.1:5000"),
        ({"MLFLOW_TRACKING_URI": "http://host:1", "LOCKGATE_URL": "https://gate"}, "https://gate"),
    ],
)
def test_the_address_comes_from_the_environment_where_none_is_given(bare_environment, environment, url):
    for name, value in environment.items():
        bare_environment.setenv(name, value)

    with Lockgate() as lockgate:
        assert lockgate.url == url


def test_the_name_is_given_or_of_the_environment_or_the_login(bare_environment):
    bare_environment.setattr("getpass.getuser", lambda: "login")
    with Lockgate() as by_login:
        assert by_login.who == "login"
    bare_environment.setenv("LOCKGATE_USER", "ada")
    with Lockgate() as by_environment, Lockgate(who="ben") as given:
        assert (by_environment.who, given.who) == ("ada", "ben")


def test_a_login_without_a_name_is_anonymous(bare_environment):
    def nobody() -> str:
        raise KeyError("getpwuid(): uid not found: 1234")

    bare_environment.setattr("getpass.getuser", nobody)

    with Lockgate() as lockgate:
        assert lockgate.who == "anonymous"


@pytest.mark.parametrize("url", ["localhost:5000", "ftp://host", "sqlite:///mlflow.db", "http://"])
def test_an_address_that_is_none_is_refused_with_the_form_to_write(url):
    with pytest.raises(BadRequest, match=r"Write it as http://127\.0\.0\.1:5000"):
        Lockgate(url)


@pytest.mark.parametrize(
    ("written", "read"),
    [
        ("fraud@7", ("fraud", 7)),
        ("fraud/7", ("fraud", 7)),
        ("models:/fraud/7", ("fraud", 7)),
        ("a@b@12", ("a@b", 12)),
        (("fraud", 7), ("fraud", 7)),
        (("größe 2", 1), ("größe 2", 1)),
    ],
)
def test_a_version_is_read_as_people_write_it(written, read):
    assert read_version(written) == read


@pytest.mark.parametrize(
    "written",
    ["fraud", "@7", "fraud@", "fraud@x", "fraud@٧", "a/b@7", ("fraud", "7"), ("fraud", True), ("fraud",), 7, None],
)
def test_what_names_no_version_is_refused_before_anybody_is_asked(written):
    with pytest.raises(BadRequest, match="does not name a model version"):
        read_version(written)


@pytest.mark.parametrize("id", ["", "..", "a/b", "a?b", "ä"])
def test_an_id_that_would_be_another_path_is_refused(id):
    with Lockgate("http://127.0.0.1:9") as lockgate, pytest.raises(BadRequest, match="is not an id"):
        lockgate.promotion(id)


def test_a_done_promotion_is_its_own_outcome():
    done = promotion("done")
    assert outcome_of(done) is done


@pytest.mark.parametrize(
    ("ended", "kind"),
    [
        (promotion("refused", GATE, standing="fails"), Refused),
        (promotion("refused", GATE, standing="waits"), Waiting),
        (promotion("failed", because="green never became ready"), Failed),
        (promotion("cancelled", because="cancelled by ben"), Conflict),
        (promotion("an end of later days"), LockgateError),
    ],
)
def test_every_other_end_is_an_error_of_its_own(ended, kind):
    with pytest.raises(LockgateError) as caught:
        outcome_of(ended)

    assert type(caught.value) is kind
    assert caught.value.promotion == "prm_1"
    assert caught.value.gates == ended.verdict.gates
    assert "fraud@7" in str(caught.value)
    assert ended.because in str(caught.value)


def test_a_refusal_tells_the_next_command():
    with pytest.raises(Refused) as caught:
        outcome_of(promotion("refused", GATE, standing="fails"))

    assert caught.value.hint == "Train a better one."


def test_waiting_looks_until_it_is_over():
    seen = iter([promotion("judging"), promotion("warming"), promotion("done")])

    assert wait_until_over(promotion("judging"), lambda id: next(seen), 60).state == "done"


def test_waiting_ends_with_what_it_waits_for():
    open_one = promotion("waiting", GATE, standing="waits", because="1 gate waits")

    with pytest.raises(Waiting, match=r"is waiting after 0 s \(1 gate waits\)") as caught:
        wait_until_over(open_one, lambda id: open_one, 0)

    assert caught.value.gates == (GATE,)


def test_a_validation_that_is_not_over_in_time_is_waiting_too():
    queued = shapes.Validation("val_1", "fraud", 7, "queued", ADA, AT, "asked")

    with pytest.raises(Waiting, match="val_1 of fraud@7 is still queued"):
        wait_until_over(queued, lambda id: queued, 0)
