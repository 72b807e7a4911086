"""Reading YAML as a tree that knows its lines, and refusing what a policy file has no use for.

Anchors, aliases and merge keys are refused (a few lines of them can expand without end), so are tags, a second
document, keys that are no text or come twice, and anything large or deep. Nothing is ever constructed from a tag.
"""

from __future__ import annotations

from collections.abc import Iterator

import yaml

from lockgate.adapters.policyfile.problems import PolicyFileError, Problem

MOST_BYTES = 256 * 1024
MOST_NODES = 20_000
MOST_DEPTH = 16


def compose(text: str, name: str) -> yaml.Node:
    """The one document of `text`. Raises PolicyFileError when it is not YAML or holds what is refused here."""
    if len(text) > MOST_BYTES or len(text.encode("utf-8", "surrogatepass")) > MOST_BYTES:
        found = f"{len(text.encode('utf-8', 'surrogatepass')):,} bytes"
        raise PolicyFileError(name, [Problem(1, "", found, f"a policy file of at most {MOST_BYTES:,} bytes")])
    try:
        refused = list(_refused(text))
        if refused:
            raise PolicyFileError(name, refused)
        node = yaml.compose(text, Loader=yaml.SafeLoader)
    except yaml.YAMLError as problem:
        raise PolicyFileError(name, [_malformed(problem, text)]) from None
    except (ValueError, OverflowError, IndexError):
        # PyYAML lets a few through, for example the escape "\UFFFFFFFF", which names no character
        raise PolicyFileError(name, [Problem(1, "", "a value no YAML reader can read", "YAML")]) from None
    if node is None:
        expected = "at least one key, such as stages: or level:"
        raise PolicyFileError(
            name, [Problem(1, "", "an empty file", expected, "Without --policy the built-in one is used.")]
        )
    return node


def _refused(text: str) -> Iterator[Problem]:
    """Walks the flat events, not the tree: nothing is expanded and no depth can exhaust the stack."""
    depth = documents = line = 0
    for count, event in enumerate(yaml.parse(text, Loader=yaml.SafeLoader)):
        line = event.start_mark.line + 1 if event.start_mark else line
        if isinstance(event, yaml.DocumentStartEvent):
            documents += 1
            if documents > 1:
                yield Problem(line, "", "a second document", "one document", "Remove the line ---.")
                return
        if isinstance(event, yaml.AliasEvent):
            yield Problem(line, "", f"the alias *{event.anchor}", "no anchors and aliases", "Write the value out.")
        elif isinstance(event, yaml.NodeEvent) and event.anchor:
            yield Problem(line, "", f"the anchor &{event.anchor}", "no anchors and aliases", "Write the value out.")
        if isinstance(event, yaml.ScalarEvent | yaml.CollectionStartEvent) and event.tag is not None:
            yield Problem(line, "", f"the tag {event.tag[:60]}", "no tags", "Quote a text, write a number plainly.")
        depth += isinstance(event, yaml.CollectionStartEvent)
        depth -= isinstance(event, yaml.CollectionEndEvent)
        if depth > MOST_DEPTH:
            yield Problem(line, "", f"more than {MOST_DEPTH} levels of nesting", "a flatter file")
            return
        if count > MOST_NODES:
            yield Problem(line, "", f"more than {MOST_NODES:,} keys and values", "a shorter file")
            return


def _malformed(problem: yaml.YAMLError, text: str) -> Problem:
    mark = getattr(problem, "problem_mark", None) or getattr(problem, "context_mark", None)
    if mark is not None:
        told = getattr(problem, "problem", None) or getattr(problem, "context", None) or "something that is not YAML"
        hint = "Indent with spaces." if "'\\t'" in told else ""
        return Problem(mark.line + 1, f"column {mark.column + 1}", str(told), "YAML", hint)
    position = getattr(problem, "position", 0)
    line = text.count("\n", 0, position) + 1
    return Problem(line, "", "a character that no text has", "YAML in UTF-8", "Remove the control character.")
