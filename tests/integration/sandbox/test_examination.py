"""Whole examinations: real models in real child processes, with the real worker where it is asked for."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

import lockgate
from lockgate.adapters.programs.forking import ForkedPrograms
from lockgate.adapters.sandbox.process import ProcessSandbox
from lockgate.domain.errors import Unavailable
from lockgate.domain.validation import (
    INFERENCE,
    INTEGRATION,
    LATENCY,
    LOAD,
    SCHEMA,
    SUITE,
    Examination,
    ExamineRequest,
    Library,
    TestResult,
)
from lockgate.domain.versions import VersionRef

Examine = Callable[..., Examination]


def reasons(examination: Examination) -> set[str]:
    assert not any(result.passed for result in examination.results), examination.results
    return {result.because for result in examination.results}


def by_name(examination: Examination) -> dict[str, TestResult]:
    return {result.name: result for result in examination.results}


def is_running(pid: int) -> bool:
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except OSError:
        return False
    return state != "Z"


def named_in(scratch: Path) -> list[int]:
    """The process numbers that hanging models wrote down."""
    return [int(pid) for path in scratch.glob("hangs-*") for pid in path.read_text().split()]


def wait_until(holds: Callable[[], bool], seconds: float) -> None:
    last = time.monotonic() + seconds
    while not holds():
        assert time.monotonic() < last, f"it did not come about within {seconds} s"
        time.sleep(0.05)


def test_a_sound_model_passes_all_five_tests_with_numbers_and_leaves_nothing_behind(
    examine: Examine, scratch: Path, models: Path
) -> None:
    before = sorted((path, path.stat().st_mtime_ns) for path in (models / "complete").rglob("*"))

    examination = examine("complete")

    assert [result.name for result in examination.results] == list(SUITE)
    assert examination.passed, examination.results
    found = by_name(examination)
    assert found[SCHEMA].measured == {"inputs": 3, "outputs": 1, "rows": 3}
    assert found[SCHEMA].warnings == ()
    assert found[INFERENCE].measured == {"rows": 3, "predictions": 3, "empty": 0}
    assert 0 < found[LATENCY].measured["p50_ms"] <= found[LATENCY].measured["p95_ms"] < 5000
    assert found[LATENCY].measured["predictions"] == 50
    assert found[LOAD].measured["requests"] == 50
    assert found[LOAD].measured["failures"] == 0
    assert found[LOAD].measured["p95_ms"] > 0
    assert found[INTEGRATION].measured == {"formats": 5, "left_out": 0, "failures": 0}
    assert examination.facts is not None
    assert examination.facts.has_signature
    assert examination.facts.inputs == "input_example"
    assert [library.name for library in examination.facts.libraries] == ["scikit-learn"]
    assert examination.facts.libraries[0].matches
    assert 0 < examination.seconds < 100
    assert list(scratch.iterdir()) == []
    assert sorted((path, path.stat().st_mtime_ns) for path in (models / "complete").rglob("*")) == before


def test_rows_that_are_no_table_go_through_the_real_worker_too(examine: Examine) -> None:
    found = by_name(examine("tensor", (INTEGRATION, LOAD)))

    assert found[LOAD].passed, found[LOAD].because
    assert found[INTEGRATION].passed, found[INTEGRATION].because
    assert found[INTEGRATION].measured["formats"] + found[INTEGRATION].measured["left_out"] == 5


def test_a_model_that_predicts_something_else_in_the_worker_fails_the_live_tests_and_only_those(
    examine: Examine, sample: Path
) -> None:
    found = by_name(examine("flaky", (INFERENCE, LOAD, INTEGRATION), sample=str(sample)))

    assert found[INFERENCE].passed, found[INFERENCE].because
    for name in (LOAD, INTEGRATION):
        assert not found[name].passed
        assert "the worker predicts [0.0, 0.0], in process it is [1.0, 1.0]" in found[name].because
    assert found[LOAD].measured["failures"] == 50


def test_a_model_that_raises_while_loading_fails_every_test_with_what_it_raised(examine: Examine) -> None:
    examination = examine("unloadable")

    assert reasons(examination) == {"the model does not load: RuntimeError: the feature store is not reachable"}
    assert [result.name for result in examination.results] == list(SUITE)
    assert examination.facts is not None


def test_a_missing_module_is_named_with_the_command_that_installs_it(examine: Examine) -> None:
    (because,) = reasons(examine("needslibrary", (SCHEMA, INFERENCE)))

    assert "No module named 'a_library_nobody_has'" in because
    assert because.endswith("pip install 'a_library_nobody_has'")


def test_a_model_that_leaves_while_loading_fails_with_its_exit_code_and_last_words(examine: Examine) -> None:
    (because,) = reasons(examine("exits", (SCHEMA, LATENCY)))

    assert because == (
        "the process ended with exit code 3 while loading the model; it last said: no licence found, leaving"
    )


def test_a_model_that_hangs_is_stopped_with_everything_it_started(examine: Examine, scratch: Path) -> None:
    examination = examine("hangs", (SCHEMA, INFERENCE), seconds=25.0)

    assert reasons(examination) == {"did not finish within 25 s (it was stopped while loading the model)"}
    pids = named_in(scratch)
    assert len(pids) == 2
    assert not any(is_running(pid) for pid in pids)
    assert 25 <= examination.seconds < 60


def test_when_lockgate_itself_is_killed_the_model_and_the_worker_end_too(
    models: Path, scratch: Path, forks: Path, programs: ForkedPrograms
) -> None:
    program = (
        "import sys; from pathlib import Path\n"
        "from lockgate.adapters.programs.forking import ForkedPrograms\n"
        "from lockgate.adapters.sandbox.process import ProcessSandbox\n"
        "from lockgate.domain.validation import ExamineRequest\n"
        "from lockgate.domain.versions import VersionRef\n"
        "request = ExamineRequest(VersionRef('fraud', 7), sys.argv[2])\n"
        "ProcessSandbox(Path(sys.argv[1]), ForkedPrograms(Path(sys.argv[3]))).examine(request)\n"
    )
    environment = os.environ | {"PYTHONPATH": str(Path(lockgate.__file__).parents[1])}
    owner = subprocess.Popen(
        [sys.executable, "-c", program, str(scratch), str(models / "hangs"), str(forks)], env=environment
    )
    try:
        # the child, the worker, and the program that each of them started
        wait_until(lambda: len(named_in(scratch)) == 4, seconds=90)
        pids = named_in(scratch)
    finally:
        owner.kill()
        owner.wait()

    wait_until(lambda: not any(is_running(pid) for pid in pids), seconds=20)


def test_a_crash_fails_the_test_that_ran_and_those_after_it_and_spares_what_was_finished(
    examine: Examine, sample: Path
) -> None:
    found = by_name(examine("crashes", (SCHEMA, INFERENCE, LATENCY), sample=str(sample)))

    assert found[SCHEMA].passed
    assert found[INFERENCE].passed
    assert found[LATENCY].because.startswith("the process ended with signal 11 (SIGSEGV) while running latency_test")


def test_what_a_model_prints_is_no_answer_and_what_it_sees_holds_no_secret(
    examine: Examine, sample: Path, scratch: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LOCKGATE_DATABASE", "postgresql://lockgate:secret@db/lockgate")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "secret")

    examination = examine("curious", (SCHEMA, INFERENCE, LOAD), sample=str(sample))

    assert examination.passed, examination.results
    seen = [set(path.read_text().split()) for path in scratch.glob("sees-*")]
    assert len(seen) == 2
    for names in seen:
        assert {"PATH", "HOME", "TMPDIR"} <= names
        assert not {name for name in names if "SECRET" in name or name.startswith(("LOCKGATE", "AWS", "PYTEST"))}


def test_a_missing_flavor_library_is_refused_with_the_pip_command_before_anything_is_loaded(
    examine: Examine, models: Path, tmp_path: Path
) -> None:
    folder = tmp_path / "boosted"
    shutil.copytree(models / "unloadable", folder)
    mlmodel = folder / "MLmodel"
    text = mlmodel.read_text()
    mlmodel.write_text(
        text.replace("flavors:\n", "flavors:\n  paddle:\n    paddle_version: 0.0.1\n    data: model\n", 1)
    )

    examination = examine(folder)

    assert reasons(examination) == {
        "the model needs paddlepaddle 0.0.1, which is not installed here: pip install 'paddlepaddle==0.0.1'"
    }
    assert examination.facts is not None
    assert Library("paddlepaddle", "0.0.1", None) in examination.facts.libraries


@pytest.mark.parametrize(
    ("content", "because"),
    [
        (None, "there is no MLmodel file among the artifacts: log it with mlflow.<flavor>.log_model"),
        ("flavors: [", "the MLmodel file is no YAML"),
        ("artifact_path: model\n", "the MLmodel file names no flavors"),
        ("flavors: {sklearn: {sklearn_version: '1'}}\n", "the model has no python_function flavor"),
    ],
)
def test_files_that_are_no_model_fail_every_test_with_what_is_wrong(
    examine: Examine, tmp_path: Path, content: str | None, because: str
) -> None:
    folder = tmp_path / "model"
    folder.mkdir()
    if content is not None:
        (folder / "MLmodel").write_text(content)

    examination = examine(folder, (SCHEMA, LATENCY))

    assert len(examination.results) == 2
    assert all(reason.startswith(because) for reason in reasons(examination))
    assert examination.facts is None


def test_an_edited_copy_of_pinned_files_is_not_served(examine: Examine, models: Path, tmp_path: Path) -> None:
    folder = tmp_path / ("sha256-" + "0" * 64)
    shutil.copytree(models / "complete", folder)

    found = by_name(examine(folder, (INFERENCE, LOAD)))

    assert found[INFERENCE].passed
    assert found[LOAD].because.startswith("the worker that would serve this model did not start: ")
    assert "changed since they were pinned" in found[LOAD].because


def test_when_no_process_can_be_started_it_is_no_verdict_on_the_model(
    scratch: Path, models: Path, programs: ForkedPrograms
) -> None:
    sandbox = ProcessSandbox(scratch, programs)

    with pytest.raises(Unavailable, match=r"The runtime /no/such/python cannot run a worker: No such file"):
        sandbox.examine(ExamineRequest(VersionRef("fraud", 7), str(models / "complete"), runtime="/no/such/python"))

    assert list(scratch.iterdir()) == []


def test_examinations_leak_no_file_descriptor(examine: Examine, tmp_path: Path) -> None:
    empty = tmp_path / "empty"
    empty.mkdir()
    examine(empty)
    before = len(os.listdir("/proc/self/fd"))

    examine(empty)

    assert len(os.listdir("/proc/self/fd")) == before
