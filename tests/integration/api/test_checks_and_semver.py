"""Checks are reported and semantic versions are read and set through the Python client, and every answer has them."""

from __future__ import annotations

import json

import pytest

from lockgate.adapters.sql.semver_queue import SqlNumbering
from lockgate.controller.numbering import Numberer
from lockgate.sdk.errors import BadRequest, Conflict, NotFound
from tests.databases.backends import on_sqlite
from tests.integration.api.conftest import Machine

pytestmark = on_sqlite  # what is SQL of it is in tests/contracts, on both databases


def logged(machine: Machine, version: int, *inputs: str) -> None:
    """A version of the model fraud that takes these columns, and has its number."""
    ref = machine.register("fraud", version, team="a")
    columns = [{"name": name, "type": "long", "required": True} for name in inputs]
    told = {"signature": {"inputs": json.dumps(columns)}}
    machine.artifacts.change(f"mem:/{ref.model}/{version}", "MLmodel", json.dumps(told).encode())
    Numberer(machine.ports, SqlNumbering(machine.ports.store)).step()  # type: ignore[arg-type]


def test_a_check_is_reported_listed_and_shown_with_its_version(machine: Machine) -> None:
    logged(machine, 1, "age")
    with machine.as_("ci") as ci:
        first = ci.checks.report("fraud@1", "ci/bias", passed=False, url="https://ci/1", comment="größe 'x'\n")
        second = ci.checks.report(("fraud", 1), "ci/bias", passed=True, digest=first.digest)

        assert (first.name, first.passed, first.grade, first.comment) == ("ci/bias", False, "attested", "größe 'x'\n")
        assert (second.who.name, second.who.verified) == ("ci", False)
        assert ci.checks.of("fraud@1") == (second,)
        assert ci.checks.of("fraud@1", every=True, limit=5) == (second, first)
        assert ci.status("fraud").versions[0].checks == (second,)
        with pytest.raises(BadRequest, match="a-z 0-9"):
            ci.checks.report("fraud@1", "Ci", passed=True)
        with pytest.raises(Conflict, match="about the artifacts sha256:other"):
            ci.checks.report("fraud@1", "ci", passed=True, digest="sha256:other")
        with pytest.raises(NotFound):
            ci.checks.of("fraud@9")


def test_semantic_versions_are_listed_found_compared_and_set(machine: Machine) -> None:
    for version, inputs in enumerate((["age"], ["age"], ["age", "zip"]), 1):
        logged(machine, version, *inputs)
    with machine.as_("ann") as ann:
        assert [(n.version, n.semantic_version) for n in ann.semver.all("fraud")] == [
            (3, "2.0.0"),
            (2, "1.0.1"),
            (1, "1.0.0"),
        ]
        assert ann.semver.find("fraud", "1.0.1").ref == "fraud@2"
        compared = ann.semver.of("fraud@3")
        assert (compared.against, [change.told for change in compared.changes or ()]) == (
            2,
            ["new required input: zip (long)"],
        )
        assert ann.semver.of("fraud@2", against=1).changes == ()
        assert ann.semver.of("fraud@1").against is None

        given = ann.semver.set("fraud@3", "3.0.0", "as agreed")
        assert (given.semantic_version, given.origin, given.because) == ("3.0.0", "person", "as agreed")
        with pytest.raises(Conflict, match=r"not earlier than 3\.0\.0"):
            ann.semver.set("fraud@2", "3.0.0", "no")
        for number, reason in (("3.0", "why"), ("4.0.0", " ")):
            with pytest.raises(BadRequest):
                ann.semver.set("fraud@3", number, reason)
        for wrong in ("9.9.9", "0.0.0"):
            with pytest.raises(NotFound):
                ann.semver.find("fraud", wrong)
        with pytest.raises(NotFound):
            ann.semver.all("nobody")


def test_every_answer_that_names_a_version_has_its_semantic_version(machine: Machine) -> None:
    logged(machine, 1, "age")
    with machine.as_("ann") as ann:
        asked = ann.request("fraud@1", "please")
        promoted = ann.promote("fraud@1", "staging")
        waiting = ann.promote("fraud@1", "production")
        status = ann.status("fraud").versions[0]

        assert (status.semantic_version, status.semantic_because) == ("1.0.0", "the first version")
        assert status.open_promotion is not None
        for shape in (
            *(asked, promoted, waiting, status.open_promotion, ann.plan("fraud@1", "production")),
            *(ann.approvals()[0], ann.promotion(promoted.id), ann.promotions("fraud")[0], ann.validate("fraud@1")),
        ):
            assert shape.semantic_version == "1.0.0"
