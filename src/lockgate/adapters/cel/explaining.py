"""What went wrong with a rule, in one sentence for the person who has to clear the gate or to mend the rule."""

from __future__ import annotations

import difflib
import json
import re
from collections.abc import Iterable, Mapping
from typing import Any

FUNCTIONS = (
    *("bytes", "contains", "double", "duration", "dyn", "endsWith", "int", "matches", "size", "startsWith", "string"),
    *("timestamp", "type", "uint", "getDate", "getDayOfMonth", "getDayOfWeek", "getDayOfYear", "getFullYear"),
    *("getHours", "getMilliseconds", "getMinutes", "getMonth", "getSeconds"),
)
TYPES = frozenset({"bool", "bytes", "double", "int", "list", "map", "null_type", "string", "timestamp", "type", "uint"})
_MOST_NAMES = 12
_MOST_CHARACTERS = 300
_PATH = r"\b([A-Za-z_]\w*(?:\s*\.\s*[A-Za-z_]\w*){0,4})"
_NAME = re.compile(r"[A-Za-z_]\w*")
_UNDEFINED = re.compile(r"Undefined variable or function: '([^']*)'")
_PLACE = re.compile(r"ERROR: <input>:(\d+):(\d+): (?:Syntax error: )?(.*)")
_TOKEN = re.compile(r"(?:at: |input |at input |missing )'(.*?)'(?: expecting| at '|$)", re.DOTALL)

_KINDS = {
    "int": "a whole number",
    "float": "a number",
    "str": "the text",
    "bytes": "the bytes",
    "list": "a list",
    "dict": "a map",
    "NoneType": "null",
}
_MEANT = {
    "and": "Write &&.",
    "or": "Write ||.",
    "not": "Write !.",
    "=": "Write == to compare.",
    "&": "Write &&.",
    "|": "Write ||.",
    "is": "Write == to compare.",
    "if": "Write: condition ? one : other.",
}


def no_boolean(kind: str, text: str) -> str:
    """Why a result that is neither true nor false lets nothing through."""
    what = _KINDS.get(kind, f"something else ({kind})")
    return f"it gave {_cut(what if kind == 'NoneType' else f'{what} {text}')} and not true or false"


def error(kind: str, text: str, rule: str, snapshot: Mapping[str, Any], absent: Mapping[str, str]) -> str:
    """Why an evaluation ended without an answer. `absent` says of a path why it is not in the snapshot."""
    match kind:
        case "KeyError":
            return _cut(_missing(text, rule, snapshot, absent))
        case "MemoryError":
            return "it needs more memory than a rule may have"
        case "ZeroDivisionError":
            return "it divides by zero"
        case "OverflowError":
            return "a whole number in it grows larger than 64 bits hold"
        case "TypeError" if text.startswith(("No such overload", "Unsupported operation")):
            return (
                "it compares or computes with values of two kinds; write numbers with a point (1.0), or convert them "
                "with double(…), int(…) or string(…)"
            )
    if found := _UNDEFINED.search(text):
        if found[1] in FUNCTIONS:
            return f"{found[1]}(…) does not take what it is given"
        return f"{_word(found[1])} is not known in a rule"
    if found := _PLACE.search(text):
        return f"it is not CEL (line {found[1]}): {fault(text)[1]}"
    return f"it could not be evaluated: {_cut(_first_sentence(text) or kind)}"


def fault(text: str) -> tuple[int, str]:
    """The line of the rule where a syntax error lies, and what is wrong there."""
    found = _PLACE.search(text)
    if found is None:
        return 1, _cut(_first_sentence(text))
    line, column, told = max(1, int(found[1])), found[2], found[3]
    if "Recursion limit" in told:
        return line, "it is nested too deeply"
    token = _TOKEN.search(told)
    word = token[1].strip() if token else ""
    if told.startswith(("mismatched input", "missing", "no viable")) and "'<EOF>'" in told.partition(" expecting")[0]:
        return line, "the rule ends too early"
    if told.startswith("reserved identifier: "):
        word = told.removeprefix("reserved identifier: ")
        return line, f"{word} is a reserved word. {_MEANT.get(word, '')}".strip()
    if "has() macro" in told:
        return line, "has(…) takes a field, such as has(metrics.f1_score)"
    if word[:1] in ("'", '"') and "token recognition" in told:
        return line, f"the text that begins at character {column} is not closed, or has an escape that CEL has not"
    if word:
        place = f"{_cut(word)!r} is not understood at character {column}"
        return line, f"{place}. {_MEANT[word]}" if word in _MEANT else place
    if "token recognition" in told:
        return line, f"it is not understood at character {column}"
    return line, f"{_cut(told)} (character {column})"


def unknown(name: str, known: Iterable[str]) -> str:
    """That a rule names something no rule can see."""
    listed = list(known)
    near = difflib.get_close_matches(name, listed, 1)
    more = ", …" if len(listed) > _MOST_NAMES else ""
    hint = f"did you mean {near[0]}?" if near else f"known are {', '.join(listed[:_MOST_NAMES])}{more}"
    return f"{_word(name)} is not known in a rule; {hint}"


def _missing(key: str, rule: str, snapshot: Mapping[str, Any], absent: Mapping[str, str]) -> str:
    written = re.escape(key)
    quoted = rf"\s*\[\s*(?:'{written}'|\"{written}\")\s*\]"
    dotted = rf"\s*\.\s*{written}\b" if _NAME.fullmatch(key) else quoted
    for found in re.finditer(f"{_PATH}(?:{dotted}|{quoted})", rule):
        path = re.sub(r"\s", "", found[1])
        there = _at(snapshot, path)
        if not isinstance(there, Mapping) or key in there:
            continue
        name = f"{path}.{key}" if _NAME.fullmatch(key) else f"{path}[{json.dumps(key, ensure_ascii=False)}]"
        for of in (name, path):
            if of in absent:
                return f"{name} is not there: {absent[of]}"
        return f"{name} is not there; {_those(there)}"
    return f"it asks for {_word(key)}, which is not there"


def _at(snapshot: Mapping[str, Any], path: str) -> Any:
    found: Any = snapshot
    for name in path.split("."):
        found = found.get(name) if isinstance(found, Mapping) else None
    return found


def _those(there: Mapping[str, Any]) -> str:
    if not there:
        return "there are none"
    names = [_word(name) for name in sorted(there)]
    more = f" and {len(names) - _MOST_NAMES} more" if len(names) > _MOST_NAMES else ""
    verb = "there is" if len(names) == 1 else "there are"
    return f"{verb} {', '.join(names[:_MOST_NAMES])}{more}"


def _word(name: str) -> str:
    """A name as it is, or quoted where it would not read as one."""
    shown = name if len(name) <= 60 else f"{name[:60]}…"
    return shown if re.fullmatch(r"[\w.\-/]+|\W{1,2}", shown) else json.dumps(shown, ensure_ascii=False)


def _first_sentence(text: str) -> str:
    return text.strip().partition("\n")[0].partition(". ")[0].rstrip(".")


def _cut(text: str) -> str:
    one_line = " ".join(text.split())
    return one_line if len(one_line) <= _MOST_CHARACTERS else f"{one_line[:_MOST_CHARACTERS]}…"
