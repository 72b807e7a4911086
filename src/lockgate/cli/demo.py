"""`lockgate demo`: the main job from start to end on a real model."""

from __future__ import annotations

import signal

import click

from lockgate.cli import outcome


@click.command(short_help="Run the main job, start to end, on a real model, and stop everything again.")
@click.option("--keep", is_flag=True, help="Keep the temporary folder, to look at logs and files.")
def demo(keep: bool) -> None:
    """Start Lockgate in a temporary folder and take a model from training to Production and back.

    Every command is shown as you would type it, with its real output. Exits 0 only if everything checked out.
    """
    from lockgate.cli.demo_story import tell

    for number in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, _interrupt)
    if not tell(keep=keep):
        raise outcome.Ends(outcome.REFUSED)


def _interrupt(_number: int, _frame: object) -> None:
    """However the demo is ended, what it started is stopped."""
    raise KeyboardInterrupt
