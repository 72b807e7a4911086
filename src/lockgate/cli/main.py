"""The `lockgate` command: which subcommands there are. Nothing heavy is imported before one of them runs."""

from __future__ import annotations

import sys

import click

from lockgate import __version__
from lockgate.cli import outcome
from lockgate.cli.audit import audit
from lockgate.cli.check import check
from lockgate.cli.consent import approvals, approve, reject, request, withdraw
from lockgate.cli.demo import demo
from lockgate.cli.doctor import doctor
from lockgate.cli.down import down
from lockgate.cli.drift import drift
from lockgate.cli.emergency import break_glass
from lockgate.cli.engines import engines
from lockgate.cli.evidence import plan, validate
from lockgate.cli.foreground import agent, controller, prepare, server
from lockgate.cli.import_users import import_
from lockgate.cli.moves import promote, rollback
from lockgate.cli.policy import init, policy
from lockgate.cli.policy_second import COMMANDS as SECOND
from lockgate.cli.predictions import predictions
from lockgate.cli.semver import semver
from lockgate.cli.serving import endpoints, rollout
from lockgate.cli.standing import status
from lockgate.cli.standing_in import delegate
from lockgate.cli.tokens import tokens
from lockgate.cli.uninstall import uninstall
from lockgate.cli.up import up
from lockgate.cli.users import users, whoami
from lockgate.cli.webhooks import webhooks

SECTIONS = {
    "Run it": (up, down, init, demo),
    "See where things stand": (
        *(status, plan, approvals, endpoints, rollout, engines, predictions, semver, drift, audit, policy, webhooks),
    ),
    "Move a version": (validate, check, request, approve, reject, withdraw, promote, rollback, break_glass),
    "Say who may do what": (users, tokens, whoami, delegate),
    "Come and go": (doctor, uninstall),
    "Run one process alone": (server, controller, agent),
}


class _Sections(click.Group):
    """Lists the commands in the order a person meets them, not by letter."""

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:  # noqa: ARG002 - click's
        for title, commands in SECTIONS.items():
            with formatter.section(title):
                formatter.write_dl([(command.name or "", command.get_short_help_str(80)) for command in commands])


@click.group(cls=_Sections, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, prog_name="lockgate", message="%(prog)s %(version)s")
def cli() -> None:
    """A governed model registry and deployment control plane for MLflow.

    Exit codes: 0 done, 1 refused or failed, 2 wrong usage, 8 waiting.
    """


for _section in SECTIONS.values():
    for _command in _section:
        cli.add_command(_command)
cli.add_command(prepare)
for _command in SECOND:
    policy.add_command(_command)
users.add_command(import_)


def main() -> None:
    """Run what the command line asks for and exit with its code."""
    sys.exit(outcome.run(cli, sys.argv[1:]))
