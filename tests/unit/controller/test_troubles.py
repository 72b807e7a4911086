"""A database that is away for an hour is a few lines in the log."""

from __future__ import annotations

import threading
from typing import Any

import pytest
from structlog.testing import capture_logs

from lockgate.controller import loop
from lockgate.controller.loop import Controller
from lockgate.domain.errors import Unavailable


def test_what_goes_wrong_again_and_again_is_logged_when_it_begins_when_it_changes_and_when_it_is_over(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(loop, "AFTER_TROUBLE_SECONDS", 0.001)
    stop, answers = threading.Event(), ["away", "away", "busy", "busy", "away", "", "", "away"]

    def step() -> bool:
        answer = answers.pop(0)
        if not answers:
            stop.set()
        if answer:
            raise Unavailable(answer, hint="Try again.")
        return True

    nobody: Any = None
    with capture_logs() as logs:
        Controller(nobody, nobody)._forever(stop, step)

    told = [(line["event"], line.get("error", "")[:4]) for line in logs]
    assert told == [
        *(("trouble", "away"), ("trouble", "busy"), ("trouble", "away")),
        *(("trouble is over", ""), ("trouble", "away")),
    ]
