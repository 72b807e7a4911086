"""The engine of a release: how it is written down, and which one a rule and a measurement give."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime

import pytest

from lockgate.domain.engines import OF_OLD, Engine, Measurement, MeasurementState, engine_for
from lockgate.domain.identity import Who
from lockgate.domain.policy import EndpointRule, EngineKind
from lockgate.domain.versions import VersionRef

FILES, OTHER_FILES = "sha256:" + "a" * 64, "sha256:" + "b" * 64
CONVERTED = "sha256:" + "c" * 64
ONNX = EndpointRule(engine=EngineKind.ONNX)
MEASURED = Measurement(
    "eng-1", VersionRef("fraud", 7), MeasurementState.DONE, Who("dana"), datetime(2026, 1, 1, tzinfo=UTC), FILES,
    converted=CONVERTED,
)  # fmt: skip


@pytest.mark.parametrize(
    "engine", [Engine(EngineKind.PYFUNC), Engine(EngineKind.NATIVE), Engine(EngineKind.ONNX, CONVERTED)]
)
def test_an_engine_is_read_back_from_what_a_release_says(engine: Engine) -> None:
    assert Engine.parse(str(engine)) == engine
    assert len(str(engine)) <= 100


@pytest.mark.parametrize("written", [OF_OLD, "", "onnx", "onnx sha256:12", "onnx ../../etc/passwd", "quick"])
def test_what_names_no_engine_is_mlflows_own_way(written: str) -> None:
    assert Engine.parse(written) == Engine(EngineKind.PYFUNC)


def test_a_rule_that_asks_for_no_conversion_is_followed_whatever_was_measured() -> None:
    for kind in (EngineKind.PYFUNC, EngineKind.NATIVE):
        assert engine_for(EndpointRule(engine=kind), FILES, MEASURED) == Engine(kind)


def test_a_converted_model_serves_only_where_it_passed_on_these_very_files() -> None:
    assert engine_for(ONNX, FILES, MEASURED) == Engine(EngineKind.ONNX, CONVERTED)
    for measured in (None, replace(MEASURED, converted=""), replace(MEASURED, digest=OTHER_FILES)):
        assert engine_for(ONNX, FILES, measured) == Engine(EngineKind.NATIVE)
    assert engine_for(ONNX, None, replace(MEASURED, digest=None)) == Engine(EngineKind.NATIVE)
