"""What is read of an MLmodel, and what is refused: it is somebody else's file, and may be anything."""

from __future__ import annotations

import hashlib

import pytest

from lockgate.adapters.artifacts import mlmodel
from lockgate.domain.errors import Unreadable

WRITTEN = b"""artifact_path: model
flavors:
  sklearn: {code: null, pickled_model: model.pkl}
  python_function:
    env: [conda.yaml, python_env.yaml]
signature:
  inputs: '[{"type": "double", "name": "gr\xc3\xb6\xc3\x9fe", "required": true}]'
  outputs: "[{\\"type\\": \\"long\\", \\"required\\": true}]"
  params: null
utc_time_created: '2026-03-01 12:00:00'
"""


def test_the_signature_is_read_as_mlflow_writes_it_with_the_digest_of_the_file() -> None:
    found = mlmodel.read(WRITTEN, "here")

    assert found.signature == {
        "inputs": '[{"type": "double", "name": "größe", "required": true}]',
        "outputs": '[{"type": "long", "required": true}]',
        "params": None,
    }
    assert found.sha256 == f"sha256:{hashlib.sha256(WRITTEN).hexdigest()}"


@pytest.mark.parametrize("raw", [b"flavors: {}", b"signature: null\nflavors: {}", b"{'signature': ~}", b"a: 1\n"])
def test_a_file_without_a_signature_has_none(raw: bytes) -> None:
    assert mlmodel.read(raw, "here").signature is None


@pytest.mark.parametrize(
    ("raw", "says"),
    [
        (b"", "it is no map"),
        (b"[1, 2]", "it is no map"),
        (b"just text", "it is no map"),
        (b"signature: text", "signature is no map"),
        (b"signature: [1]", "signature is no map"),
        (b"signature: {inputs: [1]}", "no map of texts"),
        (b"signature: {inputs: a, inputs: b}", "no map of texts"),
        (b"signature: {[1]: a}", "no map of texts"),
        (b"x: &s {inputs: a}\nsignature: *s", "signature is no map"),
        (b"x: &s {signature: {}}\n<<: *s", "refers to a part of itself"),
        (b"signature: {}\nsignature: {}", "two signatures"),
        (b"--- {a: 1}\n--- {b: 2}", "more than one document"),
        (b"a: {b", "no YAML"),
        (b"\x00", "no YAML"),
        (b"\xff\xff\xff", "no YAML"),
        (b"a: " + b"[" * 200_000, "more than 50 levels deep"),
        (b"a: " + b"{a: " * 200_000, "more than 50 levels deep"),
        (b"a: [" + b"x," * 200_000 + b"]", "more than 100,000 parts"),
        (b"signature:\n" + b"- " * 200_000, "signature is no map"),
        (b"!!python/object/apply:os.system [x]", "it is no map"),
    ],
)
def test_what_mlflow_would_not_write_is_refused_with_the_reason(raw: bytes, says: str) -> None:
    with pytest.raises(Unreadable, match=says):
        mlmodel.read(raw, "here")


def test_a_file_that_grows_when_it_is_built_is_not_built() -> None:
    bomb = [b"a0: &a0 {x: 1}"] + [f"a{n}: &a{n} {{<<: [*a{n - 1}, *a{n - 1}]}}".encode() for n in range(1, 60)]

    assert mlmodel.read(b"\n".join(bomb), "here").signature is None
