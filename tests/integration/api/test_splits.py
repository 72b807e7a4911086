"""Requests divided among versions, through the Python client and by command."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from datetime import UTC, datetime

import pytest

from lockgate.cli import outcome
from lockgate.cli.main import cli
from lockgate.cli.options import Caller
from lockgate.domain.serving import Release
from lockgate.domain.stages import Stage
from lockgate.sdk.client import Lockgate
from lockgate.sdk.errors import BadRequest, Conflict, NotFound
from lockgate.wire.splits import Share
from tests.databases.backends import SQLITE
from tests.integration.api.conftest import Machine

NOW = datetime.now(UTC)
# what differs between databases is tested below the API
SQLITE_ALONE = pytest.mark.parametrize("backend", [SQLITE], indirect=True)


@pytest.fixture
def served(machine: Machine) -> Machine:
    """Versions 1 and 2 in Production, 2 the primary one; 3 in no stage."""
    refs = [machine.register("fraud", number, team="risk") for number in (1, 2, 3)]
    with machine.ports.store.writing("fraud") as work:
        work.endpoints.create("ep_1", "production", "fraud", NOW)
        for ref in refs[:2]:
            work.versions.place(ref, Stage.PRODUCTION, NOW, None)
            release = Release(f"rel_{ref.version}", "ep_1", ref, f"sha256:{ref.version}", "native", "", NOW)
            work.endpoints.warm("ep_1", release)
            work.endpoints.commit("ep_1", release.id, NOW)
    return machine


Run = Callable[..., tuple[int, str]]


@pytest.fixture
def run(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Run:
    """Runs `lockgate endpoints split` as in a shell: its exit code and what it printed."""
    monkeypatch.setenv("COLUMNS", "200")
    made: list[Lockgate] = []
    real = Caller.client

    def client(caller: Caller) -> Lockgate:
        made.append(real(caller))
        return made[-1]

    # a command ends with its process; here its connections would stay open
    monkeypatch.setattr(Caller, "client", client)

    def run(machine: Machine, *words: str, command: Sequence[str] = ("endpoints", "split")) -> tuple[int, str]:
        code = outcome.run(cli, [*command, *words, "--url", machine.url])
        while made:
            made.pop().close()
        told = capsys.readouterr()
        return code, told.out + told.err

    return run


@SQLITE_ALONE
def test_they_are_divided_shown_and_given_back(served: Machine) -> None:
    with served.as_("ada") as ada:
        told = ada.splits.set("fraud", shares={1: 12.5}, key="X-User", shadow=None, reason="a look")
        assert (told.primary, told.shares, told.in_force) == (2, (Share(1, 12.5),), (Share(1, 12.5),))
        assert (told.key, told.set_by) == ("X-User", "ada (unverified)")
        assert ada.splits.list() == ada.splits.list("fraud", "production") == (told,)
        assert ada.splits.list("fraud", "staging") == ()
        assert ada.splits.remove("fraud", reason="enough") == ()
        with pytest.raises(NotFound, match="not divided"):
            ada.splits.remove("fraud")
        with pytest.raises(Conflict, match="not in Production"):
            ada.splits.set("fraud", shares={3: 10})
        with pytest.raises(BadRequest, match="only 100"):
            ada.splits.set("fraud", shares={1: 60, 3: 50})
        assert [entry.action for entry in ada.audit("fraud")][:2] == ["endpoint:split-removed", "endpoint:split"]


@SQLITE_ALONE
def test_the_command_divides_shows_and_ends(served: Machine, run: Run) -> None:
    where = ("fraud", "--environment", "production")
    code, output = run(served, *where, "--share", "1=10%", "--cookie", "side", "--json")
    assert code == 0, output
    (told,) = json.loads(output)["splits"]
    assert (told["in_force"], told["cookie"]) == ([{"version": 1, "percent": 10.0}], "side")
    _, shown = run(served)
    assert "version 1 gets 10 %" in shown
    assert "the same cookie side stays with its version" in shown
    assert "fraud in production divides its requests: 10 % for version 1" in run(served, command=["endpoints"])[1]
    assert "version 1 gets copies of 5 %" in run(served, *where, "--shadow", "1=5")[1]
    code, ended = run(served, *where, "--remove")
    assert (code, "Nothing is divided" in ended) == (0, True)
    code, refused = run(served, *where, "--share", "3=10")
    assert (code, "is not in Production" in refused) == (1, True)


@pytest.mark.parametrize(
    "words",
    [
        ("fraud", "--share", "1=10"),
        ("--environment", "production", "--remove"),
        ("fraud", "--environment", "production", "--share", "one=10"),
        ("fraud", "--environment", "production", "--share", "1"),
        ("fraud", "--environment", "production", "--share", "1=10", "--remove"),
        ("fraud", "--environment", "production", "--share", "1=10", "--share", "1=20", "--shadow", "x"),
    ],
)
def test_a_command_that_says_too_little_is_refused_with_what_to_write(
    still: Machine, run: Run, words: tuple[str, ...]
) -> None:
    code, output = run(still, *words)
    assert code == 2, output
    assert "--share 7=10" in output or "VERSION=PERCENT" in output
