"""A server that gets its first user while it runs: MLflow's own client logs in, and everybody does what they may."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, field

import httpx2
import pytest

from lockgate.sdk.client import Lockgate
from lockgate.sdk.errors import Forbidden
from tests.integration.registry.conftest import POLICY, add_version
from tests.integration.registry.servers import server

PASSWORD = "nine lives of a boat"
GRANTS = {
    "carl": [("contributor", "fraud-*")],
    "dora": [("contributor", "*"), ("approver", "*")],
    "abby": [("approver", "*")],
    "vera": [("viewer", "*")],
}


@dataclass
class House:
    """The server, and the ways in."""

    url: str
    clients: ExitStack = field(default_factory=ExitStack)

    def as_(self, name: str, password: str | None = PASSWORD) -> Lockgate:
        return self.clients.enter_context(Lockgate(self.url, name, password=password, timeout=30))

    def http(self, name: str, **more: str) -> httpx2.Client:
        return httpx2.Client(base_url=self.url, auth=(name, PASSWORD), headers=more, timeout=30)

    def entries(self, action: str) -> list[dict[str, object]]:
        return [json.loads(entry.text) for entry in self.as_("anna").audit(action=action, limit=1000)]


@pytest.fixture(scope="module")
def house(tmp_path_factory: pytest.TempPathFactory) -> Iterator[House]:
    with server(tmp_path_factory.mktemp("people"), policy=POLICY) as running:
        house = House(running.url)
        with house.clients:
            _inhabit(house)
            yield house


def _inhabit(house: House) -> None:
    """Open at first: whoever adds the first user needs no name for it."""
    nobody = house.as_("anybody", password=None)
    assert nobody.whoami().users is False
    first = nobody.people.add("anna")
    _settle(house, "anna", first.one_time_password)
    anna = house.as_("anna")
    for name, grants in GRANTS.items():
        _settle(house, name, anna.people.add(name, grants=grants).one_time_password)
    anna.people.add("robot", service=True, grants=[("contributor", "*")])


def _settle(house: House, name: str, one_time: str | None) -> None:
    new = house.as_(name, one_time)
    # the server learns within a second that there are people
    _soon(lambda: new.whoami().verified)
    new.people.change_password(one_time or "", PASSWORD)


@contextmanager
def _environment(**told: str) -> Iterator[None]:
    """MLflow's client reads its credentials from the environment at each call."""
    names = ("MLFLOW_TRACKING_USERNAME", "MLFLOW_TRACKING_PASSWORD", "MLFLOW_TRACKING_TOKEN")
    before = {name: os.environ.pop(name) for name in names if name in os.environ}
    os.environ.update(told)
    try:
        yield
    finally:
        for name in told:
            del os.environ[name]
        os.environ.update(before)


class Person:
    """MLflow's client, logged in for the length of each call."""

    def __init__(self, house: House, name: str = "", token: str = "") -> None:
        from mlflow import MlflowClient

        self._client = MlflowClient(house.url, house.url)
        told = {"MLFLOW_TRACKING_USERNAME": name, "MLFLOW_TRACKING_PASSWORD": PASSWORD}
        self._told = {"MLFLOW_TRACKING_TOKEN": token} if token else told

    def __getattr__(self, method: str) -> Callable[..., object]:
        def call(*args: object, **kwargs: object) -> object:
            with _environment(**self._told):
                return getattr(self._client, method)(*args, **kwargs)

        return call


@pytest.fixture
def person(house: House, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Person]:
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "0")
    return lambda name="", token="": Person(house, name, token)


@contextmanager
def _denied(match: str) -> Iterator[None]:
    from mlflow.exceptions import MlflowException

    with pytest.raises(MlflowException, match=match) as refused:
        yield
    assert refused.value.error_code == "PERMISSION_DENIED"


def _soon(holds: Callable[[], bool]) -> None:
    end = time.monotonic() + 20
    while time.monotonic() < end:
        with suppress(Forbidden):  # it is not so yet
            if holds():
                return
        time.sleep(0.1)
    raise AssertionError("it did not come to hold")


def test_from_the_first_user_on_a_name_that_is_only_claimed_is_nobodys(house):
    with pytest.raises(Forbidden, match="only claimed"):
        house.as_("anna", password=None).status()
    page = httpx2.get(house.url)
    assert (page.status_code, page.headers["www-authenticate"].split()[0]) == (401, "Basic")
    assert [httpx2.get(f"{house.url}/{path}").status_code for path in ("health", "ready", "version")] == [200] * 3


def test_mlflows_client_logs_in_by_its_own_variables_and_does_what_its_roles_allow(house, person):
    carl, vera = person("carl"), person("vera")
    carl.create_registered_model("fraud-1")
    version = add_version(carl, "fraud-1")
    assert version.user_id == "carl"
    assert vera.get_model_version("fraud-1", version.version).version == version.version
    with _denied("takes the role contributor or admin. Yours: viewer everywhere"):
        vera.set_registered_model_tag("fraud-1", "a", "b")
    with _denied("contributor or admin on the model churn-1"):
        carl.create_registered_model("churn-1")
    with _denied("takes the role operator or admin"):
        carl.delete_registered_model("fraud-1")
    with _denied("operator or admin on the model fraud-1|takes the role operator"):
        carl.rename_registered_model("fraud-1", "churn-1")


def test_what_was_refused_is_on_the_record_with_name_address_and_request(house, person):
    with house.http("vera", **{"x-request-id": "trace-7"}) as vera:
        answer = vera.post("/api/2.0/mlflow/registered-models/create", json={"name": "mine"})
    assert (answer.status_code, answer.headers["x-request-id"]) == (403, "trace-7")
    who = next(e["who"] for e in house.entries("access:refused") if e["who"]["request"] == "trace-7")
    assert (who["name"], who["verified"], who["kind"], who["address"]) == ("vera", True, "person", "127.0.0.1")


def test_a_service_account_logs_in_by_a_token_and_not_once_it_was_revoked(house, person):
    made = house.as_("anna").tokens.create(person="robot", pattern="fraud-*")
    robot = person(token=made.secret)
    robot.create_registered_model("fraud-2")
    with _denied("on the model churn-2"):
        robot.create_registered_model("churn-2")
    created = next(e for e in house.entries("model:registered") if e["model"] == "fraud-2")
    assert (created["who"]["name"], created["who"]["kind"]) == ("robot", "service")
    house.as_("anna").tokens.revoke(made.token.id)
    bearer = {"authorization": f"Bearer {made.secret}"}
    assert httpx2.get(f"{house.url}/version", headers=bearer).status_code == 200  # it is for everybody
    search = f"{house.url}/api/2.0/mlflow/registered-models/search?max_results=1"
    _soon(lambda: httpx2.get(search, headers=bearer).status_code == 401)


def test_an_approval_is_the_callers_own_whoever_the_tag_names(house, person):
    carl, dora = person("carl"), person("dora")
    dora.create_registered_model("credit")
    version = add_version(dora, "credit").version
    pending = {"status": "pending", "requester": "anna", "justification": "better"}
    dora.set_model_version_tag("credit", version, "approval_request", json.dumps(pending))
    asked = house.as_("abby").approvals()[0]
    assert (asked.asked_by.name, asked.asked_by.verified) == ("dora", True)
    forged = json.dumps({"status": "approved", "approved_by": "anna", "comments": "fine"})
    with _denied("approve"):
        carl.set_model_version_tag("credit", version, "approval_request", forged)
    with _denied("approve"):
        carl.set_model_version_tag("credit", version, "production_approved", "true")
    # the one who asked is the same person under whatever token
    token = house.as_("dora").tokens.create().secret
    for dora_again in (dora, person(token=token)):
        with _denied("may not approve"):
            dora_again.set_model_version_tag("credit", version, "production_approved", "true")
    person("abby").set_model_version_tag("credit", version, "approval_request", forged)
    told = json.loads(person("vera").get_model_version("credit", version).tags["approval_request"])
    assert (told["status"], told["approved_by"]) == ("approved", "abby")


def test_who_may_not_move_a_model_does_not_move_it_by_any_way(house, person):
    dora, carl, vera = person("dora"), person("carl"), person("vera")
    dora.create_registered_model("limit")
    version = add_version(dora, "limit", tags={"team": "risk"}).version
    for who in (carl, vera):
        with _denied("takes the role|on the model limit"):
            who.transition_model_version_stage("limit", version, "Staging")
        with _denied("takes the role|on the model limit"):
            who.set_registered_model_alias("limit", "staging", version)
    with pytest.raises(Forbidden, match="on the model limit"):
        house.as_("carl").promote(f"limit@{version}", "staging")
    with pytest.raises(Forbidden, match="operator or admin"):
        house.as_("dora").rollback("limit", reason="no")
    assert vera.get_model_version("limit", version).current_stage == "None"
    dora.transition_model_version_stage("limit", version, "Staging")
    assert vera.get_model_version("limit", version).current_stage == "Staging"


def test_what_was_taken_away_is_gone_within_moments(house, person):
    anna = house.as_("anna")
    _settle(house, "temp", anna.people.add("temp", grants=[("contributor", "*")]).one_time_password)
    temp = person("temp")
    temp.create_registered_model("temporary")
    anna.people.revoke("temp", "contributor")
    # what is written is judged by what is so now
    with _denied("role"):
        temp.set_registered_model_tag("temporary", "a", "b")
    anna.people.disable("temp")
    get = f"{house.url}/api/2.0/mlflow/registered-models/search?max_results=1"
    _soon(lambda: httpx2.get(get, auth=("temp", PASSWORD)).status_code == 401)


def test_whoever_guesses_passwords_has_to_wait(house):
    url = f"{house.url}/api/2.0/mlflow/registered-models/search?max_results=1"
    # nobody else's name: whoever is guessed at has to wait as well, and so would the other tests
    house.as_("anna").people.add("gail", grants=[("viewer", "*")])
    tried = [httpx2.get(url, auth=("gail", f"guess {number}")) for number in range(12)]
    assert {answer.status_code for answer in tried} == {401}
    assert int(tried[-1].headers["retry-after"]) > 0
    assert all("password" not in json.dumps(entry).replace("passwords", "") for entry in house.entries("people:locked"))
