"""The parts of a worker that need no socket: what it is told, what it hashes, how it explains itself."""

from __future__ import annotations

from pathlib import Path

import pytest

from lockgate.wire.workers import WorkerConfig, WorkerStatus
from lockgate.worker.artifacts import manifest_of
from lockgate.worker.invocations.reasons import why_it_did_not_load

CONFIG = WorkerConfig(
    worker="w1", endpoint="e", release="r1", generation=3, model="a b", version=7, digest="sha256:0", artifacts="/m",
    folder="/w", host="127.0.0.1", port=5002, listener_fd=9, body_limit=10,
)  # fmt: skip


def test_what_a_worker_is_told_survives_the_pipe() -> None:
    assert WorkerConfig.decode(CONFIG.encode()) == CONFIG
    status = WorkerStatus("w1", "e", "r1", 3, 42, "ready", "127.0.0.1", 5002, "")
    assert WorkerStatus.decode(status.encode()) == status
    with pytest.raises((ValueError, TypeError)):
        WorkerConfig.decode(b"{}")


def test_the_digest_changes_with_any_byte_and_any_name(tmp_path: Path) -> None:
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "model.pkl").write_bytes(b"abc")
    before = manifest_of(tmp_path)
    assert [(file.path, file.size) for file in before.files] == [("data/model.pkl", 3)]
    (tmp_path / "data" / "model.pkl").write_bytes(b"abd")
    assert manifest_of(tmp_path).digest != before.digest
    (tmp_path / "data" / "model.pkl").write_bytes(b"abc")
    assert manifest_of(tmp_path).digest == before.digest
    (tmp_path / "data" / "model.pkl").rename(tmp_path / "data" / "other.pkl")
    assert manifest_of(tmp_path).digest != before.digest


def test_a_missing_library_is_named_with_the_models_own_requirement(tmp_path: Path) -> None:
    error = RuntimeError("cannot load")
    error.__cause__ = ModuleNotFoundError("No module named 'sklearn'", name="sklearn")
    assert "pip install 'scikit-learn'" in why_it_did_not_load(error, tmp_path)
    (tmp_path / "requirements.txt").write_text("mlflow\nscikit_learn==1.5.0\n")
    assert "pip install 'scikit_learn==1.5.0'" in why_it_did_not_load(error, tmp_path)


def test_a_reason_is_one_short_line(tmp_path: Path) -> None:
    assert why_it_did_not_load(ValueError("two\nlines"), tmp_path) == "ValueError: two lines"
    assert why_it_did_not_load(SystemExit(), tmp_path) == "SystemExit"
    assert len(why_it_did_not_load(ValueError("x" * 1000), tmp_path)) == 400
