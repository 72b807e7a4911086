"""One value of the file with its keys and line, and how to read it: a reader returns the value or notes a problem."""

from __future__ import annotations

import difflib
import math
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import timedelta

import yaml

from lockgate.adapters.policyfile.problems import Problem
from lockgate.domain.durations import parse_duration, spoken
from lockgate.domain.errors import BadInput

_TEXT, _BOOL, _NULL = "tag:yaml.org,2002:str", "tag:yaml.org,2002:bool", "tag:yaml.org,2002:null"
_NUMBERS = ("tag:yaml.org,2002:int", "tag:yaml.org,2002:float")
# YAML 1.1 also reads 010 as 8, 1:30 as 90 and 1_000 as 1000: nobody who writes a policy means that
_DECIMAL = re.compile(r"[-+]?(?:0|[1-9][0-9]{0,17})(?:\.[0-9]{1,18})?(?:[eE][-+]?[0-9]{1,3})?")
_TRUE, _FALSE = (
    ("true", "True", "TRUE", "yes", "Yes", "on", "On"),
    ("false", "False", "FALSE", "no", "No", "off", "Off"),
)
_SHOWN = 60
_SIZE = re.compile(r"(?P<number>[0-9]{1,18}(?:\.[0-9]{1,3})?)\s*(?P<unit>KiB|MiB|GiB|TiB)?")
_SIZES = {"KiB": 2**10, "MiB": 2**20, "GiB": 2**30, "TiB": 2**40}


@dataclass(frozen=True, slots=True)
class Place:
    """A value, the keys that lead to it, the line of its key, and where its problems are noted."""

    node: yaml.Node
    path: str
    line: int
    problems: list[Problem]

    @classmethod
    def root(cls, node: yaml.Node) -> Place:
        return cls(node, "", node.start_mark.line + 1, [])

    @property
    def is_null(self) -> bool:
        return self.node.tag == _NULL

    @property
    def is_mapping(self) -> bool:
        return isinstance(self.node, yaml.MappingNode)

    @property
    def is_flag(self) -> bool:
        return self.node.tag == _BOOL

    @property
    def written(self) -> str:
        """A plain value as it stands in the file, empty for lists and mappings."""
        return str(self.node.value) if isinstance(self.node, yaml.ScalarNode) else ""

    def on(self, line: int) -> Place:
        """The same value, with its problems noted on another of its lines."""
        return replace(self, line=min(line, self.node.end_mark.line + 1))

    def wrong(self, expected: str, hint: str = "") -> None:
        """Note that what stands here is not what was expected."""
        self.problems.append(Problem(self.line, self.path, _described(self.node), expected, hint))

    def refuse(self, found: str, expected: str, hint: str = "") -> None:
        """Note a problem in words of its own."""
        self.problems.append(Problem(self.line, self.path, found, expected, hint))

    def children(self, expected: str = "a mapping of keys to values") -> dict[str, Place]:
        """The values by key, in the file's order. A key that is no text, is empty or comes twice is a problem."""
        if not isinstance(self.node, yaml.MappingNode):
            self.wrong(expected)
            return {}
        children: dict[str, Place] = {}
        for key, value in self.node.value:
            line = key.start_mark.line + 1
            if key.tag != _TEXT or not _is_text(key.value):
                self.problems.append(
                    Problem(line, self.path, f"the key {_described(key)}", "keys that are text", "Quote it.")
                )
            elif key.value in children:
                path, first = self._below(key.value), children[key.value].line
                self.problems.append(Problem(line, path, f"the key a second time (first on line {first})", "it once"))
            else:
                children[key.value] = Place(value, self._below(key.value), line, self.problems)
        return children

    def known(self, names: Sequence[str], hints: Mapping[str, str] | None = None) -> dict[str, Place]:
        """The children whose keys are among `names`; every other key is a problem, with the key that may be meant."""
        children = self.children(f"a mapping with the keys {', '.join(names)}")
        for key in [key for key in children if key not in names]:
            children.pop(key).unknown(key, names, (hints or {}).get(key, ""))
        return children

    def unknown(self, key: str, names: Sequence[str], hint: str = "") -> None:
        """Note that this key is not one of `names`."""
        self.refuse(f"the unknown key {_short(key)}", f"one of {', '.join(names)}", hint or _did_you_mean(key, names))

    def text(self, expected: str = "a text") -> str | None:
        """A text of printable characters, not empty."""
        if self.node.tag == _TEXT and _is_text(self.node.value):
            return str(self.node.value)
        self.wrong(expected, "Quote it." if self.node.tag in (_BOOL, *_NUMBERS) else "")
        return None

    def one_of(self, names: Sequence[str], hints: Mapping[str, str] | None = None) -> str | None:
        """A text that is one of `names`."""
        if self.node.tag == _TEXT and self.node.value in names:
            return str(self.node.value)
        hint = (hints or {}).get(self.written) or _did_you_mean(self.written, names)
        self.wrong(_any_of(names), hint)
        return None

    def flag(self) -> bool | None:
        """true or false, also as YAML's yes, no, on and off."""
        if self.node.tag == _BOOL and self.written in _TRUE + _FALSE:
            return self.written in _TRUE
        self.wrong("true or false", "Without quotes." if self.written.lower() in ("true", "false") else "")
        return None

    def number(self, expected: str, *, least: float = -math.inf, most: float = math.inf) -> float | None:
        """A finite decimal number between the bounds."""
        value = float(self.written) if self.node.tag in _NUMBERS and _DECIMAL.fullmatch(self.written) else math.nan
        if math.isfinite(value) and least <= value <= most:
            return value
        quoted = self.node.tag == _TEXT and _DECIMAL.fullmatch(self.written)
        self.wrong(expected, "Without quotes." if quoted else "")
        return None

    def whole(self, least: int, most: int) -> int | None:
        """A whole number between the bounds."""
        if self.node.tag == _NUMBERS[0] and _DECIMAL.fullmatch(self.written) and least <= int(self.written) <= most:
            return int(self.written)
        self.wrong(f"a whole number from {least} to {most}")
        return None

    def duration(self, least: timedelta, most: timedelta, *, bare_unit: str | None = None) -> timedelta | None:
        """A length of time between the bounds: a number with a unit, or a bare number of `bare_unit`."""
        expected = f"a length of time from {spoken(least)} to {spoken(most)}, such as 500ms, 5s, 30m, 24h or 2d"
        written: object = self.written
        if self.node.tag in _NUMBERS and _DECIMAL.fullmatch(self.written):
            written = float(self.written)
        elif self.node.tag != _TEXT:
            written = None
        try:
            length = parse_duration(written, bare_unit=bare_unit)
        except BadInput:
            self.wrong(expected if bare_unit is None else f"a number of hours, or {expected}")
            return None
        if least <= length <= most:
            return length
        self.wrong(expected)
        return None

    def size(self, least: int, most: int) -> int | None:
        """A number of bytes between the bounds: plain, or with a unit such as MiB or GiB."""
        found = _SIZE.fullmatch(self.written)
        if found is not None:
            value = int(float(found["number"]) * _SIZES.get(found["unit"], 1))
            if least <= value <= most:
                return value
        self.wrong("a size such as 512MiB or 2GiB, or a number of bytes")
        return None

    def items(self, expected: str) -> list[Place]:
        """The items of a list, each on its own line."""
        if not isinstance(self.node, yaml.SequenceNode):
            self.wrong(f"a list of {expected}", f"Write [{_short(self.written)}]." if self.node.tag == _TEXT else "")
            return []
        return [
            Place(node, f"{self.path}[{index}]", node.start_mark.line + 1, self.problems)
            for index, node in enumerate(self.node.value)
        ]

    def texts(self, expected: str, read: Callable[[Place], str | None] | None = None) -> tuple[str, ...] | None:
        """A list of texts, none of them twice; `read` reads one item. None when the list itself or an item is wrong."""
        before = len(self.problems)
        found: list[str] = []
        for item in self.items(expected):
            text = read(item) if read else item.text(f"a text ({expected})")
            if text is not None and text in found:
                item.refuse(f"{_short(text)} a second time", "it once")
            elif text is not None:
                found.append(text)
        return tuple(found) if len(self.problems) == before else None

    def _below(self, key: str) -> str:
        shown = key if re.fullmatch(r"[\w\-]{1,60}", key) else _short(key)
        return f"{self.path}.{shown}" if self.path else shown


def near_miss(written: str, names: Iterable[str]) -> str | None:
    """The name of which this looks like a slip of the pen; a longer name of one's own (`accuracy_2`) does not."""
    near = difflib.get_close_matches(written, list(names), n=1, cutoff=0.9)
    if not near or near[0] == written or written.startswith(near[0]) or written.endswith(near[0]):
        return None
    return near[0]


def _any_of(names: Sequence[str]) -> str:
    return names[0] if len(names) == 1 else f"{', '.join(names[:-1])} or {names[-1]}"


def _did_you_mean(written: str, names: Iterable[str]) -> str:
    lower = {name.lower(): name for name in names}
    near = difflib.get_close_matches(written.lower()[:_SHOWN], lower, n=1, cutoff=0.7)
    return f"Did you mean {lower[near[0]]}?" if near else ""


def _is_text(value: str) -> bool:
    """Whether people can read it: not empty, no control characters, no half of a character."""
    return bool(value.strip()) and value.isprintable()


def _described(node: yaml.Node) -> str:
    if isinstance(node, yaml.MappingNode):
        return "a mapping"
    if isinstance(node, yaml.SequenceNode):
        return "a list"
    if node.tag == _NULL:
        return "nothing"
    if node.tag == _TEXT:
        return _short(str(node.value))
    return str(node.value)[:_SHOWN]


def _short(text: str) -> str:
    shown = text if len(text) <= _SHOWN else text[:_SHOWN] + "…"
    return f"'{shown}'" if shown.isprintable() else ascii(shown)
