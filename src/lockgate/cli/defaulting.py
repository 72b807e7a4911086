"""A group of commands one of which may be left unnamed: `lockgate approvals` is `lockgate approvals list`."""

from __future__ import annotations

from typing import Any

import click


class Defaulting(click.Group):
    """Runs the command `default` where the first word is none of its commands."""

    def __init__(self, *args: Any, default: str, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.default = default

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """The words, with the name of the default command before them where none is named."""
        named = bool(args) and (args[0] in self.commands or args[0] in ctx.help_option_names)
        return super().parse_args(ctx, args if named else [self.default, *args])
