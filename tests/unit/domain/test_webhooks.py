"""What becomes of a delivery after an attempt, who hears what, and what a receiver is sent."""

from __future__ import annotations

import json
import re
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lockgate.domain.errors import BadInput
from lockgate.domain.webhooks import (
    ACTIONS,
    LONGEST_PAUSE,
    LONGEST_TOLD,
    Attempt,
    Delivery,
    DeliveryState,
    Persistence,
    after,
    body_of,
    hears,
    parse_subscription,
    pause,
    shown,
)

T0 = datetime(2026, 3, 1, 12, tzinfo=UTC)
NEW = Delivery("d", "w", "model_version.created", DeliveryState.WAITING, T0, T0)
EVENTS = Path(__file__).resolve().parents[3] / "docs" / "reference" / "events.md"


def test_any_2xx_is_delivered_and_nothing_else_is() -> None:
    states = {status: after(NEW, Attempt(status), T0, Persistence(), 0).state for status in range(100, 600)}
    assert {status for status, state in states.items() if state is DeliveryState.DELIVERED} == set(range(200, 300))
    assert {status for status, state in states.items() if state is DeliveryState.FAILED} == {410}


def test_a_delivery_is_given_up_after_its_attempts() -> None:
    delivery, attempts = NEW, 0
    while delivery.state is DeliveryState.WAITING:
        delivery = after(delivery, Attempt(500, "it answered 500"), delivery.due_at, Persistence(attempts=5), 0)
        attempts += 1
    assert (delivery.state, attempts, delivery.last_error) == (DeliveryState.FAILED, 5, "it answered 500")


def test_a_delivery_is_given_up_once_its_next_attempt_would_come_too_late() -> None:
    limits = Persistence(attempts=100, give_up=timedelta(hours=1))
    assert after(NEW, Attempt(500), T0 + timedelta(minutes=59), limits, 0).state is DeliveryState.WAITING
    tried = replace(NEW, attempts=8)
    assert after(tried, Attempt(500), T0 + timedelta(minutes=59), limits, 0).state is DeliveryState.FAILED


def test_what_can_never_go_well_is_not_tried_again() -> None:
    assert after(NEW, Attempt(error="no address", final=True), T0, Persistence(), 0).state is DeliveryState.FAILED


@given(st.integers(1, 100), st.floats(0, 0.999), st.floats(0, 0.999))
def test_pauses_grow_up_to_a_limit_and_are_spread(attempts: int, one: float, other: float) -> None:
    assert timedelta() < pause(attempts, None, one) <= 1.25 * LONGEST_PAUSE
    assert pause(attempts, None, one) < 1.7 * pause(attempts, None, other)
    assert pause(attempts, None, one) <= pause(attempts + 5, None, one)


def test_a_receiver_may_ask_for_a_longer_pause_but_not_for_any() -> None:
    assert pause(1, timedelta(minutes=5), 0.5) == timedelta(minutes=5)
    assert pause(9, timedelta(seconds=1), 0.5) > timedelta(minutes=5)
    assert pause(1, timedelta(days=400), 0.5) == LONGEST_PAUSE


def test_patterns_hear_the_records_actions_and_never_mlflows_events() -> None:
    assert hears({"version:transitioned"}, "version:transitioned")
    assert hears({"promotion:*"}, "promotion:done")
    assert not hears({"promotion:*"}, "rollback:requested")
    assert hears({"*"}, "policy:applied")
    assert not hears({"*", "model_version:*"}, "model_version.created")
    assert hears({"model_version.created"}, "model_version.created")


@pytest.mark.parametrize("written", ["*", "promotion:*", "version:transitioned", "prompt:version-registered"])
def test_a_subscription_names_an_action_or_all_of_a_subject(written: str) -> None:
    assert parse_subscription(written) == written


@pytest.mark.parametrize(
    ("written", "hint"),
    [
        ("version:transitoned", "Did you mean version:transitioned?"),
        ("version.transitioned", "Did you mean version:transitioned?"),
        ("registered_model.created", "MLflow's own events"),
        ("", "events.md"),
        ("nothing:*", "events.md"),
    ],
)
def test_a_subscription_that_would_stay_silent_is_refused_with_a_hint(written: str, hint: str) -> None:
    with pytest.raises(BadInput) as wrong:
        parse_subscription(written)
    assert hint in wrong.value.hint


def test_every_action_of_the_record_can_be_subscribed_to() -> None:
    rows = [row.split("|")[1] for row in EVENTS.read_text().splitlines() if row.startswith("| `")]
    told = {name for row in rows for name in re.findall(r"`([a-z]+:[a-z-]+)`", row)}
    assert told == {f"{subject}:{deed}" for subject, deeds in ACTIONS.items() for deed in deeds}


def test_mlflows_events_have_mlflows_envelope() -> None:
    told = {"name": "fraud", "version": "1", "key": "k", "value": "größer \ud800"}
    body = json.loads(body_of("model_version_tag.set", told, T0))
    assert body == {"entity": "model_version_tag", "action": "set", "timestamp": T0.isoformat(), "data": told}
    assert list(body) == ["entity", "action", "timestamp", "data"]
    assert json.loads(body_of("prompt.created", {}, T0, "team-b"))["workspace"] == "team-b"


def test_an_action_of_the_record_is_told_with_its_entry() -> None:
    entry = {
        "format": 1, "chain": "model:3", "number": 7, "previous": "x", "at": T0.isoformat(),
        "who": {"name": "ann", "verified": False, "via": "cli"}, "action": "version:transitioned",
        "model": "fraud", "version": 2, "from": "None", "to": "Staging", "why": "", "detail": {"kind": "promote"},
    }  # fmt: skip
    body = json.loads(body_of("version:transitioned", entry, T0))
    assert (body["entity"], body["action"]) == ("version", "transitioned")
    assert body["data"] == {
        "name": "fraud", "version": "2", "from": "None", "to": "Staging", "why": "", "detail": {"kind": "promote"},
        "who": {"name": "ann", "verified": False, "via": "cli"},
        "entry": {"chain": "model:3", "number": 7, "at": T0.isoformat()},
    }  # fmt: skip


@given(st.text(max_size=2000))
def test_what_a_receiver_answers_can_be_stored_and_printed(text: str) -> None:
    kept = shown(text)
    assert len(kept) <= LONGEST_TOLD
    assert "\0" not in kept
    assert kept.isprintable()
