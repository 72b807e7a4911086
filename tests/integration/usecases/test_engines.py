"""Measuring engines: what is on record of it, and which engine a release gets."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Any

import pytest

from lockgate.controller.loop import Controller
from lockgate.domain.engines import Figures, MeasurementState, Parity
from lockgate.domain.errors import NotFound
from lockgate.domain.policy import EngineKind
from lockgate.domain.versions import VersionRef
from lockgate.usecases import engines, plan
from lockgate.usecases.engine_ports import Measured, MeasureRequest
from tests.integration.usecases.world import ANA, BEN, PRODUCTION, STAGING, M, World

Make = Callable[[str], World]
EASY = "level: enforce\nstages: {Staging: {}, Production: {}}\n"
ONNX = EASY + 'endpoints: {"*": {engine: onnx}}\n'
CONVERTED = "sha256:" + "c" * 64
PASSED = Measured(
    (
        Figures(EngineKind.PYFUNC, True, how="MLflow's own way", one_row_us=4000.0),
        Figures(EngineKind.ONNX, True, one_row_us=9.5, parity=Parity(4800, 800, 0, 3, 0.0, True)),
    ),
    CONVERTED,
)


@dataclass
class ScriptedBench:
    """Measures nothing, and answers what a test told it to."""

    told: Measured = PASSED
    requests: list[MeasureRequest] = field(default_factory=list)

    def measure(self, request: MeasureRequest) -> Measured:
        self.requests.append(request)
        return self.told


def _measure(here: World, told: Measured = PASSED) -> ScriptedBench:
    bench = ScriptedBench(told)
    while Controller(here.ports, here.sandbox, bench=bench).measure_one():
        pass
    return bench


def _engine(here: World, ref: VersionRef) -> str:
    release = plan.plan(here.ports, ref, STAGING).release
    assert release is not None
    return release.engine


def test_a_measurement_is_on_record_with_its_figures_and_what_it_is_about(world: Make) -> None:
    here = world(EASY)
    ref = here.register()
    with here.records("engines:requested", "engines:measured", "version:pinned"):
        asked = engines.ask(here.ports, ref, ANA)
        assert engines.ask(here.ports, ref, BEN).id == asked.id
        bench = _measure(here)
    found = engines.look(here.ports, asked.id)

    assert [str(request.ref) for request in bench.requests] == [f"{M}@1"]
    assert (found.state, found.figures, found.converted) == (MeasurementState.DONE, PASSED.figures, CONVERTED)
    assert found.digest is not None
    assert list(engines.listed(here.ports, ref)) == [found]
    told: Any = here.recorded("engines:measured")[0].plain["detail"]
    assert (told["digest"], told["converted"]) == (found.digest, CONVERTED)
    assert told["engines"]["onnx"] == "one row in 9.5 µs; 0 of 4800 rows differ from MLflow's answers, 3 beyond float32"


def test_a_version_that_cannot_be_measured_has_a_reason_on_record(world: Make) -> None:
    here = world(EASY)
    ref = here.register()
    asked = engines.ask(here.ports, ref, ANA)
    with here.records("engines:error", "version:pinned"):
        _measure(here, Measured(because="the model does not load: no"))
    found = engines.look(here.ports, asked.id)
    assert (found.state, found.because) == (MeasurementState.ERROR, "the model does not load: no")
    for missing in (lambda: engines.look(here.ports, "eng-9"), lambda: engines.ask(here.ports, VersionRef(M, 9), ANA)):
        with pytest.raises(NotFound):
            missing()


def test_a_plan_names_the_converted_model_only_after_it_passed(world: Make) -> None:
    here = world(ONNX)
    ref = here.register()
    assert _engine(here, ref) == "native"
    engines.ask(here.ports, ref, ANA)
    _measure(here, replace(PASSED, converted=""))
    assert _engine(here, ref) == "native"
    engines.ask(here.ports, ref, ANA)
    _measure(here)
    assert _engine(here, ref) == f"onnx {CONVERTED}"


def test_a_release_gets_the_engine_of_its_plan_and_a_new_one_where_that_changes(world: Make) -> None:
    here = world(ONNX)
    ref = here.register()
    here.done(ref, PRODUCTION)
    first = here.serving().release
    assert first is not None
    assert first.engine == "native"

    here.clock.forward(seconds=1)
    here.done(ref, PRODUCTION)
    again = here.serving().release
    assert again is not None
    assert again.id == first.id

    engines.ask(here.ports, ref, ANA)
    _measure(here)
    here.clock.forward(seconds=1)
    here.done(ref, PRODUCTION)
    later = here.serving().release
    assert later is not None
    assert (later.engine, later.id != first.id) == (f"onnx {CONVERTED}", True)
    here.policy(EASY)
    assert _engine(here, ref) == "native"


def test_what_changed_since_it_was_converted_is_not_served_by_the_old_file(world: Make) -> None:
    here = world(ONNX)
    one, other = here.register(), here.register()
    here.artifacts.change("mem:/2", "MLmodel", b"another model")
    engines.ask(here.ports, one, ANA)
    _measure(here)
    assert _engine(here, one) == f"onnx {CONVERTED}"
    assert _engine(here, other) == "native"
