"""Every error has an exit code, is printed once, and never as a traceback."""

from __future__ import annotations

import inspect
import json

import click
import pytest

from lockgate.cli import outcome
from lockgate.cli.main import cli
from lockgate.domain import errors as inside
from lockgate.domain.verdict import Gate, Level, Standing, Verdict
from lockgate.sdk import errors as told

VERDICT = Verdict(
    (
        Gate("min_accuracy", Standing.FAILS, "too low", "0.81", "at least 0.9", "Train a better model.", Level.ENFORCE),
        Gate("team", Standing.HOLDS, "set"),
    )
)


def _errors(module: object) -> list[str]:
    return [name for name, found in inspect.getmembers(module, inspect.isclass) if issubclass(found, Exception)]


@pytest.mark.parametrize("name", sorted({*_errors(inside), *_errors(told)}))
def test_every_error_has_an_exit_code_of_its_own(name: str) -> None:
    assert name in outcome.EXIT_OF


def _run(error: Exception, *args: str) -> int:
    @click.command()
    @click.option("--json", "as_json", is_flag=True)
    def failing(as_json: bool) -> None:
        raise error

    return outcome.run(failing, list(args))


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (inside.BadInput("x"), 2),
        (inside.NotFound("x"), 1),
        (inside.Refused("x", verdict=VERDICT), 1),
        (inside.Waits("x", verdict=VERDICT), 8),
        (told.Refused("x"), 1),
        (told.Waiting("x"), 8),
        (told.Unreachable("x"), 1),
        (told.BadRequest("x"), 2),
        (outcome.Ends(8), 8),
    ],
)
def test_an_error_ends_with_its_exit_code(error: Exception, code: int) -> None:
    assert _run(error) == code


def test_a_refusal_shows_each_gate_that_stops_it_with_seen_required_and_next(
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert _run(inside.Refused("fraud@7 is refused.", verdict=VERDICT)) == 1
    shown = capsys.readouterr()
    assert shown.out == ""
    assert shown.err.count("fraud@7 is refused.") == 1
    for told_word in ("min_accuracy", "0.81", "at least 0.9", "too low", "Train a better model."):
        assert told_word in shown.err
    assert "team" not in shown.err


def test_with_json_a_refusal_is_one_document_on_standard_output(capsys: pytest.CaptureFixture[str]) -> None:
    assert _run(inside.Refused("fraud@7 is refused.", verdict=VERDICT, promotion="prm_1"), "--json") == 1
    shown = capsys.readouterr()
    assert shown.err == ""
    error = json.loads(shown.out)["error"]
    assert (error["kind"], error["exit_code"], error["promotion"]) == ("Refused", 1, "prm_1")
    assert [gate["name"] for gate in error["gates"]] == ["min_accuracy", "team"]


def test_a_bug_is_told_in_two_lines_without_a_traceback(capsys: pytest.CaptureFixture[str]) -> None:
    assert _run(ZeroDivisionError("division by zero")) == 1
    shown = capsys.readouterr().err
    assert "ZeroDivisionError: division by zero" in shown
    assert "LOCKGATE_DEBUG=1" in shown
    assert "Traceback" not in shown


@pytest.mark.parametrize(
    "arguments",
    [
        ["promote", "fraud", "--to", "production"],
        ["promote", "fraud@x", "--to", "production"],
        ["promote", "fraud@1"],
        ["promote", "fraud@1", "--to", "retired"],
        ["promote", "fraud@1", "--to", "production", "--wait=soon"],
        ["status", "a/b"],
        ["status", "--url", "localhost:5000"],
        ["rollback", "fraud"],
        ["nonsense"],
    ],
)
def test_wrong_usage_exits_2_with_and_without_json(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert outcome.run(cli, arguments) == 2
    spoken = capsys.readouterr()
    assert spoken.out == ""
    assert spoken.err
    assert outcome.run(cli, [*arguments, "--json"]) == 2
    assert json.loads(capsys.readouterr().out)["error"]["exit_code"] == 2


def test_a_server_that_is_not_there_is_named_with_the_command_that_starts_it(
    capsys: pytest.CaptureFixture[str],
) -> None:
    # port 9 (discard) of loopback: reserved, and nothing of ours would ever listen there
    assert outcome.run(cli, ["status", "--url", "http://127.0.0.1:9"]) == 1
    shown = capsys.readouterr().err
    assert "Nobody answers at http://127.0.0.1:9" in shown
    assert "lockgate up" in shown
