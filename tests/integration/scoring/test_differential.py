"""Whatever is sent, the worker's answer is the one that MLflow's own scoring code gives."""

from __future__ import annotations

import asyncio
import json
import logging
import math
import warnings
from collections.abc import Callable
from typing import Any

import pytest

from lockgate.worker.http.messages import Answer, Request
from lockgate.worker.invocations.served import Served
from tests.integration.scoring.subjects import MAKERS, Subject, make_subject
from tests.integration.scoring.watcher import Watcher
from tests.integration.scoring.writings import Writer, Writing

_TOGETHER = (1, 2, 5, 8)


@pytest.fixture(scope="module", params=MAKERS)
def subject(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Subject:
    return make_subject(request.param, tmp_path_factory.mktemp("subjects"))


@pytest.fixture(scope="module")
def served(subject: Subject) -> Served:
    return Served.load(subject.config(), Watcher())


@pytest.fixture(scope="module")
def stock(subject: Subject) -> Any:
    import mlflow.pyfunc

    return mlflow.pyfunc.load_model(str(subject.folder))


@pytest.fixture(autouse=True)
def quiet() -> Any:
    """Models and MLflow warn of most of what is sent here."""
    logging.disable(logging.CRITICAL)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield
    logging.disable(logging.NOTSET)


def test_every_generated_request_gets_mlflows_status_and_answer(
    subject: Subject, served: Served, stock: Any, rounds: Callable[[int, int], int]
) -> None:
    writer = Writer(subject.names, subject.kinds, seed=5)
    with asyncio.Runner() as runner:
        for turn in range(rounds(14, 700)):
            writings = [writer.next() for _ in range(_TOGETHER[turn % len(_TOGETHER)])]
            answers = runner.run(asked(served, writings))
            for writing, answer in zip(writings, answers, strict=True):
                same(writing, answer, theirs(stock, writing))
    assert (served.engine != "pyfunc") is subject.fast


def same(writing: Writing, answer: Answer, expected: tuple[int, str, bytes]) -> None:
    """Fail with the request unless status, type and content are MLflow's. Only stack traces are left out of errors."""
    status, content_type, body = expected
    about = f"{writing.story}: {writing.content_type} {writing.body[:2000]!r}\n{answer.body[:500]!r}\n{body[:500]!r}"
    assert answer.status == status, about
    if status == 500:
        return  # MLflow's server has no words for it, we do
    assert answer.content_type.decode() == content_type, about
    if content_type != "application/json":
        assert answer.body == body, about
        return
    ours, wanted = json.loads(answer.body), json.loads(body)
    if status != 200:
        assert ours.pop("cause", None) is None or "stack_trace" in wanted, about
        wanted.pop("stack_trace", None)
        ours, wanted = without_identities(ours), without_identities(wanted)
    assert alike(ours, wanted), about


def without_identities(told: dict[str, Any]) -> dict[str, Any]:
    """An error without the order of sets, which no two processes need to share, and without addresses."""
    return {key: sorted(value) if isinstance(value, str) else value for key, value in told.items()}


def alike(one: Any, other: Any) -> bool:
    """Equal type by type, and in floats bit by bit; what is no number is equal to itself."""
    if type(one) is not type(other):
        return False
    if isinstance(one, list):
        return len(one) == len(other) and all(alike(*pair) for pair in zip(one, other, strict=True))
    if isinstance(one, dict):
        return one.keys() == other.keys() and all(alike(one[key], other[key]) for key in one)
    if isinstance(one, float):
        return (math.isnan(one) and math.isnan(other)) or (one, math.copysign(1, one)) == (
            other,
            math.copysign(1, other),
        )
    return bool(one == other)


async def asked(served: Served, writings: list[Writing]) -> list[Answer]:
    """The answers to requests that come in one turn of the loop."""
    loop = asyncio.get_running_loop()
    answers: list[asyncio.Future[Answer]] = []
    for writing in writings:
        answers.append(loop.create_future())
        content_type = writing.content_type.encode()
        request = Request(b"POST", b"/invocations", b"", [], writing.body, content_type)
        served.invoke(request, answers[-1].set_result)
    return list(await asyncio.gather(*answers))


def theirs(stock: Any, writing: Writing) -> tuple[int, str, bytes]:
    """Status, content type and body as MLflow's scoring server gives them."""
    from mlflow.exceptions import MlflowException
    from mlflow.pyfunc import scoring_server

    schema = stock.metadata.get_input_schema()
    try:
        told = scoring_server.invocations(writing.body, writing.content_type, stock, schema)
    except MlflowException as error:
        return int(error.get_http_status_code()), "application/json", error.serialize_as_json().encode()
    except Exception:  # noqa: BLE001 - as Starlette does
        return 500, "text/plain; charset=utf-8", b"Internal Server Error"
    charset = "; charset=utf-8" if told.mimetype.startswith("text/") else ""
    return told.status, told.mimetype + charset, told.response.encode()
