"""The small values: references, stages, lengths of time, canonical form, manifests, states, releases."""

from __future__ import annotations

import hashlib
import json
from datetime import timedelta
from types import MappingProxyType

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lockgate.domain.canonical import canonical, digest
from lockgate.domain.durations import parse_duration, spoken
from lockgate.domain.errors import BadInput, Conflict, Refused
from lockgate.domain.manifest import Manifest, PinnedFile, differences
from lockgate.domain.policy import EndpointRule, Environment, Policy, StageRules, ValidationRule
from lockgate.domain.promotion import MOVES, OVER, PromotionState
from lockgate.domain.serving import Release, last_known_good
from lockgate.domain.stages import GATED, Stage
from lockgate.domain.validation import KINDS, SUITE, Examination, Library, ValidationState
from lockgate.domain.verdict import Level, Verdict
from lockgate.domain.versions import VersionRef, model_name, version_number
from tests.unit.domain.cases import NOW, examination


class TestReferences:
    @pytest.mark.parametrize(
        ("written", "ref"),
        [
            ("fraud@7", VersionRef("fraud", 7)),
            ("fraud/7", VersionRef("fraud", 7)),
            ("models:/fraud/7", VersionRef("fraud", 7)),
            ("team@corp@12", VersionRef("team@corp", 12)),
            ("two words@1", VersionRef("two words", 1)),
        ],
    )
    def test_a_version_is_read_in_every_way_people_write_it(self, written: str, ref: VersionRef) -> None:
        assert VersionRef.parse(written) == ref

    @pytest.mark.parametrize(
        "written",
        ["", "fraud", "fraud@", "@7", "fraud@0", "fraud@-1", "fraud@7\n", "fraud@7.0", "fraud@٧", "a:b@1", "a/b@1"],
    )
    def test_anything_else_is_refused_with_a_hint(self, written: str) -> None:
        with pytest.raises(BadInput) as caught:
            VersionRef.parse(written)
        assert caught.value.hint

    @given(st.text(st.characters(exclude_characters="/:"), min_size=1), st.integers(1, 2**31 - 1))
    def test_a_reference_is_read_back_as_it_is_written(self, model: str, version: int) -> None:
        ref = VersionRef(model, version)

        assert VersionRef.parse(str(ref)) == ref

    @given(st.text())
    def test_any_text_is_a_reference_or_bad_input(self, written: str) -> None:
        try:
            ref = VersionRef.parse(written)
        except BadInput:
            return
        assert ref.version >= 1

    @pytest.mark.parametrize("number", [0, -1, 2**31, "", "1_0", " 7", "٧", "9" * 5000, 7.9, True, None])
    def test_what_is_no_version_number_is_refused(self, number: object) -> None:
        with pytest.raises(BadInput, match="not a version number"):
            version_number(number)  # type: ignore[arg-type]

    @pytest.mark.parametrize("name", ["", "a/b", "a:b", 7, None])
    def test_what_is_no_model_name_is_refused(self, name: object) -> None:
        with pytest.raises(BadInput, match="not a model name"):
            model_name(name)


class TestStages:
    @pytest.mark.parametrize("stage", list(Stage))
    def test_a_stage_is_read_in_any_capitals(self, stage: Stage) -> None:
        assert {Stage.parse(stage.value), Stage.parse(stage.upper()), Stage.parse(stage.lower())} == {stage}

    @pytest.mark.parametrize("written", ["", "prod", "Staging ", None, 3])
    def test_anything_else_is_refused_with_the_four_names(self, written: object) -> None:
        with pytest.raises(BadInput, match="None, Staging, Production, Archived"):
            Stage.parse(written)

    def test_only_staging_and_production_have_gates(self) -> None:
        assert {stage for stage in Stage if stage.is_gated} == GATED == {Stage.STAGING, Stage.PRODUCTION}


class TestLengthsOfTime:
    @pytest.mark.parametrize(
        ("written", "length"),
        [
            ("500ms", timedelta(milliseconds=500)),
            ("5s", timedelta(seconds=5)),
            (" 30 m ", timedelta(minutes=30)),
            ("24h", timedelta(days=1)),
            ("1.5d", timedelta(hours=36)),
        ],
    )
    def test_a_number_and_a_unit_are_a_length_of_time(self, written: str, length: timedelta) -> None:
        assert parse_duration(written) == length

    def test_a_bare_number_counts_where_a_unit_is_understood(self) -> None:
        assert parse_duration(24, bare_unit="h") == parse_duration(24.0, bare_unit="h") == timedelta(days=1)

    @pytest.mark.parametrize(
        "written", ["", "5", "s", "-5s", "5 s s", "5w", "٥s", "1e3s", True, None, 5, "9" * 400 + "d", "99999999999d"]
    )
    def test_anything_else_is_refused_with_the_units(self, written: object) -> None:
        with pytest.raises(BadInput) as caught:
            parse_duration(written)
        assert "24h" in caught.value.hint

    @pytest.mark.parametrize("written", [float("inf"), float("nan"), -1, 1e300, 10**400, True])
    def test_a_number_that_is_no_length_is_refused(self, written: float) -> None:
        with pytest.raises(BadInput):
            parse_duration(written, bare_unit="h")

    @pytest.mark.parametrize(
        ("length", "words"),
        [
            (timedelta(seconds=-3), "0 s"),
            (timedelta(0), "0 s"),
            (timedelta(seconds=4.2), "4.2 s"),
            (timedelta(seconds=59.99), "59.9 s"),
            (timedelta(seconds=60), "1 min"),
            (timedelta(seconds=61), "1 min 1 s"),
            (timedelta(hours=24), "24 h"),
            (timedelta(hours=23, minutes=12), "23 h 12 min"),
            (timedelta(hours=49), "2 d 1 h"),
        ],
    )
    def test_a_length_of_time_is_said_in_its_two_largest_units(self, length: timedelta, words: str) -> None:
        assert spoken(length) == words


PLAIN = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=20,
)


class TestCanonicalForm:
    @given(PLAIN)
    def test_a_value_is_read_back_as_it_was_written(self, value: object) -> None:
        assert json.loads(canonical(value)) == value  # type: ignore[arg-type]

    @given(st.dictionaries(st.text(), st.integers(), max_size=5))
    def test_the_order_of_keys_does_not_matter(self, value: dict[str, int]) -> None:
        assert canonical(value) == canonical(dict(reversed(value.items())))

    def test_it_is_json_without_a_space(self) -> None:
        assert canonical({"b": [1, None, True], "a": "ü"}) == '{"a":"ü","b":[1,null,true]}'.encode()
        assert digest([]) == "sha256:" + hashlib.sha256(b"[]").hexdigest()

    def test_every_mapping_and_every_sequence_is_taken(self) -> None:
        assert canonical(MappingProxyType({"a": (1, MappingProxyType({}))})) == b'{"a":[1,{}]}'

    @pytest.mark.parametrize("value", [1.0, float("nan"), [1.5], {"a": {"b": [0.5]}}])
    def test_floats_are_refused_wherever_they_are(self, value: object) -> None:
        with pytest.raises(TypeError, match="as text"):
            canonical(value)  # type: ignore[arg-type]

    @pytest.mark.parametrize("value", [b"bytes", {1}, object(), {1: "a"}, [{None: 1}], timedelta(1)])
    def test_what_json_has_no_word_for_is_refused(self, value: object) -> None:
        with pytest.raises(TypeError):
            canonical(value)  # type: ignore[arg-type]

    @pytest.mark.parametrize("value", ["\ud800", {"\udfff": 1}])
    def test_half_a_character_is_bad_input(self, value: object) -> None:
        with pytest.raises(BadInput, match="half a character"):
            canonical(value)  # type: ignore[arg-type]


FILES = st.dictionaries(st.text("ab/", min_size=1, max_size=3), st.tuples(st.integers(0, 3), st.sampled_from("xy")))


def manifest(files: dict[str, tuple[int, str]]) -> Manifest:
    return Manifest.of(PinnedFile(path, size, sha) for path, (size, sha) in files.items())


class TestManifests:
    def test_what_is_changed_missing_or_added_is_named(self) -> None:
        pinned = manifest({"MLmodel": (1, "x"), "model.pkl": (2, "x"), "same": (3, "x")})
        found = manifest({"model.pkl": (2, "y"), "same": (3, "x"), "extra.py": (1, "x")})

        assert differences(pinned, found) == ("missing MLmodel", "added extra.py", "changed model.pkl")
        assert pinned.size == 6

    @given(FILES, FILES)
    def test_two_manifests_have_one_digest_exactly_when_nothing_differs(self, one: dict, other: dict) -> None:
        first, second = manifest(one), manifest(other)

        assert (first.digest == second.digest) == (differences(first, second) == ())
        assert (first.digest == second.digest) == (one == other)


class TestPromotionStates:
    def test_there_is_no_way_out_of_a_state_that_is_over(self) -> None:
        assert {after for before, after in MOVES if before.is_over} == set()
        assert all(before not in OVER for before, _ in MOVES)

    def test_after_the_closing_commit_only_done_is_left(self) -> None:
        assert {after for before, after in MOVES if before is PromotionState.SWITCHING} == {PromotionState.DONE}

    def test_only_warming_comes_before_the_closing_commit(self) -> None:
        assert {before for before, after in MOVES if after is PromotionState.SWITCHING} == {PromotionState.WARMING}

    @pytest.mark.parametrize("state", [s for s in PromotionState if s not in OVER])
    def test_every_open_state_is_reached_and_can_end(self, state: PromotionState) -> None:
        reached, ahead = {PromotionState.JUDGING}, {state}
        for _ in PromotionState:
            reached |= {after for before, after in MOVES if before in reached}
            ahead |= {after for before, after in MOVES if before in ahead}

        assert state in reached
        assert PromotionState.DONE in ahead

    def test_an_endpoint_is_held_only_while_it_is_warmed_and_switched(self) -> None:
        holding = {state for state in PromotionState if state.moves_endpoint}

        assert holding == {PromotionState.WARMING, PromotionState.SWITCHING}


class TestValidations:
    def test_every_kind_of_test_is_of_the_suite_and_every_test_is_of_a_kind(self) -> None:
        assert {test for tests in KINDS.values() for test in tests} == set(SUITE)

    def test_a_run_without_results_did_not_pass(self) -> None:
        assert not Examination((), None, 0.1).passed
        assert examination().passed
        assert not examination(failed=("load_test",)).passed

    def test_a_library_matches_only_in_the_very_same_version(self) -> None:
        assert Library("numpy", "2.1.0", "2.1.0").matches
        assert not Library("numpy", "2.1.0", "2.1.1").matches
        assert not Library("numpy", "2.1.0", None).matches

    def test_a_validation_is_over_when_it_has_an_answer(self) -> None:
        assert {s for s in ValidationState if not s.is_over} == {ValidationState.QUEUED, ValidationState.RUNNING}


def release(version: int, *, baked: float | None, made: float = 0) -> Release:
    return Release(
        id=f"rel-{version}-{made}",
        endpoint="end-1",
        ref=VersionRef("iris", version),
        digest="sha256:x",
        engine="mlflow",
        promotion="pro-1",
        created_at=NOW + timedelta(seconds=made),
        baked_at=None if baked is None else NOW + timedelta(seconds=baked),
    )


class TestLastKnownGood:
    def test_it_is_the_latest_other_version_that_finished_its_bake(self) -> None:
        one, two, now = release(1, baked=1), release(2, baked=2), release(3, baked=3)

        assert last_known_good(now, [one, two, now], frozenset()) == two

    def test_it_is_the_last_that_served_and_not_the_highest_number(self) -> None:
        old, new, now = release(9, baked=1), release(2, baked=5), release(3, baked=6)

        assert last_known_good(now, [old, new, now], frozenset()) == new

    def test_what_never_baked_or_is_quarantined_or_is_the_same_version_does_not_qualify(self) -> None:
        never, bad, same = release(1, baked=None), release(2, baked=5), release(3, baked=1, made=1)

        assert last_known_good(release(3, baked=6), [never, bad, same], frozenset([bad.ref])) is None

    def test_there_is_none_without_a_history(self) -> None:
        assert last_known_good(None, [], frozenset()) is None


class TestPolicy:
    POLICY = Policy(
        digest="sha256:p",
        level=Level.ENFORCE,
        stages={Stage.STAGING: StageRules("staging", level=Level.WARN), Stage.PRODUCTION: StageRules("production")},
        environments=(Environment("production", Stage.PRODUCTION, 5002),),
        models=(("fraud-*", {Stage.PRODUCTION: StageRules("champion")}), ("fraud-eu", {})),
        endpoints=(("fraud-*", EndpointRule(workers=4)),),
        validation=ValidationRule(on_registration=("fraud-?u",)),
    )

    def test_the_first_pattern_that_matches_rules(self) -> None:
        assert self.POLICY.rules("fraud-eu", Stage.PRODUCTION).alias == "champion"
        assert self.POLICY.rules("fraud-eu", Stage.STAGING).alias == "staging"
        assert self.POLICY.rules("Fraud-eu", Stage.PRODUCTION).alias == "production"

    def test_a_stage_nobody_wrote_rules_for_has_only_its_alias(self) -> None:
        bare = Policy("sha256:p", Level.ENFORCE, {}, ())

        assert bare.rules("iris", Stage.STAGING) == StageRules("staging")
        assert bare.rules("iris", Stage.ARCHIVED) == StageRules("")

    def test_a_stages_own_level_counts(self) -> None:
        assert self.POLICY.level_for(self.POLICY.rules("iris", Stage.STAGING)) is Level.WARN
        assert self.POLICY.level_for(self.POLICY.rules("iris", Stage.PRODUCTION)) is Level.ENFORCE

    def test_a_protected_alias_is_bound_to_a_stage_for_each_model(self) -> None:
        assert self.POLICY.stage_of_alias("fraud-eu", "champion") is Stage.PRODUCTION
        assert self.POLICY.stage_of_alias("iris", "champion") is None
        assert self.POLICY.stage_of_alias("iris", "production") is Stage.PRODUCTION

    def test_places_and_endpoints_are_found_by_name_stage_and_pattern(self) -> None:
        assert self.POLICY.environment("production") == self.POLICY.environment_for(Stage.PRODUCTION)
        assert self.POLICY.environment("staging") is None
        assert self.POLICY.environment_for(Stage.STAGING) is None
        assert self.POLICY.endpoint_rule("fraud-eu").workers == 4
        assert not self.POLICY.endpoint_rule("iris").serve
        assert self.POLICY.names_for_registration("fraud-eu")
        assert not self.POLICY.names_for_registration("fraud-us")


def test_an_error_says_what_is_wrong_and_what_to_do_next() -> None:
    assert str(BadInput("It is wrong.", hint="Write it right.")) == "It is wrong. Write it right."
    assert str(Conflict("It is held.", promotion="pro-1")) == "It is held."
    assert Refused("no", verdict=Verdict(()), promotion="pro-1").promotion == "pro-1"
