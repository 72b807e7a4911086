"""Users and tokens over real HTTP: by the client and by the commands, on a server where everybody logs in."""

from __future__ import annotations

import io
import json
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

import httpx2
import pytest
from starlette.applications import Starlette
from starlette.routing import Mount

from lockgate.adapters.policyfile import parse_policy
from lockgate.cli import outcome
from lockgate.cli.main import cli
from lockgate.cli.options import Caller
from lockgate.sdk.client import Lockgate
from lockgate.sdk.errors import BadRequest, Conflict, Forbidden
from lockgate.sdk.people import AT_ONCE
from lockgate.server.api.app import create_api
from lockgate.server.authorise import Leaves
from lockgate.server.identity import Identity
from lockgate.server.logins import Logins, proofs_of
from lockgate.testing.passwords import OpenPasswords
from lockgate.usecases import registry
from lockgate.wire.people import Newcomer
from lockgate.wire.requests import PREFIX
from tests.databases.backends import SqliteBackend
from tests.databases.postgres import shared_folder
from tests.integration.api.conftest import Machine, listening, running

GOOD = "four words nobody chose"
FRAUD = "contributor", "fraud-*"


@dataclass
class Guarded:
    """A server on which `boss` is the administrator."""

    url: str
    database: str

    @contextmanager
    def logged_in(self, name: str = "boss", password: str = GOOD) -> Iterator[Lockgate]:
        with Lockgate(self.url, name, password=password, timeout=20) as client:
            yield client

    @contextmanager
    def by(self, token: str) -> Iterator[Lockgate]:
        with Lockgate(self.url, token=token, timeout=20) as client:
            yield client


@pytest.fixture(scope="module")
def guarded(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Guarded]:
    """One server for all of them; each adds users under names of its own."""
    backend = SqliteBackend(tmp_path_factory.mktemp("guarded"), shared_folder(tmp_path_factory))
    database = backend.fresh()
    with running(database) as machine:
        passwords, ports = OpenPasswords(), machine.ports
        api = create_api(ports, passwords, parse_policy=parse_policy)
        leaves = Leaves(lambda who, asked, model, why: registry.refused(ports, model, asked, who, why))
        app = Identity(Starlette(routes=[Mount(PREFIX, app=api)]), Logins(proofs_of(ports, passwords)), leaves)
        with listening(app) as url:
            with Lockgate(url, "anybody", timeout=20) as client:
                one_time = client.people.add("boss").one_time_password
            assert one_time is not None
            with Lockgate(url, "boss", password=one_time, timeout=20) as client:
                client.people.change_password(one_time, GOOD)
            yield Guarded(url, database.uri)
    backend.close()


@pytest.fixture
def run(
    guarded: Guarded, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Iterator[Callable[..., tuple[int, str]]]:
    """A command as `boss` types it: its exit code and all it prints."""
    monkeypatch.setenv("MLFLOW_TRACKING_USERNAME", "boss")
    monkeypatch.setenv("MLFLOW_TRACKING_PASSWORD", GOOD)
    monkeypatch.setenv("LOCKGATE_URL", guarded.url)
    with typing(monkeypatch, capsys) as typed:
        yield typed


@contextmanager
def typing(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Iterator[Callable[..., tuple[int, str]]]:
    monkeypatch.setenv("COLUMNS", "160")
    open_still, make = ExitStack(), Caller.client
    # the end of a process closes its connections; here nothing ends
    monkeypatch.setattr(Caller, "client", lambda caller: open_still.enter_context(make(caller)))

    def typed(*words: str, stdin: str = "") -> tuple[int, str]:
        monkeypatch.setattr("sys.stdin", io.StringIO(stdin))
        code = outcome.run(cli, words)
        told = capsys.readouterr()
        return code, told.out + told.err

    with open_still:
        yield typed


def test_somebody_is_added_logs_in_and_works_with_what_they_were_given(guarded: Guarded) -> None:
    with guarded.logged_in() as boss:
        added = boss.people.add("zoë", grants=[FRAUD])
        assert added.one_time_password is not None
        assert [user.must_change for user in boss.people.all() if user.name == "zoë"] == [True]
    with guarded.logged_in("zoë", added.one_time_password) as first:
        assert first.whoami().must_change
        with pytest.raises(Forbidden, match="replaced"):
            first.status()
        with pytest.raises(BadRequest, match="characters"):
            first.people.change_password(added.one_time_password, "short")
        first.people.change_password(added.one_time_password, GOOD + "!")
    with guarded.logged_in("zoë", GOOD + "!") as zoe:
        seen = zoe.whoami()
        assert (seen.name, seen.verified, seen.users) == ("zoë", True, True)
        assert [(grant.role, grant.pattern) for grant in seen.grants] == [FRAUD]
        assert zoe.people.show("zoë").name == "zoë"
        assert zoe.tokens.all() == ()
        for forbidden in (zoe.people.all, lambda: zoe.people.show("boss"), lambda: zoe.tokens.all(everybody=True)):
            with pytest.raises(Forbidden, match="the role admin"):
                forbidden()


def test_a_token_is_less_than_its_person_and_ends_when_it_is_revoked(guarded: Guarded) -> None:
    with guarded.logged_in() as boss:
        boss.people.add("ci-1", service=True, grants=[FRAUD])
        made = boss.tokens.create("ci-1", label="pipeline", pattern="fraud-eu")
        with guarded.by(made.secret) as ci:
            seen = ci.whoami()
            assert (seen.name, seen.kind, seen.token) == ("ci-1", "service", made.token.id)
            assert [(each.role, each.pattern, each.within) for each in seen.grants] == [(*FRAUD, "fraud-eu")]
            with pytest.raises(Forbidden):
                ci.people.grant("ci-1", "admin")
        assert boss.tokens.all("ci-1")[0].used_at is not None
        assert [token.id for token in boss.tokens.revoke_all("ci-1", "leaked")] == [made.token.id]
    with guarded.by(made.secret) as ci, pytest.raises(Forbidden):
        ci.tokens.create()


def test_the_last_administrator_is_told_who_has_to_come_first(guarded: Guarded) -> None:
    with guarded.logged_in() as boss:
        with pytest.raises(Conflict, match="last administrator"):
            boss.people.disable("boss")
        boss.people.add("eva")
        with pytest.raises(Conflict, match="'eva'"):
            boss.people.add("EVA")


def test_many_are_brought_in_one_go(guarded: Guarded) -> None:
    crowd = [Newcomer(f"n{number}", password="theirs:" + GOOD) for number in range(AT_ONCE + 20)]
    with guarded.logged_in() as boss:
        assert {each.outcome for each in boss.people.bring(crowd, "there", try_only=True)} == {"added"}
        assert [each.name for each in boss.people.bring(crowd, "there")] == [each.name for each in crowd]
        assert {each.name for each in crowd} <= {user.name for user in boss.people.all()}
    with guarded.logged_in("n519") as last:
        assert last.whoami().name == "n519"


@pytest.mark.parametrize(
    ("path", "body", "said"),
    [
        ("/users", {"name": "a:b"}, "is not a name"),
        ("/users", {"name": "ana", "kind": "robot"}, "no kind of user"),
        ("/users", {"name": "ana", "grants": [{"role": "boss"}]}, "is not a role"),
        ("/users", {"name": "ana", "grants": [{"role": "viewer", "within": "x"}]}, "no `within`"),
        ("/users", {"name": "ana", "admin": True}, "there is no such field"),
        ("/users/grant", {"name": "boss", "role": "viewer", "pattern": "a/b"}, "is not a pattern"),
        ("/users/import", {"source": "x", "people": []}, "0 people were named"),
        ("/tokens", {"expires_in": 5}, "cannot be good for 5 seconds"),
        ("/tokens", {"roles": ["root"]}, "is not a role"),
        ("/tokens/revoke", {}, "Name a token"),
        ("/password", {"old": "x"}, "new: expected text"),
    ],
)
def test_a_wrong_question_is_400_and_says_what_is_wrong(guarded: Guarded, path: str, body: object, said: str) -> None:
    with httpx2.Client(base_url=guarded.url + PREFIX, trust_env=False, auth=("boss", GOOD)) as http:
        answer = http.post(path, json=body)

    assert answer.status_code == 400
    assert said in answer.json()["message"]


def test_no_answer_after_the_first_holds_a_secret(guarded: Guarded) -> None:
    with guarded.logged_in() as boss:
        made = boss.tokens.create()
        one_time = boss.people.add("iris").one_time_password
    with httpx2.Client(base_url=guarded.url + PREFIX, trust_env=False, auth=("boss", GOOD)) as http:
        told = "".join(http.get(path).text for path in ("/users", "/tokens", "/whoami", "/audit"))

    assert one_time is not None
    assert not any(secret in told for secret in (made.secret, one_time, GOOD))


def test_the_commands_tell_a_person_what_happened(run: Callable[..., tuple[int, str]]) -> None:
    code, told = run("users", "add", "ana", "--role", "contributor", "--on", "fraud-*")
    assert code == 0
    assert "ana was added: contributor on fraud-*." in told
    assert "One-time password: " in told
    assert run("users", "grant", "ana", "approver") == (
        0,
        "ana, one-time password: approver everywhere, contributor on fraud-*.\n",
    )
    assert run("users", "revoke", "ana", "approver")[0] == 0
    assert run("users", "disable", "ana", "--reason", "left") == (0, "ana, disabled: contributor on fraud-*.\n")
    assert run("users", "enable", "ana")[0] == 0
    code, told = run("users", "list")
    assert code == 0
    assert "admin everywhere" in told
    assert run("users", "disable", "boss")[0] == 1
    code, told = run("whoami")
    assert (code, told) == (0, "boss, a person, logged in\n  roles: admin everywhere\n")


def test_without_users_it_is_said_and_nobody_comes_who_could_manage_nobody(
    still: Machine, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    monkeypatch.setenv("LOCKGATE_URL", still.url)
    with typing(monkeypatch, capsys) as typed:
        assert "There is nobody yet" in typed("users", "list")[1]
        assert "everybody may do everything under any name" in typed("whoami")[1]
        table = tmp_path / "people.csv"
        table.write_text("ana,viewer\n")
        assert "Nobody among these is an administrator" in typed("users", "import", str(table))[1]
        assert typed("users", "add", "ci", "--service")[0] == 2
    with still.ports.store.reading() as work:
        assert not work.people.any()


def test_a_token_is_made_shown_and_revoked_from_the_command_line(run: Callable[..., tuple[int, str]]) -> None:
    assert run("users", "add", "ci", "--service", "--role", "contributor")[0] == 0
    code, told = run("tokens", "create", "--for", "ci", "--label", "pipeline", "--expires", "12h", "--json")
    made = json.loads(told)
    assert code == 0
    assert made["secret"].startswith("lgt_")
    code, told = run("tokens", "list", "--of", "ci")
    assert made["token"]["id"] in told
    assert made["secret"] not in told
    assert "pipeline" in run("users", "show", "ci")[1]
    assert run("tokens", "revoke", made["token"]["id"]) == (0, f"Revoked 1 token: {made['token']['id']}.\n")
    assert run("tokens", "revoke", "--of", "ci")[1] == "ci has no token that was good still.\n"
    assert run("tokens", "revoke")[0] == 2
    assert run("tokens", "create", "--expires", "1s")[0] == 2


def test_ones_own_password_is_read_from_standard_input_where_there_is_no_terminal(
    run: Callable[..., tuple[int, str]], monkeypatch: pytest.MonkeyPatch
) -> None:
    run("users", "add", "kim")
    one_time = json.loads(run("users", "password", "kim", "--reason", "forgotten", "--json")[1])["one_time_password"]
    monkeypatch.setenv("MLFLOW_TRACKING_USERNAME", "kim")
    monkeypatch.setenv("MLFLOW_TRACKING_PASSWORD", one_time)
    assert run("users", "password", stdin="one line\n")[0] == 2
    assert run("users", "password", stdin=f"{one_time}\n{GOOD}\n")[0] == 0
    monkeypatch.setenv("MLFLOW_TRACKING_PASSWORD", GOOD)
    assert run("whoami") == (
        0,
        "kim, a person, logged in\n  roles: no role\n  Without one nothing is allowed: lockgate users grant kim ROLE\n",
    )


def test_a_table_is_brought_as_a_whole_or_not_at_all(run: Callable[..., tuple[int, str]], tmp_path: Path) -> None:
    table = tmp_path / "people.csv"
    table.write_text("name,role,pattern\ntess,contributor,fraud-*\nBOSS,viewer\n")
    code, told = run("users", "import", str(table))
    assert code == 1
    assert "Nothing was changed." in told
    assert run("users", "show", "tess")[0] == 1
    table.write_text("name,role,pattern\ntess,contributor,fraud-*\n")
    assert run("users", "import", str(table), "--dry-run")[0] == 0
    code, told = run("users", "import", str(table), "--json")
    assert code == 0
    assert json.loads(told)["outcomes"][0]["one_time_password"]
    table.write_text("ana,boss\n")
    assert run("users", "import", str(table))[0] == 2
    assert run("users", "import", str(tmp_path / "missing.csv"))[0] == 2
    assert run("users", "import", str(table), "--everyone", "viewer")[0] == 2


def test_a_forgotten_administrator_is_let_in_again_on_the_servers_machine(
    guarded: Guarded, run: Callable[..., tuple[int, str]], tmp_path: Path
) -> None:
    run("users", "add", "ada", "--role", "admin")
    where = "--database", guarded.database, "--home", str(tmp_path)
    code, told = run("users", "recover", "ada", "--reason", "forgotten", *where, "--json")
    assert code == 0
    # ours is argon2 here, and the server's a fake that cannot read it
    assert json.loads(told)["name"] == "ada"
    assert run("users", "recover", "nobody", "--reason", "x", *where)[0] == 1
    assert run("users", "recover", "ada", *where)[0] == 2
    # the others count on there being one administrator
    assert run("users", "revoke", "ada", "admin")[0] == 0
    missing = f"sqlite:///{tmp_path}/missing.db"
    assert run("users", "recover", "ada", "--reason", "x", "--database", missing, "--home", str(tmp_path))[0] == 1
    assert not (tmp_path / "missing.db").exists()
