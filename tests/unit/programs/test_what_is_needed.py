"""What another interpreter is asked for is what our programs import."""

from __future__ import annotations

import ast
import sys
from collections.abc import Iterator
from pathlib import Path

import lockgate
from lockgate.adapters.programs.interpreters import NEEDED
from lockgate.adapters.programs.surroundings import import_path, scrubbed

SOURCE = Path(lockgate.__file__).parents[1]
BROUGHT_BY_MLFLOW = {"numpy", "pandas"}


def file_of(module: str) -> Path | None:
    path = SOURCE.joinpath(*module.split("."))
    return next((found for found in (path.with_suffix(".py"), path / "__init__.py") if found.is_file()), None)


def statements(body: list[ast.stmt]) -> Iterator[ast.stmt]:
    """Those that run when the module is imported."""
    for statement in body:
        if isinstance(statement, ast.If) and "TYPE_CHECKING" in ast.unparse(statement.test):
            continue
        yield statement


def imported(module: str) -> Iterator[str]:
    path = file_of(module)
    assert path is not None
    for statement in statements(ast.parse(path.read_text()).body):
        if isinstance(statement, ast.Import):
            yield from (alias.name for alias in statement.names)
        elif isinstance(statement, ast.ImportFrom) and statement.module:
            yield statement.module
            yield from (f"{statement.module}.{alias.name}" for alias in statement.names)


def test_every_library_that_a_worker_imports_is_asked_for() -> None:
    waiting = ["lockgate.worker.__main__", "lockgate.worker.program", "lockgate.worker.examine"]
    seen: set[str] = set()
    libraries: set[str] = set()
    while waiting:
        module = waiting.pop()
        if module in seen:
            continue
        seen.add(module)
        for name in imported(module):
            root = name.partition(".")[0]
            if root == "lockgate":
                if file_of(name) is not None:
                    waiting.append(name)
            elif root not in sys.stdlib_module_names:
                libraries.add(root)

    assert "lockgate.worker.http.connection" in seen or "lockgate.worker.http" in seen
    assert libraries - BROUGHT_BY_MLFLOW <= set(NEEDED)


def test_a_program_sees_what_it_needs_of_the_environment_and_nothing_else(tmp_path: Path) -> None:
    told = {
        "PATH": "/usr/bin",
        "LC_ALL": "C.UTF-8",
        "LOCKGATE_DATABASE": "postgresql://user:secret@host/db",
        "AWS_SECRET_ACCESS_KEY": "secret",
        "HOME": "/root",
        "PYTHONPATH": "/some/where:relative",
    }

    seen = scrubbed(told, tmp_path)

    assert (seen["PATH"], seen["LC_ALL"], seen["HOME"], seen["TMPDIR"]) == (
        "/usr/bin", "C.UTF-8", str(tmp_path), str(tmp_path),
    )  # fmt: skip
    assert "secret" not in str(seen)
    assert seen["PYTHONPATH"].split(":") == [str(SOURCE), "/some/where", str(Path("relative").absolute())]
    assert scrubbed(told, tmp_path, tmp_path / "source")["PYTHONPATH"] == str(tmp_path / "source")
    assert seen["OMP_NUM_THREADS"] == "1"


def test_an_empty_python_path_is_no_entry() -> None:
    assert import_path({"PYTHONPATH": ""}) == [str(SOURCE)]
