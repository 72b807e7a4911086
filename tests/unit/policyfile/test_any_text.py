"""Properties of the reader: whatever the text, there is a policy or a list of problems, and never anything else."""

from __future__ import annotations

import yaml
from hypothesis import given
from hypothesis import strategies as st

from lockgate.adapters.policyfile import PolicyFileError, builtin_text, explain, parse_policy, starter_text
from lockgate.adapters.policyfile.reading import _KEYS
from lockgate.adapters.policyfile.stagerules import GOVERNANCE, REQUIREMENTS

OTHERS = (
    "Staging Production requires alias min_accuracy * serve workers timeout staging production stage port at_least "
    "roles approvals sample"
)
KEYS = st.sampled_from([*_KEYS, *GOVERNANCE, *REQUIREMENTS, *OTHERS.split()])
LEAVES = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(),
    st.floats(),
    st.text(max_size=8),
    st.sampled_from(["enforce", "Staging", "24h", "0.5h", "load_test", "unit", "auto", "off", "oldest"]),
    st.dates(),
)
TREES = st.recursive(
    LEAVES,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(KEYS | st.text(max_size=6), inner, max_size=5),
    max_leaves=25,
)


def read(text: str) -> None:
    problems = None
    try:
        assert explain(parse_policy(text), "iris")
    except PolicyFileError as refused:
        problems = refused.problems
    if problems is not None:
        lines = len(text.splitlines()) + 1
        assert problems
        assert all(1 <= problem.line <= lines for problem in problems)


@given(st.text())
def test_any_text_gives_a_policy_or_its_problems(text: str) -> None:
    read(text)


@given(TREES)
def test_any_yaml_gives_a_policy_or_its_problems(tree: object) -> None:
    read(yaml.safe_dump(tree, allow_unicode=True))


@given(st.sampled_from([builtin_text(), starter_text()]), st.data())
def test_a_policy_with_a_slip_in_it_gives_a_policy_or_its_problems(text: str, data: st.DataObject) -> None:
    at = data.draw(st.integers(0, len(text)))
    cut = data.draw(st.integers(0, 12))
    slip = data.draw(st.text("abx:-&*!{}[]'\"\n\t #0.9,", max_size=4))
    read(text[:at] + slip + text[at + cut :])
