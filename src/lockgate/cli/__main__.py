"""`python -m lockgate.cli`, and the `lockgate` script: to what lasts, no other command is imported.

A process of a node holds what it imported for as long as the node stands.
"""

from __future__ import annotations

import sys

import click

_LASTING = ("up", "server", "controller", "agent", "prepare")


def main() -> None:
    """Run what the command line asks for and exit with its code."""
    if sys.argv[1:2] and sys.argv[1] in _LASTING:
        from lockgate.cli import outcome

        sys.exit(outcome.run(_lasting(sys.argv[1]), sys.argv[1:]))
    from lockgate.cli.main import main as any_command

    any_command()


def _lasting(name: str) -> click.Group:
    if name == "up":
        from lockgate.cli.up import up as command
    else:
        from lockgate.cli import foreground

        command = getattr(foreground, name)
    return click.Group("lockgate", {name: command}, context_settings={"help_option_names": ["-h", "--help"]})


if __name__ == "__main__":
    main()
