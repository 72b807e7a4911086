"""What a command's end says to a shell: four exit codes, the table from errors to them, and how an error is printed."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Mapping, Sequence
from typing import Any

import click

DONE, REFUSED, USAGE, WAITING = 0, 1, 2, 8
INTERRUPTED = 130

# by name, so that no error class of the client is imported before one was raised; a test compares it with both lists
EXIT_OF: Mapping[str, int] = {
    # of lockgate.domain.errors: raised in this process
    "BadInput": USAGE,
    "Unauthenticated": REFUSED,
    "Unavailable": REFUSED,
    "Unreadable": REFUSED,
    "Waits": WAITING,
    # of lockgate.sdk.errors: told by the server
    "BadRequest": USAGE,
    "Waiting": WAITING,
    "Unreachable": REFUSED,
    # of both
    "NotFound": REFUSED,
    "Forbidden": REFUSED,
    "Refused": REFUSED,
    "Conflict": REFUSED,
    "Failed": REFUSED,
    "LockgateError": REFUSED,
}


class Ends(Exception):
    """The command is over with this exit code, and has already said everything."""

    def __init__(self, code: int) -> None:
        super().__init__(code)
        self.code = code


def run(command: click.Command, arguments: Sequence[str]) -> int:
    """Run a command and give its exit code. Every error is printed once, for a person or with --json for a program."""
    as_json = "--json" in arguments
    try:
        command.main(args=list(arguments), prog_name="lockgate", standalone_mode=False)
    except Ends as end:
        return end.code
    except click.exceptions.Exit as end:
        return end.exit_code
    except (click.Abort, KeyboardInterrupt):
        click.echo("Interrupted.", err=True)
        return INTERRUPTED
    except click.ClickException as wrong:
        return _usage(wrong, as_json=as_json)
    except BrokenPipeError:
        # whoever read our output has seen enough; nothing may try to write again at exit
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return REFUSED
    except Exception as error:  # noqa: BLE001 - the last door before a person, who must not meet a traceback
        if not explains(error):
            return _bug(error, as_json=as_json)
        return _explained(error, as_json=as_json)
    return DONE


def exit_code(error: Exception) -> int:
    """The exit code of an error; 1 for one that is not in the table."""
    return next((EXIT_OF[cls.__name__] for cls in type(error).__mro__ if cls.__name__ in EXIT_OF), REFUSED)


def explains(error: BaseException) -> bool:
    """Whether it is one of ours: it has a message for people and says what to do next."""
    return hasattr(error, "message") and hasattr(error, "hint")


def as_plain(error: Exception) -> dict[str, Any]:
    """An error as the JSON that `--json` prints for it."""
    verdict = getattr(error, "verdict", None)
    gates = getattr(error, "gates", ()) or getattr(verdict, "gates", ())
    return _plain(
        type(error).__name__,
        str(getattr(error, "message", error)),
        str(getattr(error, "hint", "")),
        exit_code(error),
        promotion=str(getattr(error, "promotion", "")),
        gates=[_gate(gate) for gate in gates],
    )


def show_json(value: Any) -> None:
    """Print one JSON document."""
    click.echo(json.dumps(value, indent=2, ensure_ascii=False))


def _explained(error: Exception, *, as_json: bool) -> int:
    if as_json:
        show_json(as_plain(error))
    else:
        from lockgate.cli import show

        show.error(error)
    return exit_code(error)


def _usage(wrong: click.ClickException, *, as_json: bool) -> int:
    if as_json:
        show_json(_plain("BadInput", wrong.format_message(), "See: lockgate --help", wrong.exit_code))
    else:
        wrong.show()
    return wrong.exit_code


def _bug(error: Exception, *, as_json: bool) -> int:
    if os.environ.get("LOCKGATE_DEBUG"):
        raise error
    message = f"This should not have happened: {type(error).__name__}: {error}"
    hint = "Run it again with LOCKGATE_DEBUG=1 in the environment and report what it prints."
    if as_json:
        show_json(_plain("Bug", message, hint, REFUSED))
    else:
        click.echo(f"{message}\n{hint}", err=True)
    return REFUSED


def _plain(kind: str, message: str, hint: str, code: int, **more: Any) -> dict[str, Any]:
    return {
        "error": {
            "kind": kind,
            "message": message,
            "hint": hint,
            "promotion": "",
            "gates": [],
            "exit_code": code,
            **more,
        }
    }


def _gate(gate: Any) -> dict[str, str]:
    return {
        name: str(getattr(gate, name)) for name in ("name", "standing", "level", "because", "seen", "required", "next")
    }
