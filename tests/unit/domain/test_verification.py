"""An exported record: whatever is done to the file is found and named, and what was proved is said."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import replace
from io import BytesIO
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lockgate.adapters.keys.ed25519 import Ed25519Signer, check
from lockgate.domain import exported
from lockgate.domain.audit import Linked
from lockgate.domain.canonical import canonical, digest
from lockgate.domain.checkpoints import PublicKey
from lockgate.domain.errors import BadInput
from lockgate.domain.removals import chains_of
from lockgate.domain.verification import Proved, Verification, told
from tests.unit.domain.exports import ORIGIN, Story, again, proved, story

STEPS = ("iris", "sign", "iris", "fraud", "sign", "iris", "fraud", "fraud", "sign", "iris", "sign")
WHOLE = story(*STEPS)
LINES = WHOLE.lines()
ENTRIES = [number for number, line in enumerate(LINES) if b'"text":' in line]
STRANGER = PublicKey(ORIGIN, Ed25519Signer.make().key)


def named(found: Proved) -> list[tuple[str, int, int | None]]:
    return [(each.chain, each.number, each.position) for each in found.breaks]


def entry(lines: Sequence[bytes], at: int) -> dict[str, Any]:
    plain: dict[str, Any] = json.loads(lines[at])
    return plain


def rewritten(lines: list[bytes], at: int) -> list[bytes]:
    """Another text in place of the entry in line `at`, hashed as Lockgate does, and the file's end made to fit."""
    old = entry(lines, at)
    text = {**json.loads(old["text"]), "reason": "it was always so"}
    new = {**old, "text": canonical(text).decode(), "hash": digest(text)}
    return again([*lines[:at], canonical(new) + b"\n", *lines[at + 1 :]])


def test_an_untouched_export_is_complete_up_to_its_last_checkpoint() -> None:
    found = proved(LINES, (WHOLE.key,))
    assert (found.holds, found.entries, found.checkpoints, found.size, found.after) == (True, 8, 4, 8, 0)
    assert (found.key, found.self_named) == (WHOLE.key, False)
    assert list(told(found)) == [
        f"Complete up to the checkpoint of size 8, signed by {WHOLE.key.id} at 2026-05-01 12:00:00 UTC: "
        "every entry is there, unchanged and in its order.",
        "Nothing is known about entries written after that.",
    ]


def test_a_key_that_only_the_file_names_is_said_to_be_one() -> None:
    found = proved(LINES)
    assert found.holds
    assert found.self_named
    assert "if it is not" not in " ".join(told(found))
    assert f"if {WHOLE.key.id} is not the one you noted" in " ".join(told(found))


def test_entries_that_are_not_signed_yet_are_counted_apart() -> None:
    unsigned = story(*STEPS, "iris", "fraud")
    unsigned.write("act:late", "iris", placed=False)
    found = proved(unsigned.lines(), (unsigned.key,))
    assert (found.holds, found.size, found.after) == (True, 8, 3)
    assert "3 more stand behind it: linked in their chains, and not signed." in told(found)


@given(st.data())
def test_any_changed_byte_is_found_and_its_entry_named(data: st.DataObject) -> None:
    whole = b"".join(LINES)
    at = data.draw(st.integers(0, len(whole) - 1))
    byte = data.draw(st.integers(0, 255).filter(lambda x: x != whole[at]))
    changed = whole[:at] + bytes([byte]) + whole[at + 1 :]
    line = whole[:at].count(b"\n")
    try:
        found = proved(list(BytesIO(changed)), (WHOLE.key,))
    except BadInput:
        assert line == 0  # it is no export any more, or one of another record
        return
    assert not found.holds
    if line in ENTRIES:
        position = ENTRIES.index(line)
        of = entry(LINES, line)
        assert any(x.position == position or (x.chain, x.number) == (of["chain"], of["number"]) for x in found.breaks)


@given(st.data())
def test_a_changed_text_is_named_exactly(data: st.DataObject) -> None:
    at = data.draw(st.sampled_from(ENTRIES))
    of = entry(LINES, at)
    text = of["text"].replace('"so"', '"sp"')
    found = proved(again([*LINES[:at], canonical({**of, "text": text}) + b"\n", *LINES[at + 1 :]]), (WHOLE.key,))
    assert named(found) == [(of["chain"], of["number"], of["position"])]
    assert "was changed after it was written" in found.breaks[0].because


@given(st.data())
def test_an_entry_rewritten_with_a_hash_that_fits_is_named_by_the_checkpoint(data: st.DataObject) -> None:
    at = data.draw(st.sampled_from(ENTRIES[1:]))
    of = entry(LINES, at)
    found = proved(rewritten(LINES, at), (WHOLE.key,))
    assert not found.holds
    first = found.breaks[0]
    # alone, or among those between two checkpoints, if the next entry of its chain comes later
    assert f"{of['chain']}#{of['number']}" in first.because or named(found)[0] == (
        of["chain"],
        of["number"],
        of["position"],
    )


def test_where_each_entry_has_its_checkpoint_a_replaced_one_is_named_alone() -> None:
    each = story("iris", "sign", "iris", "sign", "iris", "sign")
    lines = each.lines()
    at = next(number for number, line in enumerate(lines) if b'"position":2,' in line)
    found = proved(rewritten(lines, at), (each.key,))
    assert next((x.chain, x.number, x.position) for x in found.breaks if "replaced" in x.because) == ("iris", 2, 2)


def test_a_chain_rewritten_to_its_end_with_head_and_all_is_found() -> None:
    """Whoever knows how entries are linked can do that to a database; they have no key."""
    forger = Story(WHOLE.signer)
    for step in STEPS:
        if step != "sign":
            forger.write("act:forged", step)
    theirs = [exported.checkpoint(str(point.note)) for point in WHOLE.points]
    sizes = [point.checkpoint.size for point in WHOLE.points]
    mixed: list[Any] = []
    for number, each in enumerate(forger.objects, start=1):
        mixed.append(each)
        if number in sizes:
            mixed.append(theirs[sizes.index(number)])
    forger.objects = mixed
    found = proved(forger.lines(), (WHOLE.key,))
    assert not found.holds
    assert "was replaced" in found.breaks[0].because


@given(st.data())
def test_a_dropped_entry_is_found_and_named(data: st.DataObject) -> None:
    at = data.draw(st.sampled_from(ENTRIES))
    of = entry(LINES, at)
    found = proved(again([*LINES[:at], *LINES[at + 1 :]]), (WHOLE.key,))
    assert not found.holds
    assert any((x.chain, x.number) == (of["chain"], of["number"]) for x in found.breaks)


@given(st.data())
def test_two_entries_that_changed_places_are_found_and_named(data: st.DataObject) -> None:
    one, other = sorted(data.draw(st.lists(st.sampled_from(ENTRIES), min_size=2, max_size=2, unique=True)))
    lines = [*LINES]
    lines[one], lines[other] = lines[other], lines[one]
    found = proved(again(lines), (WHOLE.key,))
    assert not found.holds
    assert any(x.position == ENTRIES.index(one) for x in found.breaks)


@given(st.data())
def test_a_doubled_entry_is_found_and_named(data: st.DataObject) -> None:
    at = data.draw(st.sampled_from(ENTRIES))
    of = entry(LINES, at)
    found = proved(again([*LINES[: at + 1], LINES[at], *LINES[at + 1 :]]), (WHOLE.key,))
    assert not found.holds
    assert any((x.chain, x.number) == (of["chain"], of["number"]) for x in found.breaks)


@given(st.data())
def test_a_file_cut_off_anywhere_says_so(data: st.DataObject) -> None:
    whole = b"".join(LINES)
    at = data.draw(st.integers(len(LINES[0]), len(whole) - 1))
    found = proved(list(BytesIO(whole[:at])), (WHOLE.key,))
    assert not found.holds
    assert any("cut off" in x.because for x in found.breaks)


@given(st.data())
def test_a_record_cut_off_and_made_to_fit_again_is_found_with_any_later_checkpoint(data: st.DataObject) -> None:
    kept = data.draw(st.integers(1, 6))
    short = story(*STEPS)
    whole = short.lines()
    cut, heads = [], {}
    for line in whole:
        plain = json.loads(line)
        if "text" in plain and plain["position"] >= kept:
            continue
        if "checkpoint" in plain and int(plain["checkpoint"].split("\n")[1]) > kept:
            continue
        if "head" in plain or "end" in plain:
            continue
        if "text" in plain:
            heads[plain["chain"]] = (plain["number"], plain["hash"])
        cut.append(plain)
    forged = list(exported.written([*cut, *(exported.head(chain, *end) for chain, end in sorted(heads.items()))]))
    before = proved(forged, (short.key,))
    # the file itself cannot tell, and what it proves it proves
    assert not before.count
    for point in short.points:
        if point.checkpoint.size > kept:
            found = proved(forged, (short.key,), point)
            assert [(x.position, "cut off" in x.because) for x in found.breaks] == [(kept, True)]


def test_a_record_that_goes_on_from_a_checkpoint_kept_elsewhere_says_so() -> None:
    for point in WHOLE.points:
        found = proved(LINES, (WHOLE.key,), point)
        assert found.holds
        assert f"It goes on from the checkpoint you gave, of size {point.checkpoint.size}." in told(found)


def test_a_record_rewritten_by_whoever_has_the_key_is_found_with_a_checkpoint_kept_elsewhere() -> None:
    forged = Story(WHOLE.signer)
    for step in STEPS:
        forged.sign() if step == "sign" else forged.write("act:forged", step)
    assert proved(forged.lines(), (WHOLE.key,)).holds
    found = proved(forged.lines(), (WHOLE.key,), WHOLE.points[1])
    assert [x.because for x in found.breaks if "rewritten" in x.because]


def test_a_checkpoint_covers_entries_that_the_files_own_do_not() -> None:
    longer = story(*STEPS)
    lines = longer.lines()
    last = longer.points[-1]
    bare = again([line for line in lines if str(last.note).encode()[:40] not in line and b"\\n8\\n" not in line])
    assert proved(bare, (longer.key,)).size == 7
    assert proved(bare, (longer.key,), last).size == 8


def test_nothing_is_proved_by_a_key_one_does_not_trust() -> None:
    found = proved(LINES, (STRANGER,))
    assert not found.holds
    assert found.key is None
    assert "proves nothing about who wrote it" in " ".join(told(found))


def test_a_record_without_a_checkpoint_proves_nothing_about_who_wrote_it() -> None:
    found = proved(story("iris", "iris").lines())
    assert (found.count, found.holds) == (0, False)


def test_what_was_given_for_another_record_is_told_at_once() -> None:
    other = PublicKey("lockgate/record-2", WHOLE.signer.key)
    with pytest.raises(BadInput, match="record-2"):
        proved(LINES, (other,))


@pytest.mark.parametrize("line", [b"", b"{}\n", b"not json\n", b'{"format":"lockgate-record-9"}\n', b"\xff\n", b"[]\n"])
def test_a_file_that_is_no_export_is_told_at_once(line: bytes) -> None:
    with pytest.raises(BadInput, match="no export"):
        proved([line])


@given(st.lists(st.binary(max_size=60) | st.sampled_from(LINES), max_size=6))
def test_no_lines_make_the_check_stumble(lines: list[bytes]) -> None:
    found = proved([LINES[0], *lines])
    assert not found.holds


# --- keys -------------------------------------------------------------------------------------------------------------


def test_a_key_that_a_known_one_vouches_for_is_trusted_with_it() -> None:
    told_of = story("iris", "sign")
    first = told_of.key
    told_of.rotate()
    told_of.write("act:new", "iris")
    told_of.sign()
    found = proved(told_of.lines(), (first,))
    assert (found.holds, found.key, found.size) == (True, told_of.key, 5)
    # the newest key alone is enough for all that it signed
    assert proved(told_of.lines(), (told_of.key,)).size == 5


def test_a_key_for_which_nobody_vouches_is_no_key() -> None:
    forged = story("iris", "sign")
    thief = Ed25519Signer.make()
    forged.write(
        "key:added", "system", {"key": str(PublicKey(ORIGIN, thief.key)), "vouched": str(forged.points[0].note)}
    )
    forged.sign(thief)
    found = proved(forged.lines(), (forged.key,))
    assert named(found)[0] == ("system", 2, 2)
    assert "vouches" in found.breaks[0].because
    assert any("signed by no key" in x.because for x in found.breaks)


def test_a_retired_key_signs_no_more() -> None:
    told_of = story("iris", "sign")
    old = told_of.signer
    told_of.rotate()
    told_of.sign(old)
    assert any("signed by no key" in x.because for x in proved(told_of.lines()).breaks)


def test_a_recovered_key_is_told_of_and_trusted_only_when_it_is_given() -> None:
    told_of = story("iris", "sign")
    first = told_of.key
    told_of.recover()
    told_of.sign()
    unknown = proved(told_of.lines())
    assert unknown.holds
    assert "Keys were lost once" in " ".join(told(unknown))
    with_the_first = proved(told_of.lines(), (first,))
    assert not with_the_first.holds
    assert with_the_first.size == 2
    assert "for which no key you gave vouches" in with_the_first.breaks[0].because
    assert proved(told_of.lines(), (first, told_of.key)).holds


def test_a_checkpoint_of_another_record_or_place_is_found() -> None:
    lines = again([line for line in LINES if b'"checkpoint"' not in line])
    points = [line for line in LINES if b'"checkpoint"' in line]
    moved = again([*lines[:2], points[2], *lines[2:]])
    assert any("wrong place" in x.because for x in proved(moved, (WHOLE.key,)).breaks)


def test_a_text_that_was_removed_leaves_the_rest_provable_if_the_record_says_so() -> None:
    told_of = story("iris", "iris", "iris", "sign")
    without = [
        {**each, "text": ""} if isinstance(each, dict) and each.get("chain") == "iris" and each["number"] < 3 else each
        for each in told_of.objects
    ]
    told_of.objects = without
    assert named(proved(told_of.lines(), (told_of.key,))) == [("iris", 1, None)]
    told_of.write("record:pruned", "system", {"chains": chains_of([("iris", 2), ("iris", 1)])})
    told_of.sign()
    assert chains_of([("iris", 2), ("iris", 1), ("iris", 7)]) == {"iris": ["1-2", "7"]}
    found = proved(told_of.lines(), (told_of.key,))
    assert (found.holds, found.size) == (True, 5)


def test_only_so_many_breaks_are_kept_and_all_are_counted() -> None:
    checking = Verification(check)
    checking.take(LINES[0])
    for _ in range(500):
        checking.take(b"{}\n")
    found = checking.finish()
    assert (len(found.breaks), found.count) == (100, 501)


def test_an_entry_is_read_as_it_was_written() -> None:
    one = WHOLE.entries[1]
    assert entry(LINES, ENTRIES[1]) == exported.entry(one, 1)
    assert replace(one) == Linked(one.chain, one.number, one.hash, one.text)
