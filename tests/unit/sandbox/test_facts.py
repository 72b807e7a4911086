"""What is read from a model's files without running any of its code."""

from __future__ import annotations

from importlib import metadata
from pathlib import Path

import pytest

from lockgate.domain.validation import Library, ModelFacts
from lockgate.worker.examine_facts import Unexaminable, facts_of, missing

SKLEARN = metadata.version("scikit-learn")


def write(folder: Path, mlmodel: str, requirements: str | None = None) -> Path:
    (folder / "MLmodel").write_text(mlmodel)
    if requirements is not None:
        (folder / "requirements.txt").write_text(requirements)
    return folder


def test_the_version_a_flavor_was_logged_with_is_compared_with_the_one_that_is_installed(tmp_path: Path) -> None:
    same = write(tmp_path, f"flavors:\n  python_function: {{}}\n  sklearn: {{sklearn_version: {SKLEARN}}}\n")
    (now,) = facts_of(same, None).libraries
    older = write(tmp_path, "flavors:\n  python_function: {}\n  sklearn: {sklearn_version: 0.24.1}\n")
    (then,) = facts_of(older, None).libraries

    assert now == Library("scikit-learn", SKLEARN, SKLEARN)
    assert now.matches
    assert then == Library("scikit-learn", "0.24.1", SKLEARN)
    assert not then.matches


def test_pins_of_the_flavors_own_packages_count_and_other_requirements_do_not(tmp_path: Path) -> None:
    folder = write(
        tmp_path,
        "flavors: {python_function: {}, onnx: {onnx_version: 0.0.1}}\n",
        "# made by MLflow\nmlflow==3.17.2\npytest==1.0\nOnnxRuntime[gpu] == 0.0.2 ; python_version > '3'\nnumpy>=1\n",
    )

    told = [(library.name, library.logged, library.matches) for library in facts_of(folder, None).libraries]
    assert told == [("onnx", "0.0.1", False), ("onnxruntime", "0.0.2", False)]


@pytest.mark.parametrize(
    ("mlmodel", "sample", "has_signature", "inputs"),
    [
        ("flavors: {python_function: {}}\n", None, False, None),
        ("flavors: {python_function: {}}\nsignature: null\n", "sample.csv", False, "sample"),
        (
            "flavors: {python_function: {}}\nsignature: {inputs: '[]'}\nsaved_input_example_info: {type: dataframe}\n",
            "sample.csv",
            True,
            "input_example",
        ),
    ],
)
def test_signature_and_source_of_the_rows_are_read_from_the_files(
    tmp_path: Path, mlmodel: str, sample: str | None, has_signature: bool, inputs: str | None
) -> None:
    facts = facts_of(write(tmp_path, mlmodel), sample)

    assert (facts.has_signature, facts.inputs) == (has_signature, inputs)


def test_missing_libraries_are_told_with_one_pip_command() -> None:
    one = ModelFacts(True, (Library("lightgbm", "4.5.0", None), Library("scikit-learn", "1", "1")), None)
    two = ModelFacts(True, (Library("lightgbm", "4.5.0", None), Library("xgboost", "3.0", None)), None)

    assert missing(one) == "the model needs lightgbm 4.5.0, which is not installed here: pip install 'lightgbm==4.5.0'"
    assert missing(two).endswith("which are not installed here: pip install 'lightgbm==4.5.0' 'xgboost==3.0'")
    assert missing(ModelFacts(True, (Library("x", "1", "2"),), None)) == ""


@pytest.mark.parametrize(
    "content", [b"\xff\xfe", b"- a\n- b\n", b"flavors: 3\n", b"", b"flavors: {sklearn: {}}\n", b"a: b: c"]
)
def test_a_file_that_describes_no_model_is_refused(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "MLmodel").write_bytes(content)

    with pytest.raises(Unexaminable):
        facts_of(tmp_path, None)
