"""Models that crash, hang, change after they were pinned, or want what is not here: told why, and harming none."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest
import sklearn
import yaml
from mlflow import MlflowClient
from mlflow.exceptions import MlflowException

from lockgate import Lockgate
from lockgate.sdk.errors import Conflict, Failed, Refused
from lockgate.wire.shapes import Endpoint, Gate, Validation
from tests.databases.backends import NewDatabase
from tests.e2e.conftest import Node, node_in, until
from tests.e2e.load import Load
from tests.e2e.models import Logged, body, files, flowers, log_constant, log_iris, register_again

pytestmark = [pytest.mark.timeout(300), pytest.mark.both_databases(long=True)]

# Into Staging only what passed its tests; into Production at once, so that what cannot be served is tried there.
POLICY = """\
level: enforce
stages:
  Staging:
    requires: {validation_tests: [schema_test, inference_test]}
  Production: {}
endpoints:
  "edited*": {serve: off}
  "*": {serve: auto}
"""
IN_TIME = 180.0  # seconds for a validation or a promotion on a busy machine

RAISES = "raise RuntimeError('the weights are missing')"
EXITS = "os._exit(3)"
HANGS = "time.sleep(3600)"


@pytest.fixture(scope="module")
def strict(tmp_path_factory: pytest.TempPathFactory, database_kind: str, new_database: NewDatabase) -> Iterator[Node]:
    """A node that enforces its rules and knows a file with sample rows."""
    folder = tmp_path_factory.mktemp("strict")
    rows = folder / "rows.csv"
    flowers().head(5).to_csv(rows, index=False)
    with node_in(folder, f"{POLICY}validation: {{sample: {rows}}}\n", new_database(database_kind)) as made:
        yield made.start()


@pytest.fixture(scope="module")
def good(strict: Node) -> Logged:
    return log_iris(strict.url, "good")


def served(home: Node, model: str) -> Endpoint:
    with Lockgate(home.url) as sdk:
        return next(each for each in sdk.endpoints() if (each.model, each.environment) == (model, "production"))


def promoted(home: Node, version: Logged) -> Endpoint:
    """The Production endpoint of a good version."""
    with Lockgate(home.url, "ana") as sdk:
        sdk.promote(version.ref, wait=IN_TIME)
    return served(home, version.model)


def gate(found: tuple[Gate, ...], name: str) -> Gate:
    return next(each for each in found if each.name == name)


def assert_stays_out(home: Node, blue: Logged, bad: Logged, reason: str) -> None:
    """The bad version passes no test, gets into no stage, each time with the reason; the good one answers all along."""
    client = MlflowClient(home.url, home.url)
    with Lockgate(home.url, "ana") as sdk, Load(served(home, blue.model).port or 0, body()) as load:
        seen = sdk.validate(bad.ref, wait=IN_TIME)
        assert seen.state == "failed"
        assert {result.passed for result in seen.results} == {False}
        assert reason in seen.because

        with pytest.raises(Refused) as refusal:
            sdk.promote(bad.ref, "Staging", wait=IN_TIME)
        assert reason in gate(refusal.value.gates, "inference_test").because
        with pytest.raises(Failed) as failure:
            sdk.promote(bad.ref, wait=IN_TIME)
        assert f"{bad.ref} could not be served: " in failure.value.message
        assert reason in failure.value.message
        shown = home.cli("rollout", "status", bad.model)
        assert shown.returncode == 1
        load.more(20)
    assert load.failed() == []
    assert load.wrong({blue.version: blue.predictions}) == []
    assert client.get_model_version(bad.model, str(bad.version)).current_stage == "None"
    assert client.get_model_version_by_alias(blue.model, "production").version == str(blue.version)
    assert served(home, blue.model).state == "serving"


@pytest.mark.parametrize(
    ("at_load", "reason"),
    [(RAISES, "RuntimeError: the weights are missing"), (EXITS, "exit code 3")],
    ids=["raises", "exits"],
)
def test_a_model_that_breaks_while_it_is_loaded_stays_out_and_what_serves_goes_on(
    strict: Node, good: Logged, request: pytest.FixtureRequest, at_load: str, reason: str
) -> None:
    blue = register_again(strict.url, good, f"breaks-{request.node.callspec.id}")
    promoted(strict, blue)
    assert_stays_out(strict, blue, log_constant(strict.url, blue.model, at_load=at_load), reason)


def test_a_model_that_hangs_is_given_up_in_time_and_what_serves_goes_on(node: Node) -> None:
    node.policy = POLICY
    node.start()
    blue = log_iris(node.url, "hangs")
    bad = log_constant(node.url, "hangs", at_load=HANGS)
    port = promoted(node, blue).port
    # only now, for a good model may take longer than this to load on a busy machine
    assert node.stop() == 0
    node.policy = f"{POLICY}warm_limit: 8s\nvalidation: {{time_limit: 8s}}\n"
    node.start()
    until(lambda: node.answers("/ping", port), "what served before")
    assert_stays_out(node, blue, bad, "within 8 s")
    until(lambda: len(node.workers()) == 1, "the end of what hung")


def test_where_rules_observe_the_stage_moves_and_the_endpoint_says_why_it_does_not_serve(running: Node) -> None:
    client = MlflowClient(running.url, running.url)
    blue = log_iris(running.url, "observed")
    bad = log_constant(running.url, "observed", at_load=RAISES)
    port = promoted(running, blue).port or 0
    with Load(port, body()) as load:
        moved = client.transition_model_version_stage("observed", str(bad.version), "Production", True)
        assert moved.current_stage == "Production"
        load.more(20)
    assert load.failed() == []
    assert load.wrong({blue.version: blue.predictions}) == []
    degraded = served(running, "observed")
    assert (degraded.state, degraded.version, degraded.port) == ("degraded", blue.version, port)
    assert f"{bad.ref} could not be served: " in degraded.because
    assert "RuntimeError: the weights are missing" in degraded.because
    assert degraded.because.endswith(f"{blue.ref} goes on")
    assert "the weights are missing" in running.cli("endpoints").stdout


def test_a_file_that_changed_after_it_was_pinned_blocks_approval_and_promotion_and_is_named(strict: Node) -> None:
    logged = log_constant(strict.url, "changed")
    client = MlflowClient(strict.url, strict.url)
    with Lockgate(strict.url, "ana") as ana, Lockgate(strict.url, "bea") as bea:
        ana.request(logged.ref, "the files are as they were")
        changed = files(strict.url, strict.home, logged) / "constant.py"
        as_it_was = changed.read_bytes()
        changed.write_bytes(as_it_was.replace(b"[7]", b"[8]"))
        assert changed.read_bytes() != as_it_was

        with pytest.raises(Conflict, match=r"no longer what was pinned: .*constant\.py"):
            bea.approve(logged.ref, "fine")
        with pytest.raises(Refused, match=r"no longer what was pinned: .*constant\.py"):
            ana.promote(logged.ref, wait=IN_TIME)
        with pytest.raises(MlflowException, match=r"no longer what was pinned: .*constant\.py"):
            client.transition_model_version_stage(logged.model, "1", "Production")
        assert client.get_model_version(logged.model, "1").current_stage == "None"

        changed.write_bytes(as_it_was)
        bea.approve(logged.ref, "fine")
        assert ana.promote(logged.ref, wait=IN_TIME).state == "done"


def test_a_model_that_tells_nothing_of_its_input_is_refused_with_what_to_log(enforcing: Node) -> None:
    logged = log_constant(enforcing.url, "silent", bare=True, tags={"team": "risk"})
    done = enforcing.cli("promote", logged.ref, "--to", "staging", "--wait", limit=IN_TIME)
    assert done.returncode == 1
    assert "log it with input_example=" in " ".join(done.stderr.split())


def test_sample_rows_of_the_policy_stand_in_for_a_missing_example(strict: Node) -> None:
    logged = log_constant(strict.url, "sampled", bare=True)
    done = strict.cli("promote", logged.ref, "--to", "staging", "--wait", limit=IN_TIME)
    assert (done.returncode, done.stderr.count("Traceback")) == (0, 0), done.stderr
    with Lockgate(strict.url) as sdk:
        [seen] = sdk.validations("sampled")
    assert (seen.inputs, seen.has_signature) == ("sample", False)
    assert any("signature" in warning for result in seen.results for warning in result.warnings)


def edited(home: Node, model: str, edit: Callable[[dict[str, Any]], None]) -> Logged:
    """A version whose MLmodel was edited before it was registered under this name."""
    logged = log_iris(home.url, f"{model}-as-it-was")
    file = files(home.url, home.home, logged) / "MLmodel"
    told = yaml.safe_load(file.read_text())
    edit(told)
    file.write_text(yaml.safe_dump(told))
    return register_again(home.url, logged, model)


def wants_prophet(told: dict[str, Any]) -> None:
    told["flavors"]["prophet"] = {"prophet_version": "1.1.6", "data": "model.pr", "code": None}


def of_an_older_sklearn(told: dict[str, Any]) -> None:
    told["flavors"]["sklearn"]["sklearn_version"] = "1.0.2"


def refused_for_its_libraries(home: Node, bad: Logged) -> tuple[Gate, Validation]:
    with Lockgate(home.url, "ana") as sdk:
        with pytest.raises(Refused) as refusal:
            sdk.promote(bad.ref, "Staging", wait=IN_TIME)
        return gate(refusal.value.gates, "runtime_matches"), sdk.validations(bad.model)[0]


def test_a_library_that_is_not_installed_is_named_with_the_command_that_brings_it(strict: Node) -> None:
    bad = edited(strict, "edited-boosted", wants_prophet)
    found, validation = refused_for_its_libraries(strict, bad)
    assert found.because == "not installed here: prophet==1.1.6"
    assert found.next == "pip install 'prophet==1.1.6'"
    assert "pip install 'prophet==1.1.6'" in validation.because
    with pytest.raises(MlflowException, match=r"pip install 'prophet==1\.1\.6'"):
        MlflowClient(strict.url, strict.url).transition_model_version_stage(bad.model, "1", "Staging")


def test_another_version_of_a_library_is_refused_with_both_where_rules_are_enforced(strict: Node, good: Logged) -> None:
    found, validation = refused_for_its_libraries(strict, edited(strict, "edited-old", of_an_older_sklearn))
    assert found.because == f"scikit-learn 1.0.2 when logged, {sklearn.__version__} here"
    assert "pip install 'scikit-learn==1.0.2'" in found.next
    assert validation.state == "passed"


def test_another_version_of_a_library_is_only_a_warning_where_rules_observe(running: Node) -> None:
    bad = edited(running, "edited-aged", of_an_older_sklearn)
    with Lockgate(running.url, "ana") as sdk:
        sdk.validate(bad.ref, wait=IN_TIME)
        done = sdk.promote(bad.ref, "Staging", wait=IN_TIME)
    assert (done.state, done.verdict.standing if done.verdict else "") == ("done", "holds")
    found = gate(done.verdict.gates if done.verdict else (), "runtime_matches")
    assert (found.standing, found.level) == ("fails", "observe")
    assert f"scikit-learn 1.0.2 when logged, {sklearn.__version__} here" in found.because
