"""Asks for the engines of one version to be measured, and measures the next one of the queue."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from lockgate.domain.access import Act
from lockgate.domain.audit import Entry
from lockgate.domain.canonical import Plain
from lockgate.domain.engines import Figures, Measurement, MeasurementState
from lockgate.domain.errors import BadInput, NotFound
from lockgate.domain.identity import LOCKGATE, Who
from lockgate.domain.policy import Policy
from lockgate.domain.promotion import Claim
from lockgate.domain.versions import VersionRef
from lockgate.usecases.authorise import authorise, refusals_recorded
from lockgate.usecases.engine_ports import Bench, MeasureRequest
from lockgate.usecases.gather import catalog_version, inspect_artifacts
from lockgate.usecases.ports import Ports


def ask(ports: Ports, ref: VersionRef, who: Who) -> Measurement:
    """Queue a measurement, or join the one that is queued or running.

    Raises NotFound, Forbidden, and BadInput for a prompt.
    """
    doing = f"measure the engines of {ref}"
    with refusals_recorded(ports, who, doing, ref.model), ports.store.writing(ref.model) as work:
        authorise(work, who, Act.ASK, ref.model)
        catalog_version(work, ref)
        if work.catalog.is_prompt(ref.model):
            raise BadInput(f"{ref.model} is a prompt, and prompts have no engines.", hint="Name a model.")
        already = work.measurements.open_for(ref)
        if already is not None:
            return already
        now = ports.clock.now()
        asked = Measurement(ports.ids.new("eng"), ref, MeasurementState.QUEUED, who, now)
        work.measurements.add(asked)
        detail: dict[str, Plain] = {"measurement": asked.id}
        work.record.write(Entry("engines:requested", who, now, ref.model, ref.version, None, "queued", detail=detail))
        return asked


def look(ports: Ports, id: str) -> Measurement:
    """One measurement. Raises NotFound."""
    with ports.store.reading() as work:
        found = work.measurements.get(id)
    if found is None:
        raise NotFound(f"There is no measurement {id}.", hint="lockgate engines MODEL@VERSION makes one.")
    return found


def listed(ports: Ports, ref: VersionRef, limit: int = 100) -> Sequence[Measurement]:
    """The measurements of one version, newest first. Raises NotFound."""
    with ports.store.reading() as work:
        catalog_version(work, ref)
        return work.measurements.history(ref, limit)


def run(ports: Ports, bench: Bench, measurement: Measurement, claim: Claim) -> Measurement:
    """Measure the version's pinned artifacts and store what was found with their digest.

    Raises LostClaim when another controller took the work over meanwhile: then nothing is stored.
    """
    ref = measurement.ref
    with ports.store.writing(ref.model) as work:
        measurement = replace(measurement, state=MeasurementState.RUNNING)
        ports.queue.save_measurement(work, claim, measurement, release=False)
        policy = work.policies.in_force()
    finished = replace(_measured(ports, bench, measurement, policy), finished_at=ports.clock.now())
    with ports.store.writing(ref.model) as work:
        ports.queue.save_measurement(work, claim, finished, release=True)
        work.record.write(_entry(finished))
        # a plan names the engine, and it may be another one now
        work.promotions.due(ref.model, finished.finished_at or finished.asked_at)
    return finished


def _measured(ports: Ports, bench: Bench, measurement: Measurement, policy: Policy) -> Measurement:
    failed = replace(measurement, state=MeasurementState.ERROR)
    try:
        facts = inspect_artifacts(ports, measurement.ref)
    except NotFound as gone:
        return replace(failed, because=gone.message)
    if facts.digest is None:
        return replace(failed, because=facts.unreadable)
    if facts.differences:
        because = f"the artifacts are no longer what was pinned: {', '.join(facts.differences)}"
        return replace(failed, because=because, digest=facts.digest)
    runtime = policy.endpoint_rule(measurement.ref.model).runtime
    told = bench.measure(MeasureRequest(measurement.ref, ports.artifacts.folder(facts.digest), runtime=runtime))
    if told.because:
        return replace(failed, because=told.because, digest=facts.digest)
    return replace(
        measurement,
        state=MeasurementState.DONE,
        digest=facts.digest,
        figures=told.figures,
        converted=told.converted,
    )


def _entry(finished: Measurement) -> Entry:
    detail: dict[str, Plain] = {
        "measurement": finished.id,
        "digest": finished.digest,
        "converted": finished.converted,
        "engines": {each.engine.value: _plain(each) for each in finished.figures},
        "asked_by": str(finished.asked_by),
        "request": finished.asked_by.request,
    }
    ref, state = finished.ref, finished.state.value
    at = finished.finished_at or finished.asked_at
    name = "engines:measured" if finished.state is MeasurementState.DONE else "engines:error"
    return Entry(name, LOCKGATE, at, ref.model, ref.version, "running", state, finished.because, detail)


def _plain(figures: Figures) -> Plain:
    """One line about an engine: the record holds no fractions."""
    if not figures.applies:
        return f"does not apply: {figures.because}"
    parity, told = figures.parity, f"one row in {figures.one_row_us:g} µs"
    if parity is None:
        return told
    return (
        f"{told}; {parity.different} of {parity.rows} rows differ from MLflow's answers, {parity.fine} beyond float32"
    )
