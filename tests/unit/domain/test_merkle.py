"""The tree: what RFC 9162 says of it, read literally, and the roots that every implementation gives."""

from __future__ import annotations

from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lockgate.domain.merkle import (
    EMPTY,
    Frontier,
    Place,
    consistency_ranges,
    frontier,
    frontier_places,
    goes_on,
    includes,
    inclusion_ranges,
    leaf_hash,
    node_hash,
    places_of,
    proof_from,
)

SIZES = st.integers(1, 80)

# the inputs and roots that logs of Certificate Transparency are tested with
INPUTS = ["", "00", "10", "2021", "3031", "40414243", "5051525354555657", "606162636465666768696a6b6c6d6e6f"]
ROOTS = [
    "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855",
    "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d",
    "fac54203e7cc696cf0dfcb42c92a1d9dbaf70ad9e621f4bd8d98662f00e3c125",
    "aeb6bcfe274b70a14fb067a5e5578264db0fa9b51af5e0ba159158f329e06e77",
    "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7",
    "4e3bbb1f7b478dcfe71fb631631519a3bca12c9aefca1612bfce4c13a86264d4",
    "76e67dadbcdf1e10e1b74ddc608abd2f98dfb16fbce75277b5232a127f2087ef",
    "ddb89be403809e325750d3d263cd78929c2942b7942a34b77e122c9594a74c8c",
    "5dc9da79a70659a9ad559cb701ded9a2ab9d823aad2f4960cfe370eff4604328",
]


def root(leaves: Sequence[bytes]) -> bytes:
    """The definition of RFC 9162, 2.1.1, word for word."""
    if not leaves:
        return EMPTY
    if len(leaves) == 1:
        return leaves[0]
    k = 1
    while k * 2 < len(leaves):
        k *= 2
    return node_hash(root(leaves[:k]), root(leaves[k:]))


def path(m: int, leaves: Sequence[bytes]) -> list[bytes]:
    """The inclusion proof of RFC 9162, 2.1.3.1, word for word."""
    if len(leaves) == 1:
        return []
    k = 1
    while k * 2 < len(leaves):
        k *= 2
    if m < k:
        return [*path(m, leaves[:k]), root(leaves[k:])]
    return [*path(m - k, leaves[k:]), root(leaves[:k])]


def subproof(m: int, leaves: Sequence[bytes], *, known: bool) -> list[bytes]:
    """The consistency proof of RFC 9162, 2.1.4.1, word for word."""
    if m == len(leaves):
        return [] if known else [root(leaves)]
    k = 1
    while k * 2 < len(leaves):
        k *= 2
    if m <= k:
        return [*subproof(m, leaves[:k], known=known), root(leaves[k:])]
    return [*subproof(m - k, leaves[k:], known=False), root(leaves[:k])]


LEAVES = [leaf_hash(number.to_bytes(2)) for number in range(80)]


def grown(size: int) -> tuple[Frontier, dict[Place, bytes]]:
    tree, nodes = Frontier(), {}
    for number, leaf in enumerate(LEAVES[:size]):
        nodes[Place(0, number)] = leaf
        nodes.update(tree.append(leaf))
    return tree, nodes


def test_the_roots_are_those_that_other_logs_give() -> None:
    tree = Frontier()
    roots = [tree.root().hex()]
    for written in INPUTS:
        tree.append(leaf_hash(bytes.fromhex(written)))
        roots.append(tree.root().hex())
    assert roots == ROOTS


@given(SIZES)
def test_a_tree_that_grows_has_the_root_of_the_definition_and_can_be_gone_on_with(size: int) -> None:
    tree, nodes = grown(size)
    assert tree.root() == root(LEAVES[:size])
    assert frontier(size, nodes) == tree
    assert len(frontier_places(size)) == size.bit_count()
    # every inner node of a complete subtree was made exactly once
    assert len(nodes) == 2 * size - size.bit_count()


@given(st.data())
def test_an_inclusion_proof_is_that_of_the_definition_and_proves_this_leaf_alone(data: st.DataObject) -> None:
    size = data.draw(SIZES)
    index = data.draw(st.integers(0, size - 1))
    _, nodes = grown(size)
    ranges = inclusion_ranges(index, size)
    proof = proof_from(ranges, {place: nodes[place] for place in places_of(ranges)})

    assert proof == path(index, LEAVES[:size])
    assert includes(LEAVES[index], index, size, proof, root(LEAVES[:size]))
    whole = root(LEAVES[:size])
    for other in range(size):
        if other != index:
            assert not includes(LEAVES[other], index, size, proof, whole)
            assert not includes(LEAVES[index], other, size, proof, whole)
    assert not includes(LEAVES[index], index, size, [*proof, EMPTY], whole)
    assert not includes(LEAVES[index], index, size, proof, EMPTY)
    if proof:
        assert not includes(LEAVES[index], index, size, proof[:-1], whole)


@given(st.data())
def test_a_consistency_proof_is_that_of_the_definition_and_proves_these_two_alone(data: st.DataObject) -> None:
    second = data.draw(SIZES)
    first = data.draw(st.integers(1, second))
    _, nodes = grown(second)
    ranges = consistency_ranges(first, second)
    proof = proof_from(ranges, {place: nodes[place] for place in places_of(ranges)})
    old, new = root(LEAVES[:first]), root(LEAVES[:second])

    assert proof == subproof(first, LEAVES[:second], known=True)
    assert goes_on(first, old, second, new, proof)
    assert not goes_on(first, EMPTY, second, new, proof)
    assert not goes_on(first, old, second, EMPTY, proof)
    assert not goes_on(first, old, second, new, [*proof, EMPTY])
    if first < second:
        assert not goes_on(first, old, second, new, proof[:-1])
        rewritten = root([LEAVES[79], *LEAVES[1:second]])
        assert not goes_on(first, old, second, rewritten, proof)


def test_any_tree_goes_on_from_the_empty_one_and_from_itself() -> None:
    assert goes_on(0, EMPTY, 5, root(LEAVES[:5]), [])
    assert not goes_on(0, LEAVES[0], 5, root(LEAVES[:5]), [])
    assert goes_on(5, root(LEAVES[:5]), 5, root(LEAVES[:5]), [])
    assert not goes_on(5, root(LEAVES[:5]), 4, root(LEAVES[:4]), [])


@given(st.integers(0, 40), st.integers(0, 1 << 40))
def test_a_place_and_its_number_name_each_other(level: int, nth: int) -> None:
    assert Place.of_number(Place(level, nth).number) == Place(level, nth)


def test_the_numbers_of_a_complete_tree_are_all_numbers_once() -> None:
    places = [Place(level, nth) for level in range(6) for nth in range(32 >> level)]
    assert sorted(place.number for place in places) == list(range(63))


@pytest.mark.parametrize(("index", "size"), [(0, 0), (3, 3), (-1, 2)])
def test_there_is_no_proof_for_a_leaf_that_is_not_there(index: int, size: int) -> None:
    with pytest.raises(ValueError, match="no leaf"):
        inclusion_ranges(index, size)
    assert not includes(LEAVES[0], index, size, [], LEAVES[0])


def test_no_tree_goes_on_from_a_larger_one() -> None:
    with pytest.raises(ValueError, match="does not go on"):
        consistency_ranges(3, 2)
