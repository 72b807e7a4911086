"""`POST /feedback`: what turned out to be right for a prediction, told by the id of its request."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import orjson

from lockgate.worker.http.messages import Answer, Reply, Request, failure
from lockgate.worker.observing.keeping import Keeper

MOST_LABELS = 10_000
LARGEST_BODY = 4 * 1024 * 1024
LONGEST_ID = 200
LARGEST_LABEL = 64 * 1024
LARGEST_ROW = 2**31 - 1
_WRITTEN_WITHIN = 10.0
_EXAMPLE = 'Send {"request_id": "…", "label": 1}, or {"feedback": [{"request_id": "…", "label": 1, "row": 0}, …]}.'
_AGAIN = (b"retry-after", b"1")


class Wrong(Exception):
    """What was sent is no feedback; the text is for a person."""


class Feedback:
    """Takes labels. For the loop's thread."""

    def __init__(self, keeper: Keeper, loop: asyncio.AbstractEventLoop) -> None:
        self._keeper = keeper
        self._loop = loop

    def __call__(self, request: Request, reply: Reply) -> None:
        """Answer 200 once the labels are written, 400 for what is none, 503 when they cannot be kept now."""
        try:
            rows = read(request.body)
        except Wrong as error:
            reply(failure(400, "BAD_REQUEST", f"{error} {_EXAMPLE}"))
            return
        told = False

        def answer(written: bool) -> None:
            nonlocal told
            if told:
                return
            told = True
            late.cancel()
            reply(Answer(200, orjson.dumps({"kept": len(rows)})) if written else _not_kept())

        def heard(written: bool) -> None:
            if not self._loop.is_closed():
                self._loop.call_soon_threadsafe(answer, written)

        late = self._loop.call_later(_WRITTEN_WITHIN, answer, False)
        if not self._keeper.labels(rows, len(request.body), heard):
            answer(False)


def read(body: bytes) -> list[dict[str, Any]]:
    """The labels in a body as rows: `request_id`, `row` or None, and `label` as JSON text. Raises Wrong."""
    if len(body) > LARGEST_BODY:
        raise Wrong(f"The body has {len(body)} bytes, and {LARGEST_BODY} are the limit.")
    try:
        told = json.loads(body, parse_constant=_none_of_json)
    except (ValueError, RecursionError):
        raise Wrong("The body is not JSON.") from None
    if not isinstance(told, dict):
        raise Wrong("The body is no JSON object.")
    if "feedback" not in told:
        return [_row(told, "")]
    if set(told) != {"feedback"} or not isinstance(told["feedback"], list) or not told["feedback"]:
        raise Wrong("`feedback` is a list with at least one label, and stands alone.")
    if len(told["feedback"]) > MOST_LABELS:
        raise Wrong(f"There are {len(told['feedback'])} labels, and {MOST_LABELS} at once are the limit.")
    return [_row(each, f"feedback[{number}]: ") for number, each in enumerate(told["feedback"])]


def _row(told: object, where: str) -> dict[str, Any]:
    if not isinstance(told, dict):
        raise Wrong(f"{where}This is no JSON object.")
    unknown = sorted(set(told) - {"request_id", "label", "row"})
    if unknown:
        raise Wrong(f"{where}There is no field {unknown[0][:100]!r}.")
    if "label" not in told:
        raise Wrong(f"{where}`label` is missing.")
    id, row = told.get("request_id"), told.get("row")
    if not isinstance(id, str) or not 0 < len(id) <= LONGEST_ID or not id.isprintable():
        raise Wrong(f"{where}`request_id` is the X-Request-Id of the answer, at most {LONGEST_ID} characters.")
    if row is not None and (isinstance(row, bool) or not isinstance(row, int) or not 0 <= row <= LARGEST_ROW):
        raise Wrong(f"{where}`row` is a whole number from 0 on.")
    label = json.dumps(told["label"])  # in ASCII, so also what no text encoding takes
    if len(label) > LARGEST_LABEL:
        raise Wrong(f"{where}The label has {len(label)} bytes, and {LARGEST_LABEL} are the limit.")
    return {"request_id": id, "row": row, "label": label}


def _none_of_json(told: str) -> None:
    raise ValueError(told)


def _not_kept() -> Answer:
    return failure(503, "TEMPORARILY_UNAVAILABLE", "The labels cannot be kept now. Try again.", _AGAIN)
