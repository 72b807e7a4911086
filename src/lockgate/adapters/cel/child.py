"""The program that evaluates custom rules: it knows no secret, holds nothing, and may be killed at any moment.

One JSON object a line comes in on standard input, and goes out on standard output. It imports the evaluator and the
standard library, and nothing else of ours: what is not here cannot be read by a rule.
"""

from __future__ import annotations

import importlib.util
import json
import os
import re
import resource
import signal
import sys
import types
from collections.abc import Callable, Mapping
from contextlib import suppress
from typing import Any

LONGEST_REQUEST = 1 << 20  # bytes of one line
LONGEST_TEXT = 600  # characters of what is told about a result or an error
_BOUND = re.compile(r"\.\s*(?:all|exists|exists_one|map|filter)\s*\(\s*([A-Za-z_]\w*)\s*,")


def main() -> None:
    """Answer until there is nothing more to read: whoever asked is gone then."""
    memory, seconds = int(sys.argv[1]), float(sys.argv[2])
    cel = _evaluator()
    _limit(memory)
    _say({"ready": os.getpid()})
    while line := sys.stdin.buffer.readline(LONGEST_REQUEST):
        asked = json.loads(line)
        if "check" in asked:
            _within(seconds, _check, cel, asked["check"])
        else:
            for rule in asked["rules"]:
                _within(seconds, _evaluate, cel, rule, asked["snapshot"])


def _evaluator() -> Any:
    """The evaluator alone: its package imports a command line of its own, which takes a third of a second."""
    found = importlib.util.find_spec("cel")
    if found is None or found.submodule_search_locations is None:
        raise SystemExit("common-expression-language is not installed")
    package = types.ModuleType("cel")
    package.__path__ = list(found.submodule_search_locations)
    sys.modules["cel"] = package
    return importlib.import_module("cel.cel")


def _limit(memory: int) -> None:
    """No more memory than that, no file, no program, no core: a rule needs none of them."""
    for what, most in (
        (resource.RLIMIT_AS, memory),
        (resource.RLIMIT_CORE, 0),
        (resource.RLIMIT_FSIZE, 0),
        (resource.RLIMIT_NOFILE, 8),
        (resource.RLIMIT_NPROC, 0),
    ):
        # not every system has every limit; the time limits hold everywhere
        with suppress(ValueError, OSError):
            resource.setrlimit(what, (most, most))


def _within(seconds: float, work: Callable[..., Mapping[str, Any]], *arguments: Any) -> None:
    """Do it within so much processor time, or be ended by the kernel: an evaluation cannot be interrupted otherwise."""
    signal.setitimer(signal.ITIMER_PROF, seconds)
    try:
        told = work(*arguments)
    except MemoryError:
        told = {"error": "MemoryError", "text": ""}
    signal.setitimer(signal.ITIMER_PROF, 0)
    _say(told)


def _evaluate(cel: Any, rule: str, snapshot: Mapping[str, Any]) -> Mapping[str, Any]:
    try:
        found = cel.evaluate(rule, snapshot)
    except MemoryError:
        raise
    except Exception as error:  # noqa: BLE001 - whatever the library raises is told to whoever asked
        return {"error": type(error).__name__, "text": _text(rule, error)}
    if isinstance(found, bool):
        return {"answer": found}
    return {"answer": None, "kind": type(found).__name__, "text": _shown(found)}


def _check(cel: Any, rule: str) -> Mapping[str, Any]:
    try:
        program = cel.compile(rule)
    except Exception as error:  # noqa: BLE001 - as above
        return {"error": type(error).__name__, "text": _text(rule, error)}
    bound = set(_BOUND.findall(rule))
    return {
        "variables": [name for name in program.variables() if name not in bound][:50],
        "functions": [name for name in program.functions() if name.isidentifier()][:50],
    }


def _text(rule: str, error: Exception) -> str:
    """What it says, without the whole rule before it; a missing key is told as the key itself."""
    if isinstance(error, KeyError) and error.args:
        return str(error.args[0])[:LONGEST_TEXT]
    return str(error).removeprefix(f"Failed to parse expression '{rule}': ")[:LONGEST_TEXT]


def _shown(found: Any) -> str:
    """A short form of a result, made without writing all of it."""
    if isinstance(found, (str, bytes)):
        return repr(found[:40])
    if isinstance(found, (list, dict)):
        return f"of {len(found)}"
    return str(found)[:40]


def _say(told: Mapping[str, Any]) -> None:
    sys.stdout.buffer.write(json.dumps(told).encode() + b"\n")
    sys.stdout.buffer.flush()


if __name__ == "__main__":
    main()
