"""The Merkle tree of RFC 9162 (and, for what is built here, RFC 6962): hashes, proofs and their verification.

Only hashes come in and go out. Where nodes are kept is somebody else's business: a proof is planned as ranges of
leaves, the nodes that cover them are looked up, and the proof is put together from those.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

HASH_BYTES = 32
EMPTY = hashlib.sha256().digest()


class Place(NamedTuple):
    """A complete subtree: it covers the leaves from `nth << level` on, `1 << level` of them. A leaf has level 0."""

    level: int
    nth: int

    @property
    def number(self) -> int:
        """One number for each place: walking through the tree from left to right it grows. That of a leaf is even."""
        return ((2 * self.nth + 1) << self.level) - 1

    @classmethod
    def of_number(cls, number: int) -> Place:
        """The place that has this number."""
        level = (~number & (number + 1)).bit_length() - 1
        return cls(level, number >> (level + 1))


Range = tuple[int, int]
Nodes = Mapping[Place, bytes]


def leaf_hash(entry: bytes) -> bytes:
    """The hash of a leaf: SHA-256 of 0x00 and the entry (RFC 9162, 2.1.1)."""
    return hashlib.sha256(b"\x00" + entry).digest()


def node_hash(left: bytes, right: bytes) -> bytes:
    """The hash of an inner node: SHA-256 of 0x01 and both children's hashes (RFC 9162, 2.1.1)."""
    return hashlib.sha256(b"\x01" + left + right).digest()


@dataclass(slots=True)
class Frontier:
    """A tree that only grows, known by the roots of its complete subtrees, the largest first: O(log n) hashes.

    It is the stack of RFC 9162, 2.1.2.
    """

    size: int = 0
    roots: list[bytes] = field(default_factory=list)

    def append(self, leaf: bytes) -> list[tuple[Place, bytes]]:
        """Add a leaf by its hash; the nodes above it that are complete now, from the lowest up."""
        made = []
        level, index, top = 0, self.size, leaf
        while index & 1:
            top = node_hash(self.roots.pop(), top)
            level, index = level + 1, index >> 1
            made.append((Place(level, index), top))
        self.roots.append(top)
        self.size += 1
        return made

    def root(self) -> bytes:
        """The hash of the whole tree (RFC 9162, 2.1.1)."""
        return _fold(self.roots)

    def copy(self) -> Frontier:
        """The same tree, to be grown another way."""
        return Frontier(self.size, list(self.roots))


def frontier_places(size: int) -> list[Place]:
    """The subtrees whose roots make the frontier of a tree of that size, the largest first."""
    return list(_cover((0, size)))


def frontier(size: int, nodes: Nodes) -> Frontier:
    """The tree of that size, from the nodes at `frontier_places`. Raises KeyError when one is missing."""
    return Frontier(size, [nodes[place] for place in frontier_places(size)])


# --- proofs -----------------------------------------------------------------------------------------------------------


def inclusion_ranges(index: int, size: int) -> list[Range]:
    """The ranges of leaves whose hashes prove that leaf `index` is in the tree of `size` (RFC 9162, 2.1.3.1).

    Raises ValueError when there is no such leaf.
    """
    if not 0 <= index < size:
        raise ValueError(f"a tree of {size} has no leaf {index}")
    begin, end, found = 0, size, []
    while end - begin > 1:
        middle = begin + _half(end - begin)
        if index < middle:
            found.append((middle, end))
            end = middle
        else:
            found.append((begin, middle))
            begin = middle
    return found[::-1]


def consistency_ranges(first: int, second: int) -> list[Range]:
    """The ranges of leaves whose hashes prove that the tree of `second` goes on from that of `first` (2.1.4.1).

    Nothing needs proof when the first is empty or both are the same. Raises ValueError unless 0 <= first <= second.
    """
    if not 0 <= first <= second:
        raise ValueError(f"a tree of {second} does not go on from one of {first}")
    if first in (0, second):
        return []
    begin, end, found = 0, second, []
    # `first` is the end of what both have; as long as a whole left part is in both, it is the verifier's already
    while first != end:
        middle = begin + _half(end - begin)
        if first <= middle:
            found.append((middle, end))
            end = middle
        else:
            found.append((begin, middle))
            begin = middle
    if begin:
        found.append((begin, end))
    return found[::-1]


def places_of(ranges: Iterable[Range]) -> set[Place]:
    """The complete subtrees that cover these ranges: O(log n) for those of one proof."""
    return {place for each in ranges for place in _cover(each)}


def proof_from(ranges: Iterable[Range], nodes: Nodes) -> list[bytes]:
    """The proof for these ranges. Raises KeyError when a node of `places_of` is missing."""
    return [_fold([nodes[place] for place in _cover(each)]) for each in ranges]


def includes(leaf: bytes, index: int, size: int, proof: Sequence[bytes], root: bytes) -> bool:
    """Whether the proof shows that this leaf has this index in the tree of this size and root (RFC 9162, 2.1.3.2)."""
    if not 0 <= index < size:
        return False
    node, last, top = index, size - 1, leaf
    for sibling in proof:
        if last == 0:
            return False
        if node & 1 or node == last:
            top = node_hash(sibling, top)
            while not node & 1 and node:
                node, last = node >> 1, last >> 1
        else:
            top = node_hash(top, sibling)
        node, last = node >> 1, last >> 1
    return last == 0 and top == root


def goes_on(first: int, first_root: bytes, second: int, second_root: bytes, proof: Sequence[bytes]) -> bool:
    """Whether the proof shows that the second tree begins with all leaves of the first (RFC 9162, 2.1.4.2)."""
    if not 0 <= first <= second:
        return False
    if first == second:
        return not proof and first_root == second_root
    if first == 0:
        return not proof and first_root == EMPTY
    path = [first_root, *proof] if first & (first - 1) == 0 else list(proof)
    if not path:
        return False
    node, last = first - 1, second - 1
    while node & 1:
        node, last = node >> 1, last >> 1
    old = new = path[0]
    for sibling in path[1:]:
        if last == 0:
            return False
        if node & 1 or node == last:
            old, new = node_hash(sibling, old), node_hash(sibling, new)
            while not node & 1 and node:
                node, last = node >> 1, last >> 1
        else:
            new = node_hash(new, sibling)
        node, last = node >> 1, last >> 1
    return last == 0 and old == first_root and new == second_root


def _half(size: int) -> int:
    """The largest power of two that is smaller than `size`, which is 2 at least."""
    return 1 << ((size - 1).bit_length() - 1)


def _cover(leaves: Range) -> Iterator[Place]:
    """The complete subtrees of a range that begins where one of its size may begin, from left to right."""
    begin, end = leaves
    while begin < end:
        level = (end - begin).bit_length() - 1
        yield Place(level, begin >> level)
        begin += 1 << level


def _fold(roots: Sequence[bytes]) -> bytes:
    """The hash over complete subtrees that lie beside each other, the largest first."""
    if not roots:
        return EMPTY
    top = roots[-1]
    for left in roots[-2::-1]:
        top = node_hash(left, top)
    return top
