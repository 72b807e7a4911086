"""What an `up` that was killed may have left of one home: how it is found, told apart from strangers, and ended."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

from lockgate.cli.children import end
from lockgate.cli.home import CHILDREN, UP, Home
from lockgate.cli.identity import Identity

# the children notice within moments that their parent is gone
CHILD_LIMIT = 10.0
WORKER_LIMIT = 10.0
UP_LIMIT = 45.0
_WORKER = "lockgate.worker"


def workers(home: Home) -> list[Identity]:
    """The workers of this home that run, whoever started them."""
    found = []
    for file in home.run.rglob("worker.json"):
        identity = _worker(file)
        if identity is not None and identity.lives and _WORKER in identity.command:
            found.append(identity)
    return found


def end_processes(home: Home, said: Callable[[str, str], None]) -> list[str]:
    """End a server, controller or agent that outlived their `up`; workers go on. What was ended."""
    ended = []
    for role in CHILDREN:
        identity = home.recorded(role)
        if identity is not None:
            said("leftover", f"Ending the {role} that an earlier `lockgate up` left (process {identity.pid}).")
            end(identity, CHILD_LIMIT)
            ended.append(role)
        home.forget(role)
    return ended


def end_workers(home: Home) -> int:
    """End every worker of this home; how many there were."""
    found = workers(home)
    for identity in found:
        end(identity, WORKER_LIMIT)
    return len(found)


def end_up(home: Home) -> Identity | None:
    """Ask the home's `up` to stop everything, wait, and kill it when it does not; None when none runs."""
    identity = home.recorded(UP)
    if identity is not None:
        end(identity, UP_LIMIT)
    home.forget(UP)
    return identity


def _worker(file: Path) -> Identity | None:
    try:
        told = json.loads(file.read_text())
        return Identity(int(told["pid"]), str(told["started"]))
    except (OSError, ValueError, KeyError, TypeError):
        return None
