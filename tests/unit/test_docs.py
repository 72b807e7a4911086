"""The reference is complete: every audit action, error, command and setting has its line, and no line outlives it."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import click
import pytest

from lockgate.cli import outcome
from lockgate.cli.main import cli
from lockgate.config import PREFIX, Settings
from lockgate.domain import errors
from lockgate.domain.promotion import OVER
from lockgate.domain.validation import ValidationState
from lockgate.domain.webhooks import ACTIONS
from lockgate.server.problems import TABLE

ROOT = Path(__file__).resolve().parents[2]
SOURCE = ROOT / "src" / "lockgate"
DOCS = ROOT / "docs"
REFERENCE = DOCS / "reference"

ACTION = re.compile(r"[a-z]+:[a-z]+(-[a-z]+)*")
# an action that is put together when it is written, and what it can become
PUT_TOGETHER = {
    "promotion:{}": [f"promotion:{state}" for state in OVER],
    "validation:{}": [f"validation:{state}" for state in ValidationState if state.is_over],
    "{}:tagged": ["model:tagged", "version:tagged"],
    "{}:untagged": ["model:untagged", "version:untagged"],
}
LINK = re.compile(r"\[[^\]]*\]\((?!https?:)([^)#]+)(?:#[^)]*)?\)")
PLACE = re.compile(r"\[[^\]]*\]\((?!https?:)([^)#]*)#([^)]+)\)")
PAGES = sorted([*DOCS.rglob("*.md"), *ROOT.glob("*.md"), *ROOT.glob("changelog.d/*.md")])


def test_every_audit_action_has_a_line_and_every_line_an_action() -> None:
    rows = [row.split("|") for row in _text("events.md").splitlines() if row.startswith("| `")]
    told = {action for row in rows for action in re.findall(r"`([^`]+)`", row[1]) if ACTION.fullmatch(action)}
    written = set(_actions())

    assert "version:transitioned" in written, "no action was found in the sources: this test looks at the wrong place"
    assert written - told == set(), "no line in docs/reference/events.md"
    assert told - written == set(), "in docs/reference/events.md, and nobody writes it"


def test_a_webhook_can_hear_every_action_of_the_reference_and_no_other() -> None:
    heard = {f"{subject}:{deed}" for subject, deeds in ACTIONS.items() for deed in deeds}

    assert heard == set(_actions())


def test_every_error_has_a_line() -> None:
    text = _text("errors.md")
    missing = {name for name in _error_classes() if f"| `{name}` |" not in text}

    assert missing == set(), "no line in docs/reference/errors.md"


def test_the_lines_of_the_errors_tell_their_real_status_and_code() -> None:
    wrong = {}
    for error, (status, code) in TABLE.items():
        exit_code = outcome.EXIT_OF.get(error.__name__, outcome.REFUSED)
        expected = [str(status), f"`{code}`", str(exit_code)]
        if (seen := _cells("errors.md", error.__name__)[2:]) != expected:
            wrong[error.__name__] = (seen, expected)

    assert {error.__name__ for error in TABLE} == _error_classes("domain/errors.py")
    assert wrong == {}


def test_every_command_has_a_line() -> None:
    text = _text("commands.md")
    commands = list(_commands(cli, "lockgate"))

    assert "lockgate audit verify" in commands
    assert [command for command in commands if command not in text] == [], "not in docs/reference/commands.md"


def test_every_setting_has_a_line() -> None:
    text = _text("settings.md")

    assert [name for name in Settings.model_fields if f"{PREFIX}{name.upper()}" not in text] == []


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_every_link_between_pages_leads_somewhere(page: Path) -> None:
    text = page.read_text(encoding="utf-8")
    # a fragment becomes a part of CHANGELOG.md
    place = ROOT if page.parent.name == "changelog.d" else page.parent
    nowhere = [link for link in LINK.findall(text) if not (place / link).exists()]
    lost = [f"{link}#{heading}" for link, heading in PLACE.findall(text) if heading not in _places(page, link)]

    assert nowhere + lost == []


def test_every_decision_and_page_is_in_its_index() -> None:
    decisions = _linked(DOCS / "decisions" / "README.md")
    pages = _linked(DOCS / "README.md")

    assert {page.name for page in (DOCS / "decisions").glob("0*.md")} - {link.name for link in decisions} == set()
    assert {page for page in DOCS.rglob("*.md") if page.parent.name != "decisions"} - pages == {DOCS / "README.md"}


def test_every_command_line_in_the_docs_is_one_that_exists() -> None:
    known = set(_commands(cli, "lockgate", groups=True))
    wrong = {
        (page.name, command)
        for page in DOCS.rglob("*.md")
        for command in _typed(page.read_text(encoding="utf-8"))
        if not any(command.startswith(name) for name in known)
    }

    assert wrong == set()


# --- reading ----------------------------------------------------------------------------------------------------------


def _text(name: str) -> str:
    return (REFERENCE / name).read_text(encoding="utf-8")


def _cells(page: str, first: str) -> list[str]:
    row = next(line for line in _text(page).splitlines() if line.startswith(f"| `{first}` |"))
    return [cell.strip() for cell in row.strip("|").split("|")]


def _linked(index: Path) -> set[Path]:
    return {(index.parent / link).resolve() for link in LINK.findall(index.read_text(encoding="utf-8"))}


def _places(page: Path, link: str) -> set[str]:
    """The names of a page's headings as a link spells them."""
    text = (page.parent / link if link else page).read_text(encoding="utf-8")
    headings = re.findall(r"^#+ (.+)$", text, re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).strip().replace(" ", "-") for heading in headings}


def _typed(text: str) -> Iterator[str]:
    """What a page tells people to type: lines of code blocks that begin with the command."""
    for block in re.findall(r"^```(?:sh|console|bash)?\n(.*?)^```", text, re.DOTALL | re.MULTILINE):
        for line in block.splitlines():
            words = line.removeprefix("$ ").removeprefix(".venv/bin/").strip()
            if words.startswith("lockgate "):
                yield words


def _trees(*below: str) -> Iterator[ast.Module]:
    for place in below or ("",):
        path = SOURCE / place
        for file in [path] if path.is_file() else sorted(path.rglob("*.py")):
            yield ast.parse(file.read_text(encoding="utf-8"))


def _actions() -> Iterator[str]:
    """Every text of the form `subject:deed` in the rooms that write entries, those put together among them."""
    for tree in _trees("usecases", "adapters/mlflow", "controller", "agent", "domain/removals.py"):
        inside = {id(part) for node in ast.walk(tree) if isinstance(node, ast.JoinedStr) for part in node.values}
        for node in ast.walk(tree):
            match node:
                case ast.Constant(value=str(text)) if id(node) not in inside and ACTION.fullmatch(text):
                    yield text
                case ast.JoinedStr(values=parts):
                    yield from _put_together(parts)


def _put_together(parts: list[ast.expr]) -> list[str]:
    shape = "".join(str(part.value) if isinstance(part, ast.Constant) else "{}" for part in parts)
    if shape in PUT_TOGETHER:
        return PUT_TOGETHER[shape]
    assert not re.fullmatch(r"[a-z]+:\{\}|\{\}:[a-z-]+", shape), f"say in PUT_TOGETHER what {shape!r} can become"
    return []


def _error_classes(*below: str) -> set[str]:
    """The names of LockgateError's subclasses, and of theirs."""
    found = {errors.LockgateError.__name__}
    classes = [node for tree in _trees(*below) for node in ast.walk(tree) if isinstance(node, ast.ClassDef)]
    before = 0
    while len(found) != before:
        before = len(found)
        found |= {node.name for node in classes if any(isinstance(b, ast.Name) and b.id in found for b in node.bases)}
    return found - {errors.LockgateError.__name__}


def _commands(group: click.Group, path: str, *, groups: bool = False) -> Iterator[str]:
    for name, command in group.commands.items():
        if command.hidden:
            continue
        if isinstance(command, click.Group):
            if groups:
                yield f"{path} {name}"
            yield from _commands(command, f"{path} {name}", groups=groups)
        else:
            yield f"{path} {name}"
