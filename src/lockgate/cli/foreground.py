"""`lockgate server`, `controller` and `agent`: one process each, in the foreground, alone or as a child of `up`."""

from __future__ import annotations

import contextlib
import os
import signal
import threading
from typing import TYPE_CHECKING, Any

import click

from lockgate.cli import first_admin, options, outcome
from lockgate.cli.children import watch_parent

if TYPE_CHECKING:
    from lockgate.config import Settings

LEAVE_LIMIT = 10.0

_child = click.option(
    "--child", is_flag=True, hidden=True, help="Standard input ends when the `up` that started it does."
)


@click.command(short_help="Run the server alone, in the foreground.")
@options.processes
@options.quiet_json
@_child
def server(child: bool, **told: Any) -> None:
    """Run the server alone, in the foreground: MLflow's API and interface, and Lockgate's."""
    settings = _begin(child, quick=True, **told)
    options.refuse_known_passphrase(settings)
    if settings.policy is not None:
        from lockgate.cli.policy import read

        read(settings.policy, settings)  # a broken file stops the start before the port is opened
    first_admin.refuse_open(settings)
    from lockgate.server.main import serve

    def first() -> None:
        _prepare(settings, signs=False)
        first_admin.found(settings).tell(settings.home, lambda _event, text: click.echo(text))

    # a child's tables and policy are its parent's business
    serve(settings, first=(lambda: None) if child else first)


@click.command(short_help="Run the controller alone, in the foreground.")
@options.processes
@options.quiet_json
@_child
def controller(child: bool, **told: Any) -> None:
    """Run the controller alone, in the foreground: it advances promotions and validations."""
    settings = _begin(child, **told)
    if not child:
        _prepare(settings, signs=True)
    from lockgate.controller.main import run

    run(settings)


@click.command(short_help="Run the agent alone, in the foreground.")
@options.processes
@options.quiet_json
@_child
def agent(child: bool, **told: Any) -> None:
    """Run the agent alone, in the foreground: it owns the workers that answer predictions.

    Ctrl-C and TERM stop the workers too; when it is killed they go on, and the next agent adopts them.
    """
    # the agent watches for the end of `up` itself: it leaves its workers then, and ends them on TERM
    settings = _begin(False, **told)
    options.refuse_odd_certificate(settings)
    if not child:
        _prepare(settings)
    from lockgate.agent.main import run

    run(settings, watch_parent=child)


@click.command(hidden=True, short_help="Make the tables and apply the policy file.")
@options.processes
@options.quiet_json
def prepare(**told: Any) -> None:
    """Make the tables, and what else there has to be before a server starts. Its caller reads what it says."""
    settings = options.settings(**told)
    first_admin.refuse_open(settings)
    _prepare(settings, signs=True)
    click.echo(first_admin.found(settings).line())


def _begin(watched: bool, *, quick: bool = False, **told: Any) -> Settings:
    from lockgate.cli.home import Home
    from lockgate.server import logs

    if watched:
        watch_parent(_terminate)
    (logs.speak if quick else logs.configure)()
    settings = options.settings(**told)
    Home(settings.home).prepare()
    return settings


def _prepare(settings: Settings, *, signs: bool | None = None) -> None:
    """`signs`: whether what is started signs checkpoints; None for what has no key at all."""
    from lockgate import wiring
    from lockgate.domain.identity import Who

    wiring.prepare(settings)
    if signs is not None:
        wiring.ensure_key(settings, signs=signs)
    read = wiring.read_policy_file(settings)
    if read is None:
        return
    in_force = wiring.apply_policy_file(settings, Who(name=settings.user, via="cli"))
    if in_force is not None and in_force.digest != read[1].digest:
        told = f"{settings.policy} is not in force: there are users, so it was proposed to a second administrator."
        click.echo(f"{told} See: lockgate policy proposals", err=True)


def _terminate() -> None:
    """End as by TERM; whoever is not gone in time is ended the hard way, since nobody is left to do it."""
    timer = threading.Timer(LEAVE_LIMIT, lambda: os._exit(outcome.REFUSED))
    timer.daemon = True
    timer.start()
    with contextlib.suppress(ProcessLookupError):
        os.kill(os.getpid(), signal.SIGTERM)
