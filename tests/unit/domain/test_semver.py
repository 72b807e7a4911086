"""What is promised about semantic versions: how large a change of signature is, what it says, which number follows."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lockgate.domain.errors import BadInput
from lockgate.domain.semver import FIRST, SemanticVersion, Size, difference, proposed, size_of
from lockgate.domain.signature import (
    Field,
    Many,
    Record,
    Scalar,
    Signature,
    Tensor,
    Type,
    signature_from,
    signature_of,
    text_of,
)

ODD = "x\ny\0\ud800" + "z" * 200
NAMES = st.sampled_from(["age", "income", "größe", "a b", ODD, "'", "[]", ""])
SCALARS = st.sampled_from(["long", "double", "string", "boolean", ODD]).map(Scalar)
TENSORS = st.builds(
    Tensor, st.sampled_from(["float32", "int64", ODD]), st.lists(st.sampled_from([-1, 3]), max_size=3).map(tuple)
)


def _records(inner: st.SearchStrategy[Type]) -> st.SearchStrategy[Type]:
    fields = st.lists(st.builds(Field, NAMES, inner, st.booleans()), max_size=2, unique_by=lambda f: f.name)
    return fields.map(lambda found: Record(tuple(sorted(found, key=lambda f: f.name or ""))))


TYPES: st.SearchStrategy[Type] = st.recursive(
    SCALARS | TENSORS,
    lambda inner: st.builds(Many, st.sampled_from(["array", "map"]), inner) | _records(inner),
    max_leaves=3,
)
NAMED = st.lists(st.builds(Field, NAMES, TYPES, st.booleans()), max_size=3, unique_by=lambda f: f.name).map(tuple)
PLACED = st.lists(st.builds(Field, st.none(), TYPES, st.booleans()), min_size=1, max_size=3).map(tuple)
PARAMS = st.lists(
    st.builds(Field, NAMES, SCALARS, st.just(value=False), st.sampled_from(["0.5", "1"])),
    max_size=2,
    unique_by=lambda f: f.name,
).map(lambda found: tuple(sorted(found, key=lambda f: f.name or "")))
PART = st.none() | NAMED | PLACED
SIGNATURES = st.builds(Signature, PART, PART, PARAMS)
VERSIONS = st.builds(SemanticVersion, *[st.integers(0, 999_999_998)] * 3)


def size(old: Signature | None, new: Signature | None) -> Size:
    return size_of(difference(old, new))


def signature(inputs: list[Any] | None = None, outputs: list[Any] | None = None, **params: Any) -> Signature | None:
    told = [{"name": name, "default": value, "shape": None, "type": "double"} for name, value in params.items()]
    parts = {"inputs": inputs, "outputs": outputs, "params": told or None}
    return signature_of({part: None if found is None else json.dumps(found) for part, found in parts.items()})


def column(name: str, of: str = "long", **more: Any) -> dict[str, Any]:
    return {"name": name, "type": of, "required": True, **more}


def told(old: Signature | None, new: Signature | None) -> list[str]:
    return [f"{change.size.word}: {change}" for change in difference(old, new)]


# --- how large a change is --------------------------------------------------------------------------------------------


@given(SIGNATURES)
def test_the_same_signature_is_no_change(one: Signature) -> None:
    assert difference(one, one) == ()
    assert size(one, one) is Size.PATCH


@given(SIGNATURES, SIGNATURES)
def test_to_take_back_a_minor_change_is_major(old: Signature, new: Signature) -> None:
    if size(old, new) is Size.MINOR:
        assert size(new, old) is Size.MAJOR


@given(SIGNATURES, SIGNATURES, SIGNATURES)
def test_two_changes_are_together_no_larger_than_the_larger_of_them(
    one: Signature, two: Signature, three: Signature
) -> None:
    assert size(one, three) <= max(size(one, two), size(two, three))


@given(SIGNATURES, SIGNATURES, SIGNATURES)
def test_what_was_added_by_a_minor_change_is_not_lost_by_another_that_is_none_larger(
    one: Signature, two: Signature, three: Signature
) -> None:
    steps = (size(one, two), size(two, three))
    if Size.MAJOR not in steps and Size.MINOR in steps:
        assert size(one, three) is Size.MINOR


@given(NAMED, PART, PARAMS, st.builds(Field, st.just("new"), TYPES, st.just(value=False)))
def test_another_optional_column_is_minor(
    inputs: tuple[Field, ...], outputs: tuple[Field, ...] | None, params: tuple[Field, ...], new: Field
) -> None:
    old = Signature(inputs, outputs, params)

    assert size(old, replace(old, inputs=(*inputs, new))) is Size.MINOR
    assert size(old, replace(old, inputs=(*inputs, replace(new, required=True)))) is Size.MAJOR


@given(NAMED, st.builds(Field, st.just("new"), TYPES, st.booleans()))
def test_another_output_is_minor_whether_it_is_always_there_or_not(outputs: tuple[Field, ...], new: Field) -> None:
    old = Signature(None, outputs)

    assert size(old, replace(old, outputs=(*outputs, new))) is Size.MINOR


@given(SIGNATURES, st.randoms())
def test_the_order_of_columns_that_have_names_does_not_matter(one: Signature, random: Any) -> None:
    def shuffled(fields: tuple[Field, ...] | None) -> tuple[Field, ...] | None:
        if fields is None or any(field.name is None for field in fields):
            return fields
        return tuple(random.sample(fields, len(fields)))

    assert difference(one, replace(one, inputs=shuffled(one.inputs), outputs=shuffled(one.outputs))) == ()


@given(SIGNATURES, SIGNATURES)
def test_a_change_is_told_on_one_line_each_the_largest_first(old: Signature, new: Signature) -> None:
    changes = difference(old, new)

    assert all(change.told.isprintable() and change.told.encode() for change in changes)
    assert [change.size for change in changes] == sorted((change.size for change in changes), reverse=True)
    assert bool(changes) or _same(old, new)


def _same(old: Signature, new: Signature) -> bool:
    """Equal but for the order of what has names."""

    def plain(fields: tuple[Field, ...] | None) -> Any:
        named = fields is not None and None not in {field.name for field in fields}
        return sorted(fields or (), key=lambda field: field.name or "") if named else fields

    return (plain(old.inputs), plain(old.outputs), old.params) == (plain(new.inputs), plain(new.outputs), new.params)


# --- what it says -----------------------------------------------------------------------------------------------------


def test_each_change_is_told_in_words() -> None:
    old = signature(
        [column("age"), column("zip"), column("city", "string"), column("note", "string", required=False)],
        [{"type": "tensor", "tensor-spec": {"dtype": "int64", "shape": [-1]}}],
        temperature=0.5,
    )
    new = signature(
        [
            column("age", "double"),
            column("town", "string"),
            column("note", "string"),
            column("hint", "string", required=False),
        ],
        [{"type": "tensor", "tensor-spec": {"dtype": "int64", "shape": [-1, 2]}}],
        temperature=0.7,
        top_k=5,
    )

    assert told(old, new) == [
        "major: input removed: zip (long)",
        "major: input removed: city (string)",
        "major: new required input: town (string)",
        "major: input age: long -> double",
        "major: input note is required now",
        "major: output: tensor int64 [-1] -> tensor int64 [-1, 2]",
        "minor: new optional input: hint (string)",
        "minor: new parameter: top_k (double)",
        "patch: parameter temperature: default 0.5 -> 0.7",
    ]


def test_one_input_that_goes_and_one_like_it_that_comes_are_told_as_renamed() -> None:
    old, new = (
        signature([column("age"), column("zip", "string")]),
        signature([column("years"), column("zip", "string")]),
    )

    assert told(old, new) == ["major: input renamed: age -> years (long)"]


def test_what_changes_inside_an_object_is_named_by_its_path() -> None:
    def deep(of: str, **more: Any) -> Signature | None:
        inner = {"type": "object", "properties": {"amount": {"type": of}, **more}}
        return signature([{"name": "orders", "type": "array", "items": inner}])

    assert told(deep("long"), deep("double")) == ["major: input orders[].amount: long -> double"]
    optional = {"type": "string", "required": False}
    assert told(deep("long"), deep("long", note=optional)) == ["minor: new optional input: orders[].note (string)"]


def test_outputs_without_names_are_told_by_their_places() -> None:
    one, two = signature(None, [{"type": "long"}]), signature(None, [{"type": "long"}, {"type": "double"}])

    assert told(one, two) == ["major: new output: 2 (double)"]
    assert told(two, one) == ["major: output removed: 2 (double)"]
    assert told(one, signature(None, [{"type": "string"}])) == ["major: output: long -> string"]
    assert told(one, signature(None, [column("label")])) == ["major: the outputs are told by names now"]


def test_a_signature_that_comes_or_goes_is_major_and_none_on_both_sides_is_nothing() -> None:
    stated = signature([column("age")], [{"type": "long"}])

    assert size(None, stated) is size(stated, None) is Size.MAJOR
    assert size(signature([column("age")]), stated) is Size.MINOR
    assert difference(None, None) == difference(None, Signature()) == ()


# --- numbers ----------------------------------------------------------------------------------------------------------


@given(VERSIONS, SIGNATURES, SIGNATURES)
def test_a_proposed_number_is_later_than_the_one_before_it(
    before: SemanticVersion, old: Signature, new: Signature
) -> None:
    after = proposed(before, difference(old, new))

    assert after > before
    assert SemanticVersion.parse(str(after)) == after


def test_the_first_version_is_1_0_0_and_each_size_moves_its_part() -> None:
    two = SemanticVersion.parse("2.3.4")

    assert proposed(None, ()) == FIRST == SemanticVersion(1, 0, 0)
    assert [str(two.after(each)) for each in Size] == ["2.3.5", "2.4.0", "3.0.0"]
    assert SemanticVersion(1, 10, 0) > SemanticVersion(1, 9, 99)


@pytest.mark.parametrize(
    "written",
    ["", "1", "1.2", "v1.2.3", "1.2.3.4", "01.2.3", "1.2.3-rc1", " 1.2.3", "1.2.3\n", "1.2.-3", "1.2.1e3", None],
)
def test_what_is_no_semantic_version_is_refused_with_the_form(written: object) -> None:
    with pytest.raises(BadInput, match=r"MAJOR\.MINOR\.PATCH"):
        SemanticVersion.parse(written)


# --- reading what MLflow writes ---------------------------------------------------------------------------------------


@given(SIGNATURES)
def test_a_signature_is_read_back_from_the_text_that_is_kept_of_it(one: Signature) -> None:
    plain = {
        "inputs": None if one.inputs is None else [_plain(field) for field in one.inputs],
        "outputs": None if one.outputs is None else [_plain(field) for field in one.outputs],
        "params": [_param(field) for field in one.params] or None,
    }
    read = signature_of(plain)

    assert read == (None if one.is_empty else one)
    assert signature_from(text_of(plain)) == read


def _plain(field: Field) -> dict[str, Any]:
    name = {} if field.name is None else {"name": field.name}
    return {**name, **_plain_type(field.type), "required": field.required}


def _plain_type(of: Type) -> dict[str, Any]:
    match of:
        case Scalar(name):
            return {"type": name}
        case Tensor(dtype, shape):
            return {"type": "tensor", "tensor-spec": {"dtype": dtype, "shape": list(shape)}}
        case Many(kind, inner):
            return {"type": kind, "items" if kind == "array" else "values": _plain_type(inner)}
        case Record(fields):
            return {"type": "object", "properties": {str(f.name): _plain(replace(f, name=None)) for f in fields}}


def _param(field: Field) -> dict[str, Any]:
    return {"name": field.name, **_plain_type(field.type), "default": json.loads(field.default), "shape": None}


def test_what_older_releases_called_optional_is_not_required() -> None:
    old = signature([{"name": "a", "type": "long", "optional": True}])

    assert old == signature([{"name": "a", "type": "long", "required": False}])


def test_a_type_that_is_not_known_here_is_compared_as_a_whole() -> None:
    one = signature([{"name": "a", "type": "sparse", "items": 3}])

    assert told(one, signature([{"name": "a", "type": "sparse", "items": 4}])) == [
        'major: input a: sparse {"items": 3} -> sparse {"items": 4}'
    ]


@pytest.mark.parametrize(
    "plain",
    [
        [],
        "text",
        {"inputs": "{"},
        {"inputs": '{"a": 1}'},
        {"inputs": "[1]"},
        {"inputs": '[{"name": "a"}]'},
        {"inputs": '[{"name": 1, "type": "long"}]'},
        {"inputs": '[{"type": "tensor"}]'},
        {"inputs": '[{"type": "tensor", "tensor-spec": {"dtype": "float32", "shape": [1.5]}}]'},
        {"params": '[{"type": "double"}]'},
        {"inputs": "[" * 100_000},
        {"inputs": "[" + '{"type": "array", "items": ' * 40 + '{"type": "long"}' + "}" * 40 + "]"},
        {"inputs": [{"type": "long"}] * 200_001},
    ],
)
def test_what_is_no_signature_is_refused(plain: object) -> None:
    with pytest.raises(BadInput, match="none that MLflow writes"):
        signature_of(plain)
