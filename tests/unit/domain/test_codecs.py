"""The quick JSON library and the standard one say the same of every text the record can hold."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from lockgate.adapters.keys.ed25519 import check
from lockgate.domain.canonical import STANDARD, Plain, canonical
from lockgate.domain.verification import Verification
from lockgate.wiring import fast_json
from tests.unit.domain.exports import Story

TEXTS = st.text(alphabet=st.characters(exclude_categories=["Cs"]))
VALUES: st.SearchStrategy[Plain] = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**63), 2**63 - 1) | TEXTS,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(TEXTS, inner, max_size=4),
    max_leaves=12,
)


@given(VALUES)
def test_both_write_the_canonical_form_and_read_it_back(value: Plain) -> None:
    written = canonical(value)
    for codec in (STANDARD, fast_json()):
        assert codec.write(value) == written
        assert codec.read(written) == value


@given(TEXTS, TEXTS)
def test_names_and_reasons_of_any_letters_are_exported_and_checked(name: str, reason: str) -> None:
    told = Story()
    told.write("act:a", "iris", {"name": name, name: reason})
    told.sign()
    for codec in (STANDARD, fast_json()):
        checking = Verification(check, (told.key,), None, codec)
        for line in told.lines():
            checking.take(line)
        assert checking.finish().holds
