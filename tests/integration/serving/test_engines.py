"""Workers compute with the engine that their release names, and a converted model is asked only if it is that one."""

from __future__ import annotations

import hashlib
import json
from dataclasses import replace

import pandas as pd
import pytest

from lockgate.domain.serving import GroupState
from tests.integration.serving.machine import Machine
from tests.integration.serving.models import COLUMNS, ROWS, Models, release

# every test starts programs that import MLflow, which takes its time on a busy machine
pytestmark = pytest.mark.timeout(400)
BODY = json.dumps({"dataframe_split": {"columns": COLUMNS, "data": ROWS}})


@pytest.fixture(scope="module")
def converted(models: Models) -> bytes:
    """The first model as an ONNX file."""
    import mlflow.pyfunc

    from lockgate.worker.engines.converting import convert

    return convert(mlflow.pyfunc.load_model(str(models.first.folder)), len(COLUMNS))


def test_releases_of_one_model_answer_alike_whatever_computes(
    machine: Machine, models: Models, converted: bytes
) -> None:
    digest = f"sha256:{hashlib.sha256(converted).hexdigest()}"
    folder = machine.run.parent / "converted"
    folder.mkdir(parents=True)
    (folder / digest.replace(":", "-")).write_bytes(converted)
    machine.want()
    machine.begin()
    expected = models.first_itself.predict(pd.DataFrame(ROWS, columns=COLUMNS)).tolist()
    for number, engine in enumerate(("mlflow", "native", f"onnx {digest}"), start=1):
        machine.serve(replace(release(number, models.first), engine=engine))
        client = machine.client()
        assert client.ask("/invocations", BODY).told == {"predictions": expected}
        name = {"mlflow": "pyfunc"}.get(engine, engine.partition(" ")[0])
        assert f'engine="{name}"' in client.ask("/metrics").body.decode()


def test_a_converted_model_that_is_another_one_is_never_asked(
    machine: Machine, models: Models, converted: bytes
) -> None:
    digest = f"sha256:{hashlib.sha256(converted).hexdigest()}"
    folder = machine.run.parent / "converted"
    folder.mkdir(parents=True)
    (folder / digest.replace(":", "-")).write_bytes(converted + b"!")
    machine.want()
    machine.begin()
    one = replace(release(1, models.first), engine=f"onnx {digest}")
    machine.ledger.warm("e1", one)
    seen = machine.seen("r1", GroupState.FAILED)
    assert "is not the one that was measured" in seen.because
    assert "lockgate engines" in seen.because
