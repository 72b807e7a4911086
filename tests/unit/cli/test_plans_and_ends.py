"""What people type for a plan and for an end is read as they mean it, or told."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path

import click
import pytest
from click.testing import CliRunner

from lockgate.cli import plan_file
from lockgate.cli.defaulting import Defaulting
from lockgate.cli.standing_in import END
from lockgate.domain.errors import BadInput
from lockgate.domain.plans import digest_of_parts
from lockgate.domain.stages import Stage
from lockgate.domain.versions import VersionRef
from lockgate.sdk.client import Lockgate

FRAUD = VersionRef("fraud", 7)
PARTS = {"version": "fraud@7", "target": "Production", "artifacts": None, "tag 'ß'\n": "模"}


@pytest.mark.parametrize(
    ("written", "meant"),
    [
        ("2026-08-31", datetime(2026, 9, 1, tzinfo=UTC)),
        ("2026-08-31T18:00", datetime(2026, 8, 31, 18, tzinfo=UTC)),
        ("2026-08-31T18:00:00+02:00", datetime(2026, 8, 31, 16, tzinfo=UTC)),
    ],
)
def test_a_day_ends_with_itself_and_a_moment_is_in_utc(written: str, meant: datetime) -> None:
    assert END.convert(written, None, None) == meant


def test_a_length_of_time_is_counted_from_now() -> None:
    assert timedelta(days=13) < END.convert("14d", None, None) - datetime.now(UTC) <= timedelta(days=14)
    with pytest.raises(BadInput, match="no date"):
        END.convert("soon", None, None)


def test_a_plan_is_read_from_its_file_and_a_changed_one_is_told(tmp_path: Path) -> None:
    file = tmp_path / "a plan.json"
    whole = {
        "format": plan_file.FORMAT, "model": "fraud", "version": 7, "stage": "Production",
        "digest": digest_of_parts(PARTS), "parts": PARTS,
    }  # fmt: skip
    file.write_text(json.dumps(whole))
    with Lockgate("http://127.0.0.1:9", "ann") as nobody:
        found = plan_file.bound(nobody, None, None, str(file))
        assert found == plan_file.Bound(FRAUD, Stage.PRODUCTION, digest_of_parts(PARTS))
        assert plan_file.bound(nobody, FRAUD, None, None, Stage.STAGING) == plan_file.Bound(FRAUD, Stage.STAGING)
        for version, to in ((None, Stage.STAGING), (FRAUD, None)):
            with pytest.raises(BadInput, match="is missing"):
                plan_file.bound(nobody, version, to, None)
        for wrong in ({"stage": "Staging"}, {"parts": {**PARTS, "version": "fraud@8"}}, {"digest": "sha256:0"}):
            file.write_text(json.dumps(whole | wrong))
            with pytest.raises(BadInput, match="changed after it was written"):
                plan_file.bound(nobody, None, None, str(file))
        for text in ("{", "3", json.dumps(whole | {"parts": [1]}), json.dumps(whole | {"version": "seven"})):
            file.write_text(text)
            with pytest.raises(BadInput, match="is no plan"):
                plan_file.bound(nobody, None, None, str(file))
        file.write_bytes(b"\xff\xfe")
        with pytest.raises(BadInput, match="not text in UTF-8"):
            plan_file.bound(nobody, None, None, str(file))


def test_the_command_that_is_left_unnamed_is_run_and_help_is_the_groups() -> None:
    @click.group(cls=Defaulting, default="list", context_settings={"help_option_names": ["-h", "--help"]})
    def group() -> None:
        """A group."""

    @group.command("list")
    @click.option("--limit", default=3)
    def list_(limit: int) -> None:
        click.echo(f"listed {limit}")

    @group.command()
    def show() -> None:
        click.echo("shown")

    def typed(*words: str) -> str:
        return CliRunner().invoke(group, words).output

    assert [typed(), typed("--limit", "5"), typed("list"), typed("show")] == [
        "listed 3\n", "listed 5\n", "listed 3\n", "shown\n",
    ]  # fmt: skip
    assert "A group." in typed("-h")
