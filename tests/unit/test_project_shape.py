"""The shape that the project promises to keep: small files, small functions, honest names, no private addresses."""

from __future__ import annotations

import ast
import re
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
SOURCES = sorted((ROOT / "src").rglob("*.py"))

MOST_LINES_IN_A_FILE = 600
MOST_LINES_IN_A_FUNCTION = 80
NAMES_THAT_SAY_NOTHING = {"base", "common", "helper", "helpers", "manager", "misc", "util", "utils"}

# each is written in two pieces, so that this file does not find itself
ADDRESSES = re.compile(
    "|".join(
        (
            r"python" r"hosted\.org",
            r"py" r"pi\.org/simple",
            r"registry\.npm" r"js\.org",
            r"deb\.deb" r"ian\.org",
            r"--(?:extra-)?index" r"-url[ =]+\S*:/",
            r"--find" r"-links[ =]+\S",
            r"/(?:work|farm)/(?:main|steering|shared|in|\.library)\b",
            r"/opt/(?:wheels|py" r"pi)",
            r"/(?:home|Users)/(?!you\b|alice\b)[a-z]+/",
            r"/tmp/" r"lg\b",
        )
    )
)


def test_no_source_file_is_longer_than_600_lines() -> None:
    lengths = {_name(path): len(path.read_text(encoding="utf-8").splitlines()) for path in SOURCES}

    assert {name: lines for name, lines in lengths.items() if lines > MOST_LINES_IN_A_FILE} == {}


def test_no_function_is_longer_than_80_lines() -> None:
    lengths = {name: lines for path in SOURCES for name, lines in _functions(path)}

    assert lengths, "the sources hold no function at all: this test looks at the wrong place"
    assert {name: lines for name, lines in lengths.items() if lines > MOST_LINES_IN_A_FUNCTION} == {}


def test_no_module_has_a_name_that_says_nothing() -> None:
    names = {_name(path): path.parent.name if path.name == "__init__.py" else path.stem for path in SOURCES}

    assert [where for where, name in names.items() if name in NAMES_THAT_SAY_NOTHING] == []


def test_every_package_and_module_opens_with_a_docstring() -> None:
    silent = [_name(path) for path in SOURCES if not ast.get_docstring(ast.parse(path.read_text(encoding="utf-8")))]

    assert silent == []


def test_no_tracked_file_names_a_registry_or_a_place_on_somebodys_machine() -> None:
    found = [
        f"{_name(path)}:{number}: {line.strip()[:120]}"
        for path in _tracked_files()
        for number, line in enumerate(path.read_text(encoding="utf-8", errors="ignore").splitlines(), start=1)
        if ADDRESSES.search(line)
    ]

    assert found == []


@pytest.mark.parametrize("lock", ["runtime", "dev"])
def test_a_lock_pins_every_library_with_a_hash_and_holds_no_address(lock: str) -> None:
    text = (ROOT / "requirements" / f"{lock}.txt").read_text(encoding="utf-8")
    requirements = [
        part for part in text.replace("\\\n", " ").splitlines() if part and not part.lstrip().startswith("#")
    ]

    assert requirements
    assert [line for line in requirements if "==" not in line or "--hash=sha256:" not in line] == []
    assert [line for line in requirements if "://" in line or line.startswith("-")] == []


def _name(path: Path) -> str:
    return path.relative_to(ROOT).as_posix()


def _functions(path: Path) -> Iterator[tuple[str, int]]:
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            assert node.end_lineno is not None
            yield f"{_name(path)}:{node.lineno} {node.name}", node.end_lineno - node.lineno + 1


def _tracked_files() -> list[Path]:
    listed = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, check=True, capture_output=True, text=True).stdout
    files = [ROOT / name for name in listed.split("\0") if name]
    assert files, "git lists no file: this test must run in a checkout"
    return [path for path in files if path.is_file()]
