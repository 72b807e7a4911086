"""Writes the tables of docs/reference/routes.md from the declaration that the server itself judges by."""

from __future__ import annotations

import sys
from collections.abc import Iterable
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
PAGE = ROOT / "docs" / "reference" / "routes.md"
MARK = "<!-- written by tools/write_routes.py from src/lockgate/server/registry/known_routes.py -->"
HEAD = "| method | path | who may call it | changes | answered by |\n| --- | --- | --- | --- | --- |"

if __name__ == "__main__":
    sys.path.insert(0, str(ROOT / "src"))

from lockgate.domain.access import Act, Role, acts_of  # noqa: E402
from lockgate.server.registry import known_routes  # noqa: E402 - as a script it runs without an installation
from lockgate.server.registry.known_routes import Line  # noqa: E402


def tables() -> str:
    """All tables as the page holds them below its mark."""
    shown = [*known_routes.parts(), ("Lockgate's own", known_routes.own())]
    return "\n\n".join(f"## {part}\n\n{HEAD}\n{_rows(lines)}" for part, lines in shown) + "\n"


def _rows(lines: Iterable[Line]) -> str:
    return "\n".join(f"| {' | '.join(_cells(line))} |" for line in lines)


def _cells(line: Line) -> tuple[str, ...]:
    path = f"`{line.path.replace('*', '…', 1)}`"
    return ", ".join(line.methods), path, _who(line), line.changes.value, line.way.value


def _who(line: Line) -> str:
    told = _roles(line.acts)
    return f"{told}; **off** unless `{line.router}` is opened" if line.router else told


def _roles(acts: frozenset[Act] | None) -> str:
    """The roles that may, as they are read: an admin may everything, so that is said only where nobody else may."""
    if acts is None:
        return "anybody"
    if not acts:
        return "whoever has logged in"
    roles = [role for role in Role if acts & acts_of(role)]
    others = [role.value for role in roles if role is not Role.ADMIN]
    return "any role" if len(roles) == len(Role) else ", ".join(others) or "admin"


if __name__ == "__main__":
    before, _, _ = PAGE.read_text(encoding="utf-8").partition(MARK)
    PAGE.write_text(f"{before}{MARK}\n\n{tables()}", encoding="utf-8")
