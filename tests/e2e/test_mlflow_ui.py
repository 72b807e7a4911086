"""MLflow's own interface in a real browser, on a database that stock MLflow filled and `lockgate up` adopted."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import sys
import urllib.request
from collections.abc import Iterator
from typing import Any

import pytest
from playwright.sync_api import Browser, Page, Response, expect, sync_playwright

from tests.e2e.conftest import Node, clean_environment, node_in

MODELS = 1_000
FLAGS = (
    *("--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking"),
    *("--disable-component-update", "--disable-sync"),
)
PATIENCE = 20_000  # milliseconds: on a busy machine a page takes seconds
# asked for by MLflow's pages, and not there: its assistant is off, nobody logs in, and these models have no files
NOT_THERE = re.compile(r"/mlflow/assistant/|/users/current$|/model-versions/get-artifact\?")
SEED = """
import sys
from mlflow.store.model_registry.dbmodels.models import SqlModelVersion, SqlRegisteredModel
from mlflow.store.model_registry.sqlalchemy_store import SqlAlchemyStore
from mlflow.store.tracking.sqlalchemy_store import SqlAlchemyStore as Tracking

uri, models = sys.argv[1], int(sys.argv[2])
Tracking(uri, "mlflow-artifacts:/")
store = SqlAlchemyStore(uri)
with store.ManagedSessionMaker(read_only=False) as session:
    for number in range(models):
        name = f"model-{number:04d}"
        model = SqlRegisteredModel(name=name, creation_time=1, last_updated_time=2, description=f"Number {number}.")
        model.model_versions = [
            SqlModelVersion(version=v, creation_time=v, source=f"mlflow-artifacts:/0/{name}/{v}", current_stage="None")
            for v in (1, 2)
        ]
        session.add(model)
store.set_registered_model_alias("model-0001", "challenger", "2")
"""
POLICY = """\
level: enforce
stages:
  Staging:
    requires:
      min_accuracy: 0.85
      required_tags: [team, validation_status]
endpoints: {"*": {serve: off}}
"""


@pytest.fixture(scope="module")
def adopted(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Node]:
    """A node on a database of stock MLflow's, with a policy that refuses."""
    folder = tmp_path_factory.mktemp("adopted")
    uri = f"sqlite:///{folder / 'mlflow.db'}"
    seed = [sys.executable, "-c", SEED, uri, str(MODELS)]
    made = subprocess.run(seed, env=clean_environment(), capture_output=True, text=True, timeout=100, check=False)
    assert made.returncode == 0, made.stderr
    with node_in(folder, policy=POLICY, database=uri) as node:
        yield node.start()


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    """The system's Chromium with a profile of its own that is gone afterwards."""
    program = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
    assert program, "no Chromium on PATH: apt-get install -y --no-install-recommends chromium"
    with sync_playwright() as playwright:
        started = playwright.chromium.launch(executable_path=program, args=list(FLAGS))
        yield started
        started.close()


@pytest.fixture
def failures() -> list[str]:
    """Answers with an error that the page got, without those that are no surprise."""
    return []


@pytest.fixture
def page(browser: Browser, failures: list[str]) -> Iterator[Page]:
    """A window of somebody who has seen the introductions; a script that crashes fails the test."""
    context = browser.new_context(viewport={"width": 1400, "height": 900})
    context.add_init_script("localStorage.setItem('mlflow.assistant.fab.autoOpenedOnFirstLoad_v1', 'true')")
    window = context.new_page()
    window.set_default_timeout(PATIENCE)
    crashes: list[str] = []
    window.on("pageerror", lambda error: crashes.append(str(error)))

    def note(response: Response) -> None:
        if response.status >= 400 and not NOT_THERE.search(response.url):
            failures.append(f"{response.status} {response.url}")

    window.on("response", note)
    yield window
    context.close()
    assert crashes == []


def test_a_thousand_models_are_listed_paged_and_searched(adopted: Node, page: Page, failures: list[str]) -> None:
    page.goto(f"{adopted.url}/#/models")
    link(page, "model-0000").wait_for()
    page.get_by_role("dialog").get_by_label("Close").click()
    expect(page.get_by_role("link", name=re.compile(r"^model-\d{4}$"))).to_have_count(25)

    page.get_by_test_id("model-list-view-pagination").get_by_role("button", name="Next").click()
    link(page, "model-0025").wait_for()
    expect(link(page, "model-0024")).to_have_count(0)

    search = page.get_by_placeholder("Search registered models")
    search.fill("model-0777")
    search.press("Enter")
    expect(page.get_by_role("link", name=re.compile(r"^model-\d{4}$"))).to_have_count(1)
    link(page, "model-0777").click()
    page.get_by_text("Number 777.").wait_for()
    page.get_by_role("link", name="Version 2").click()
    page.get_by_role("heading", name="Version 2").wait_for()
    assert failures == []


def test_the_page_of_a_model_shows_the_aliases_that_stock_mlflow_set(
    adopted: Node, page: Page, failures: list[str]
) -> None:
    page.goto(f"{adopted.url}/#/models/model-0001")

    page.get_by_role("row", name="Version 2").get_by_text("challenger").wait_for()
    assert failures == []


def test_an_alias_and_a_tag_set_on_a_page_are_in_the_registry(adopted: Node, page: Page, failures: list[str]) -> None:
    # MLflow's page loses the name of a model that is not among the first hundred (`name: ""`, with stock as well)
    page.goto(f"{adopted.url}/#/models/model-0042/versions/2")
    page.get_by_title("Add aliases").click()
    dialog = page.get_by_role("dialog")
    dialog.get_by_role("combobox").fill("shadow")
    dialog.get_by_role("combobox").press("Enter")
    dialog.get_by_role("button", name="Save aliases").click()
    expect(dialog).to_be_hidden()
    seen(page, "@ shadow").wait_for()

    page.get_by_role("button", name="Tags").click()
    page.get_by_placeholder("Name", exact=True).fill("team")
    page.get_by_placeholder("Value", exact=True).fill("risk")
    page.get_by_role("button", name="Add", exact=True).last.click()
    seen(page, "risk").wait_for()

    version = of_registry(adopted, "registered-models/alias?name=model-0042&alias=shadow")["model_version"]
    assert version["version"] == "2"
    assert version["tags"] == [{"key": "team", "value": "risk"}]
    assert failures == []


def test_a_refused_stage_change_tells_every_reason_on_the_page(adopted: Node, page: Page, failures: list[str]) -> None:
    page.goto(f"{adopted.url}/#/models/model-0007/versions/2")
    # stages are in the older of MLflow's two interfaces
    page.get_by_role("switch", name="New model registry UI").click()
    page.get_by_role("button", name="Disable").click()
    page.locator(".mlflow-stage-transition-dropdown").click()
    page.get_by_text("Transition to").filter(has_text="Staging").click()
    page.get_by_role("button", name="OK").click()

    told = page.get_by_text("Refused: model-0007@2 to Staging.")
    told.wait_for()
    text = told.inner_text()  # as it is seen: the page runs its lines together
    for reason in ("1. artifacts_pinned fails: ", "2. min_accuracy fails: ", "3. required_tags fails: "):
        assert reason in text
    assert "3 of 3 gates fail; nothing was changed." in text

    version = of_registry(adopted, "model-versions/get?name=model-0007&version=2")["model_version"]
    assert version["current_stage"] == "None"
    assert failures == [f"403 {adopted.url}/ajax-api/2.0/mlflow/model-versions/transition-stage"]


def link(page: Page, name: str) -> Any:
    return page.get_by_role("link", name=name, exact=True)


def seen(page: Page, text: str) -> Any:
    """What a person reads there. MLflow's pages keep dialogs they have closed, with the same words in them."""
    return page.get_by_text(text, exact=True).filter(visible=True).first


def of_registry(node: Node, what: str) -> Any:
    with urllib.request.urlopen(f"{node.url}/api/2.0/mlflow/{what}", timeout=30) as answer:
        return json.loads(answer.read())
