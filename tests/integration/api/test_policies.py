"""Policies over the API: what each gate asks for, the past under another policy, applying one, and judging again."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from lockgate.cli import options, outcome
from lockgate.cli.main import cli
from lockgate.sdk.client import Lockgate
from lockgate.sdk.errors import BadRequest, NotFound, Refused
from lockgate.wire.policies import Rejudged, SimulatedPage
from tests.databases.backends import SqliteBackend
from tests.databases.postgres import shared_folder
from tests.integration.api.conftest import POLICY, Machine, running

STRICTER = POLICY.replace(
    "Staging:\n    requires: {required_tags: [team]}", "Staging:\n    requires: {min_accuracy: 0.9}"
)
LOOSER = POLICY.replace("required_tags: [team]", "required_tags: []", 1)


def told(found: list[Rejudged]) -> list[tuple[str, str, str]]:
    return [(each.ref, each.then, each.now) for each in found]


def all_of(client: Lockgate, text: str, **how) -> tuple[list[SimulatedPage], list[Rejudged]]:
    pages = list(client.policies.simulate(text, **how))
    return pages, [each for page in pages for each in page.different]


def live_through(machine: Machine) -> None:
    """Two versions that went into Staging, one that was refused, and one that went on to Production."""
    with machine.as_("ann") as ann, machine.as_("ben") as ben:
        for number, tags in enumerate(({"team": "risk"}, {}, {"team": "risk"}), start=1):
            machine.register("fraud", number, **tags)
        ann.promote("fraud@1", "Staging")
        with pytest.raises(Refused):
            ann.promote("fraud@2", "Staging")
        ann.promote("fraud@3", "Staging")
        ann.request("fraud@3", "it is better")
        ben.approve("fraud@3", "yes")
        ann.promote("fraud@3")


@pytest.fixture(scope="module")
def past(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Lockgate]:
    """Asks a server with a history, for what changes nothing."""
    backend = SqliteBackend(tmp_path_factory.mktemp("past"), shared_folder(tmp_path_factory))
    with running(backend.fresh()) as machine:
        live_through(machine)
        with machine.as_("ann") as ann:
            yield ann
    backend.close()


def test_each_gate_is_explained_with_the_line_that_asks_for_it(past: Lockgate) -> None:
    found = past.policies.explain("fraud@1")
    gates = {gate.name: gate for gate in found.gates}

    assert (found.standing, found.level, found.builtin) == ("fails", "enforce", False)
    assert gates["artifacts_pinned"].source is None
    tags = gates["required_tags"]
    assert tags.source is not None
    assert tags.source.key.startswith("stages.Production")
    assert POLICY.splitlines()[tags.source.line - 1].strip() == "required_tags: [team]"
    assert (tags.standing, tags.grade) == ("holds", "claimed")
    assert gates["previous_stage"].grade == "recorded"
    assert gates["previous_stage"].next == "lockgate promote fraud@1 --to staging"
    assert gates["approval_required"].next.startswith("lockgate request fraud@1")


def test_explaining_needs_a_version_and_a_stage_with_gates(past: Lockgate) -> None:
    with pytest.raises(NotFound, match="version=9"):
        past.policies.explain("fraud@9")
    with pytest.raises(BadRequest, match="has no gates"):
        past.policies.explain("fraud@1", to="Archived")


def test_the_past_under_the_same_policy_is_the_past(past: Lockgate) -> None:
    (page,), different = all_of(past, POLICY)

    assert (page.judged, page.same, page.total) == (4, 4, 4)
    assert different == []


def test_a_looser_policy_shows_what_would_have_gone_through(past: Lockgate) -> None:
    _, different = all_of(past, LOOSER)

    assert told(different) == [("fraud@2", "fails", "holds")]
    assert different[0].because == ("required_tags would not stop it (fails then)",)


def test_what_the_kept_evidence_does_not_say_is_unknown_and_not_guessed(past: Lockgate) -> None:
    _, different = all_of(past, STRICTER)

    assert told(different) == [
        ("fraud@1", "holds", "unknown"),
        ("fraud@2", "fails", "unknown"),
        ("fraud@3", "holds", "unknown"),
    ]
    assert different[0].lacking == ("the metric accuracy",)


def test_the_past_comes_in_pages_of_a_time_and_of_some_models(past: Lockgate) -> None:
    pages, different = all_of(past, LOOSER, page=1)
    assert [(page.looked_at, page.total) for page in pages] == [(1, 4), (1, 0), (1, 0), (1, 0)]
    assert told(different) == [("fraud@2", "fails", "holds")]

    pages, _ = all_of(past, LOOSER, model="other-*")
    assert [(page.judged, page.looked_at, page.total) for page in pages] == [(0, 4, 4)]

    pages, _ = all_of(past, LOOSER, since=datetime.now(UTC) + timedelta(minutes=1))
    assert [(page.judged, page.total) for page in pages] == [(0, 0)]


def test_a_broken_policy_or_page_is_refused_with_its_line(past: Lockgate) -> None:
    with pytest.raises(BadRequest, match=r"lockgate.yaml:1: .*unknown key 'levels'"):
        list(past.policies.simulate("levels: enforce"))
    with pytest.raises(BadRequest, match="A page of 0 is none"):
        list(past.policies.simulate(POLICY, page=0))


def test_a_policy_that_is_applied_is_in_force_at_once_and_on_the_record(machine: Machine) -> None:
    live_through(machine)
    with machine.as_("ann") as ann:
        before = ann.policy()

        done = ann.policies.apply(LOOSER, "teams are gone")
        again = ann.policies.apply(LOOSER)

        assert (done.in_force, done.changed, done.before) == (True, True, before.digest)
        assert (again.changed, again.digest) == (False, done.digest)
        assert ann.policy().text == LOOSER
        assert ann.promote("fraud@2", "Staging").state == "done"
        entry, *rest = ann.audit(action="policy:applied")
        assert len(rest) == 1
        assert (entry.why, entry.before, entry.after) == ("teams are gone", before.digest, done.digest)
        with pytest.raises(BadRequest, match=r"lockgate\.yaml:1"):
            ann.policies.apply("level: loud")
        assert ann.policy().digest == done.digest

        judged = [e for e in ann.audit("fraud") if e.action in ("promotion:done", "promotion:refused")]
        replayed = [ann.policies.replay(f"{entry.chain}#{entry.number}") for entry in judged]
        assert [each.differences for each in replayed] == [()] * 5, "each by the policy of its own day"
        assert [(each.ref, each.now) for each in reversed(replayed)] == [
            ("fraud@1", "holds"),
            ("fraud@2", "fails"),
            ("fraud@3", "holds"),
            ("fraud@3", "holds"),
            ("fraud@2", "holds"),
        ]


@pytest.mark.parametrize(
    ("entry", "error", "told"),
    [
        ("model:1#9999", NotFound, "There is no entry model:1#9999"),
        ("nonsense", BadRequest, "names no entry"),
        ("model:1#-1", BadRequest, "names no entry"),
        ("model:1#" + "9" * 30, BadRequest, "names no entry"),
        ("model:1#1", BadRequest, "tells of no verdict"),
    ],
)
def test_what_is_no_verdict_cannot_be_judged_again(past: Lockgate, entry, error, told) -> None:
    with pytest.raises(error, match=told):
        past.policies.replay(entry)


# --- the commands -----------------------------------------------------------------------------------------------------


@pytest.fixture
def run(past: Lockgate, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture) -> Callable:
    """Runs a command as somebody at a terminal does: its exit code, and what it printed."""
    # a command leaves its connection to the end of its process, which is not the test's
    monkeypatch.setattr(options.Caller, "client", lambda _: past)

    def run(*arguments: str) -> tuple[int, str]:
        code = outcome.run(cli, arguments)
        told = capsys.readouterr()
        return code, " ".join((told.out + told.err).split())

    return run


def test_the_commands_about_policies_say_and_exit_as_the_reference_has_it(run: Callable, tmp_path: Path) -> None:
    looser, broken, same = (tmp_path / name for name in ("looser.yaml", "broken.yaml", "same.yaml"))
    looser.write_text(LOOSER)
    same.write_text(POLICY)
    broken.write_text("level: enforce\nstages:\n  Staging:\n    rules: [{name: a, cel: 'true and'}]\n")

    code, told = run("policy", "show")
    assert (code, "staging_duration" in told, "required_tags: [team]" in told) == (0, False, True)
    code, told = run("policy", "explain", "fraud@1")
    assert code == 0
    assert "fraud@1 to Production would be refused" in told
    assert "required_tags: stages.Production.requires.required_tags (line 8)" in told
    assert run("policy", "explain", "fraud", "1") == (code, told)
    assert run("policy", "explain", "fraud", "1", "2")[0] == 2
    assert run("policy", "explain", "fraud@9")[0] == 1
    assert run("policy", "explain", "fraud@1", "--to", "archived")[0] == 2

    code, told = run("policy", "simulate", str(looser))
    assert code == 0
    assert "of 4 verdicts" in told
    assert "fails holds 1" in told
    assert "required_tags would not stop it" in told
    assert "Nothing was judged in that time" in run("policy", "simulate", str(looser), "--since", "2999-01-01")[1]
    assert run("policy", "simulate", str(looser), "--since", "yesterday")[0] == 2
    for command in ("check", "simulate", "apply"):
        code, told = run("policy", command, str(broken))
        assert code == 2
        assert "broken.yaml:4: stages.Staging.rules[0].cel" in told
        assert "Write &&" in told
    assert run("policy", "apply", str(tmp_path / "absent.yaml"))[0] == 2
    code, told = run("policy", "apply", str(same))
    assert (code, "Nothing was changed." in told) == (0, True)


def test_a_verdict_is_judged_again_from_the_command_line(run: Callable, past: Lockgate) -> None:
    entry = past.audit(action="promotion:refused")[0]

    code, told = run("audit", "replay", f"{entry.chain}#{entry.number}")
    assert (code, told.startswith("fraud@2 to Staging fails, as it did: all")) == (0, True)
    assert run("audit", "replay", "model:1#1")[0] == 2
    assert run("audit", "replay", "model:99#1")[0] == 1
