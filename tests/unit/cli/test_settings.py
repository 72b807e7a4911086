"""Settings come from options, else from the environment, else from defaults, and a wrong one is named."""

from __future__ import annotations

from pathlib import Path

import pytest

from lockgate.cli.up import up
from lockgate.config import (
    OPTIONS,
    Edge,
    Settings,
    is_loopback,
    load,
    reached_at,
    require_certificate,
    require_people,
    without_passwords,
)
from lockgate.domain.errors import BadInput


@pytest.fixture(autouse=True)
def _elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    for name in Settings.model_fields:
        monkeypatch.delenv(f"LOCKGATE_{name.upper()}", raising=False)


def test_the_defaults_keep_everything_in_a_folder_here(tmp_path: Path) -> None:
    found = load()
    assert found.home == tmp_path / ".lockgate"
    assert found.database == f"sqlite:///{tmp_path}/.lockgate/lockgate.db"
    assert found.artifacts == str(tmp_path / ".lockgate" / "artifacts")
    assert (found.host, found.port, found.staging_port, found.production_port) == ("127.0.0.1", 5000, 5001, 5002)
    assert found.policy is None
    assert found.url == "http://127.0.0.1:5000"


def test_a_policy_file_that_lies_here_is_taken(tmp_path: Path) -> None:
    (tmp_path / "lockgate.yaml").write_text("level: observe\n")
    assert load().policy == tmp_path / "lockgate.yaml"


def test_an_option_beats_the_environment_and_the_environment_beats_the_default(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LOCKGATE_PORT", "6000")
    monkeypatch.setenv("LOCKGATE_USER", "")
    assert load().port == 6000
    assert load({"port": 7000, "host": None}).port == 7000
    assert load().user


@pytest.mark.parametrize(("written", "size"), [("50GiB", 50 * 2**30), ("1 MB", 10**6), ("4096", 4096)])
def test_a_size_is_written_with_its_unit_or_in_bytes(monkeypatch: pytest.MonkeyPatch, written: str, size: int) -> None:
    monkeypatch.setenv("LOCKGATE_ARTIFACT_LIMIT", written)
    assert load().artifact_limit == size


@pytest.mark.parametrize("written", ["0", "-1", "much", "5 apples"])
def test_what_is_no_size_is_refused(monkeypatch: pytest.MonkeyPatch, written: str) -> None:
    monkeypatch.setenv("LOCKGATE_MODEL_LIMIT", written)
    with pytest.raises(BadInput, match=f"^LOCKGATE_MODEL_LIMIT: .*{written}"):
        load()


@pytest.mark.parametrize("host", ["127.0.0.1", "127.1.2.3", "::1", "[::1]", "localhost"])
def test_a_loopback_address_is_taken(host: str) -> None:
    assert is_loopback(host)
    assert load({"host": host}).host == host


EVERYWHERE = "0.0.0.0"  # noqa: S104 - to be refused


@pytest.mark.parametrize(
    "told",
    [
        *({"host": host} for host in (EVERYWHERE, "::", "192.168.1.7", "example.org")),
        {"trusted_proxies": "10.0.0.0/8"},
        {"allowed_hosts": "localhost, models.example.org"},
    ],
)
def test_what_lets_other_machines_in_takes_users(told: dict[str, str]) -> None:
    settings = load(told)
    with pytest.raises(BadInput, match=r"no users yet.*lockgate users add NAME"):
        require_people(settings, there_are=False)
    require_people(settings, there_are=True)


@pytest.mark.parametrize("told", [{}, {"host": "::1"}, {"allowed_hosts": "127.0.0.1"}, {"allowed_origins": "http://a"}])
def test_what_only_this_machine_reaches_takes_none(told: dict[str, str]) -> None:
    require_people(load(told), there_are=False)


@pytest.mark.parametrize(
    ("name", "wrong"),
    [
        ("host", ""),
        ("host", "a b"),
        ("trusted_proxies", "10.0.0.0/33"),
        ("trusted_proxies", "proxy.example.org"),
        ("trusted_proxies", "10.0.0.1,0.0.0.0/0"),
        ("allowed_hosts", "https://models.example.org"),
        ("allowed_hosts", "*"),
        ("allowed_origins", "models.example.org"),
        ("allowed_origins", "https://models.example.org/page"),
        ("allowed_origins", "*"),
    ],
)
def test_a_malformed_opening_is_named_as_it_can_be_told(name: str, wrong: str) -> None:
    with pytest.raises(BadInput, match=f"^--{name.replace('_', '-')} .*Expected|^--trusted-proxies .*everybody"):
        load({name: wrong})


@pytest.mark.parametrize(
    ("host", "found"), [(EVERYWHERE, "127.0.0.1"), ("::", "::1"), ("[::1]", "::1"), ("box", "box")]
)
def test_an_address_that_means_all_is_asked_at_loopback(host: str, found: str) -> None:
    assert reached_at(host) == found


@pytest.mark.parametrize(
    ("name", "value", "told"),
    [
        ("port", "x", "--port (or LOCKGATE_PORT): "),
        ("port", 0, "--port (or LOCKGATE_PORT): "),
        ("staging_port", 70000, "--staging-port (or LOCKGATE_STAGING_PORT): "),
        ("workers", 0, "--workers (or LOCKGATE_WORKERS): "),
        ("artifacts", "", "--artifacts (or LOCKGATE_ARTIFACTS): "),
        ("artifacts", "  ", "--artifacts (or LOCKGATE_ARTIFACTS): "),
        ("transition_wait", -1, "LOCKGATE_TRANSITION_WAIT: "),
        ("webhook_attempts", 0, "LOCKGATE_WEBHOOK_ATTEMPTS: "),
    ],
)
def test_a_wrong_setting_is_named_alone_as_it_can_be_told_with_what_was_seen(
    name: str, value: object, told: str
) -> None:
    with pytest.raises(BadInput) as refused:
        load({name: value})
    assert refused.value.message.startswith(told)
    assert repr(value) in refused.value.message
    assert "--database" not in refused.value.message


def test_the_settings_that_are_said_to_be_options_are_the_ones_that_up_has() -> None:
    assert {option.name for option in up.params} - {"as_json"} == OPTIONS


@pytest.mark.parametrize(
    ("told", "shown"),
    [
        ("postgresql://me:s3cret%2F@host:5432/x", "postgresql://me:***@host:5432/x"),
        (
            "up --database postgresql+psycopg://me:a@h/x --port 1",
            "up --database postgresql+psycopg://me:***@h/x --port 1",
        ),
        ("postgresql://me@h/x?password=a&sslmode=require", "postgresql://me@h/x?password=***&sslmode=require"),
        ("http://127.0.0.1:5000 for me@example.org", "http://127.0.0.1:5000 for me@example.org"),
        ("sqlite:////home/me@work/lockgate.db", "sqlite:////home/me@work/lockgate.db"),
    ],
)
def test_a_password_in_an_address_is_not_shown(told: str, shown: str) -> None:
    assert without_passwords(told) == shown


@pytest.mark.parametrize("kind", ["postgresql", "postgresql+psycopg2", "postgresql+psycopg", "postgres"])
def test_however_a_postgresql_is_written_it_is_taken_with_our_driver(kind: str) -> None:
    database = load({"database": f"{kind}://me:s%40crt@db.example:5433/mlflow?sslmode=require"}).database
    assert database == "postgresql://me:s%40crt@db.example:5433/mlflow?sslmode=require"


def test_endpoints_are_shown_with_the_scheme_and_the_name_that_they_have(tmp_path: Path) -> None:
    assert load({"host": "::1"}).served_at == "http://[::1]"
    named = load({"allowed_hosts": "models.example.org", "serving_tls_certificate": tmp_path / "c.pem"})
    assert named.served_at == "https://models.example.org"


def test_what_is_no_certificate_and_key_is_told_before_a_worker_starts(tmp_path: Path) -> None:
    require_certificate(load())
    with pytest.raises(BadInput, match="one was told"):
        require_certificate(load({"serving_tls_key": tmp_path / "key.pem"}))
    for name in ("certificate.pem", "key.pem"):
        (tmp_path / name).write_text("nothing")
    both = {"serving_tls_certificate": tmp_path / "certificate.pem", "serving_tls_key": tmp_path / "key.pem"}
    with pytest.raises(BadInput, match="are no certificate and its key"):
        require_certificate(load(both))
    with pytest.raises(BadInput, match=r"none\.pem is not there"):
        require_certificate(load({**both, "serving_tls_key": tmp_path / "none.pem"}))


def test_there_are_two_edges() -> None:
    assert [load({"edge": name}).edge for name in ("lockgate", "uvicorn")] == [Edge.LOCKGATE, Edge.UVICORN]
    with pytest.raises(BadInput, match=r"--edge \(or LOCKGATE_EDGE\): .*'lockgate' or 'uvicorn'"):
        load({"edge": "apache"})
