"""The chain of the record: whatever is changed, dropped, moved or cut off is found exactly there."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lockgate.domain.audit import BEGINNING, Entry, Linked, breaks, link
from lockgate.domain.identity import Who
from tests.unit.domain.cases import ANN, NOW

LENGTHS = st.integers(1, 9)
Heads = Mapping[str, tuple[int, str]]


def chain(length: int, name: str = "iris") -> list[Linked]:
    links: list[Linked] = []
    for number in range(1, length + 1):
        entry = Entry(
            "version:promoted", ANN, NOW + timedelta(seconds=number), name, number, "None", "Staging", "better"
        )
        links.append(link(entry, name, number, links[-1].hash if links else BEGINNING))
    return links


def heads(*chains: list[Linked]) -> Heads:
    return {links[-1].chain: (links[-1].number, links[-1].hash) for links in chains}


def places(entries: list[Linked], expected: Heads) -> list[int]:
    return [found.number for found in breaks(entries, expected)]


def test_an_entry_says_who_what_from_to_when_and_why() -> None:
    ann = Who("ann", True, "cli", kind="service", address="192.0.2.7", request="req_1", token="tok_1")
    entry = Entry("version:promoted", ann, NOW, "iris", 7, "None", "Staging", "better", {"seen": 1})
    linked = link(entry, "iris", 1, BEGINNING)

    assert json.loads(linked.text) == {
        "format": 2,
        "chain": "iris",
        "number": 1,
        "previous": BEGINNING,
        "at": "2026-05-01T12:00:00.000000+00:00",
        "who": {
            "name": "ann",
            "verified": True,
            "via": "cli",
            "kind": "service",
            "address": "192.0.2.7",
            "request": "req_1",
            "token": "tok_1",
        },
        "action": "version:promoted",
        "model": "iris",
        "version": 7,
        "before": "None",
        "after": "Staging",
        "reason": "better",
        "detail": {"seen": 1},
    }


def test_an_entry_with_a_float_in_it_cannot_be_written() -> None:
    with pytest.raises(TypeError, match="as text"):
        link(Entry("x", ANN, NOW, detail={"share": 0.5}), "iris", 1, BEGINNING)  # type: ignore[dict-item]


def test_an_empty_record_holds() -> None:
    assert breaks([], {}) == []


@given(LENGTHS, LENGTHS, st.randoms())
def test_untouched_chains_hold_in_whatever_order_they_are_read(one: int, other: int, random: object) -> None:
    first, second = chain(one), chain(other, "fraud")
    entries = [*first, *second]
    random.shuffle(entries)  # type: ignore[attr-defined]

    assert breaks(entries, heads(first, second)) == []


@given(st.data())
def test_a_changed_entry_is_found_exactly_there(data: st.DataObject) -> None:
    links = chain(data.draw(LENGTHS))
    at = data.draw(st.integers(0, len(links) - 1))
    field = data.draw(st.sampled_from(["action", "model", "version", "before", "after", "reason", "who", "at"]))
    plain = {**json.loads(links[at].text), field: data.draw(st.text() | st.integers(min_value=100) | st.floats())}
    forged = [*links]
    forged[at] = replace(links[at], text=json.dumps(plain, sort_keys=True, separators=(",", ":"), ensure_ascii=False))

    assert places(forged, heads(links)) == [at + 1]


@given(st.data())
def test_any_other_text_in_its_place_is_found_exactly_there(data: st.DataObject) -> None:
    links = chain(data.draw(LENGTHS))
    at = data.draw(st.integers(0, len(links) - 1))
    text = data.draw(st.text(alphabet=st.characters(exclude_categories=[])) | st.just("[" * 100_000) | st.just("1.5"))
    forged = [*links]
    forged[at] = replace(links[at], text=text)

    assert places(forged, heads(links)) == [at + 1]


@given(st.data())
def test_an_entry_rewritten_with_a_hash_that_fits_breaks_the_link_after_it(data: st.DataObject) -> None:
    links = chain(data.draw(LENGTHS))
    at = data.draw(st.integers(0, len(links) - 1))
    before = links[at - 1].hash if at else BEGINNING
    forged = [*links]
    forged[at] = link(Entry("version:promoted", Who("eve"), NOW, "iris", 1), "iris", at + 1, before)

    # one of the two neighbours was replaced; at the end it is the head that tells
    assert places(forged, heads(links)) == [min(at + 2, len(links))]


@given(st.data())
def test_a_dropped_entry_is_found_exactly_there(data: st.DataObject) -> None:
    links = chain(data.draw(st.integers(2, 9)))
    at = data.draw(st.integers(0, len(links) - 1))

    assert places(links[:at] + links[at + 1 :], heads(links)) == [at + 1]


@given(st.data())
def test_a_truncated_chain_is_found_where_it_ends(data: st.DataObject) -> None:
    links = chain(data.draw(LENGTHS))
    kept = data.draw(st.integers(0, len(links) - 1))

    assert places(links[:kept], heads(links)) == [kept + 1]


@given(st.data())
def test_two_entries_that_changed_places_are_both_found(data: st.DataObject) -> None:
    links = chain(data.draw(st.integers(2, 9)))
    a, b = sorted(data.draw(st.lists(st.integers(0, len(links) - 1), min_size=2, max_size=2, unique=True)))
    forged = [*links]
    forged[a] = replace(links[b], number=a + 1)
    forged[b] = replace(links[a], number=b + 1)
    found = places(forged, heads(links))

    assert found[0] == a + 1
    assert b + 1 in found
    # the entries after each of the two no longer follow what stands before them; everything else does
    assert set(found) <= {a + 1, a + 2, b + 1, b + 2}


@given(st.data())
def test_an_entry_put_in_between_is_found(data: st.DataObject) -> None:
    links = chain(data.draw(LENGTHS))
    at = data.draw(st.integers(0, len(links) - 1))
    forged = link(Entry("x", Who("eve"), NOW), "iris", at + 1, BEGINNING)

    assert at + 1 in places([*links, forged], heads(links))


def test_an_entry_from_another_chain_does_not_fit_here() -> None:
    links, other = chain(3), chain(3, "fraud")
    moved = [links[0], replace(other[1], chain="iris"), links[2]]

    found = breaks(moved, heads(links))
    assert found[0].because == "it was moved from another place"


def test_an_entry_after_the_head_was_never_committed() -> None:
    links = chain(3)

    found = breaks(links, heads(links[:2]))
    assert [(b.number, b.because) for b in found] == [(3, "the chain goes on to entry 3, its head says 2")]


def test_a_chain_without_a_head_and_a_head_without_a_chain_are_found() -> None:
    links = chain(2)

    assert [b.because for b in breaks(links, {})] == ["the chain's head is missing"]
    assert [b.because for b in breaks([], heads(links))] == ["the chain ends at entry 0, its head says 2"]


def test_numbers_that_no_entry_can_have_are_found() -> None:
    links = chain(2)

    assert 0 in places([*links, replace(links[0], number=0)], heads(links))
    assert datetime(2026, 5, 1, 12, tzinfo=UTC) == NOW
