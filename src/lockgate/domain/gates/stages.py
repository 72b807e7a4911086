"""The gates on where a version is, how long it has been there, and whether there is room where it goes."""

from __future__ import annotations

from datetime import timedelta

from lockgate.domain.durations import spoken
from lockgate.domain.evidence import Evidence
from lockgate.domain.gates.ages import in_the_future
from lockgate.domain.stages import Stage
from lockgate.domain.verdict import Gate, Level, Standing

HOLDS, WAITS, FAILS = Standing.HOLDS, Standing.WAITS, Standing.FAILS


def previous_stage(evidence: Evidence, wanted: Stage, level: Level) -> Gate:
    """Whether it comes from the stage that it must come from."""
    if evidence.stage in (wanted, evidence.target):
        return Gate("previous_stage", HOLDS, f"it is in {evidence.stage}", evidence.stage, wanted, level=level)
    because = f"it is in stage {evidence.stage} and must be in {wanted} first"
    hint = "Register the model again as a new version."
    if wanted.is_gated:
        hint = f"lockgate promote {evidence.ref} --to {wanted.lower()}"
    return Gate("previous_stage", FAILS, because, evidence.stage, wanted, hint, level)


def soak(evidence: Evidence, wanted: timedelta, level: Level) -> Gate:
    """Whether it has been in Staging long enough, by Lockgate's own record."""
    key, required = "staging_duration_hours", f"{spoken(wanted)} in Staging"
    if evidence.stage is evidence.target:
        return Gate(key, HOLDS, f"it is in {evidence.stage} already", evidence.stage, required, level=level)
    if evidence.stage is not Stage.STAGING:
        because = f"it is in stage {evidence.stage}, so no time in Staging counts"
        hint = f"lockgate promote {evidence.ref} --to staging"
        return Gate(key, FAILS, because, "0 s", required, hint, level)
    if wrong := in_the_future(evidence.stage_since, evidence.now):
        hint = "Put the clocks of this machine and of the database right."
        return Gate(key, FAILS, f"it entered Staging {wrong}", "0 s", required, hint, level)
    spent = evidence.now - evidence.stage_since
    if spent >= wanted:
        return Gate(key, HOLDS, f"in Staging for {spoken(spent)}", spoken(spent), required, level=level)
    because = f"in Staging for {spoken(spent)}, {spoken(wanted - spent)} to go"
    hint = f"lockgate promote {evidence.ref} --to {evidence.target.lower()} --wait"
    return Gate(key, WAITS, because, spoken(spent), required, hint, level)
