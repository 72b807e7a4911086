"""A page for a browser that needs nothing but itself: no script, no picture, no address. Every text is escaped."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from html import escape as escape
from typing import Any

_STYLE = """
:root { --ink: #1b2430; --soft: #5b6776; --line: #d8dee6; --ground: #ffffff; --band: #f4f6f9;
  --good: #1a7f4b; --bad: #b3261e; --waits: #9a6700; --mark: #1f5fa8; }
@media (prefers-color-scheme: dark) { :root { --ink: #e6eaf0; --soft: #9aa7b6; --line: #313b47; --ground: #12171d;
  --band: #1a2129; --good: #5fcf97; --bad: #ff8a80; --waits: #e3b341; --mark: #7db7f5; } }
* { box-sizing: border-box; }
body { margin: 0; font: 15px/1.5 system-ui, sans-serif; color: var(--ink); background: var(--ground); }
main { max-width: 75rem; margin: 0 auto; padding: 2rem 1.5rem 4rem; }
h1 { font-size: 1.7rem; margin: 0 0 .25rem; } h2 { font-size: 1.25rem; margin: 2.5rem 0 .75rem;
  padding-top: 1rem; border-top: 1px solid var(--line); } h3 { font-size: 1rem; margin: 1.5rem 0 .5rem; }
p { margin: .5rem 0; max-width: 60rem; } a { color: var(--mark); } .soft { color: var(--soft); }
.good { color: var(--good); } .bad { color: var(--bad); } .waits { color: var(--waits); }
.scroll { overflow-x: auto; } table { border-collapse: collapse; width: 100%; margin: .5rem 0 1rem; }
th { text-align: left; font-weight: 600; color: var(--soft); white-space: nowrap; }
th, td { padding: .35rem .75rem .35rem 0; border-bottom: 1px solid var(--line); vertical-align: top; }
.long { overflow-wrap: anywhere; } td.whole, dt { white-space: nowrap; }
dl { display: grid; grid-template-columns: max-content 1fr; gap: .3rem 1.5rem; margin: .75rem 0; }
dt { color: var(--soft); } dd { margin: 0; overflow-wrap: anywhere; }
code, pre { font: 13px/1.45 ui-monospace, monospace; } pre { background: var(--band); padding: .75rem 1rem;
  overflow-x: auto; border-radius: 6px; } details { margin: .75rem 0; } summary { cursor: pointer; color: var(--mark); }
.told { border-left: 4px solid; padding: .5rem 1rem; background: var(--band); margin: 1rem 0; }
@media print { main { max-width: none; padding: 0; } h2 { break-after: avoid; } tr, dl { break-inside: avoid; } }
"""
_TONES = {
    **dict.fromkeys(("holds", "passed", "done", "approved", "yes"), "good"),
    **dict.fromkeys(("fails", "failed", "refused", "rejected", "error", "no"), "bad"),
    **dict.fromkeys(("waits", "cancelled", "pending"), "waits"),
}
_LONGEST_WORD = 24
# columns whose cells are short and are read down, not along
_WHOLE = frozenset(
    {
        *("at (UTC)", "since (UTC)", "until (UTC)", "stage", "outcome", "answer", "version", "level", "entries"),
        *("entry", "action", "proof", "gate", "promotion"),
    }
)


@dataclass(frozen=True, slots=True)
class Html:
    """A piece of a page: whatever else is put into one is escaped."""

    text: str


def page(title: str, *parts: Html) -> str:
    """The whole page."""
    return (
        '<!doctype html>\n<html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        # it holds what people wrote: nothing in it may run or fetch, should an escape ever be missed
        "<meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; style-src 'unsafe-inline'\">"
        f"<title>{escape(title)}</title><style>{_STYLE}</style></head><body><main>\n<h1>{escape(title)}</h1>\n"
        + "\n".join(part.text for part in parts)
        + "\n</main></body></html>\n"
    )


def heading(text: str, *, id: str = "", level: int = 2) -> Html:
    """A heading, which a link can lead to."""
    named = f' id="{escape(id)}"' if id else ""
    return Html(f"<h{level}{named}>{escape(text)}</h{level}>")


def paragraph(text: str, *, soft: bool = False) -> Html:
    """A paragraph."""
    return Html(f'<p class="soft">{escape(text)}</p>' if soft else f"<p>{escape(text)}</p>")


def told(text: str, tone: str) -> Html:
    """What has to be seen first; `tone` is good, bad or waits."""
    return Html(f'<div class="told {escape(tone)}">{escape(text)}</div>')


def facts(pairs: Iterable[tuple[str, Any]]) -> Html:
    """Names with their values, the empty ones left out."""
    shown = [(name, value) for name, value in pairs if value not in (None, "")]
    return Html("<dl>" + "".join(f"<dt>{escape(name)}</dt><dd>{cell(value)}</dd>" for name, value in shown) + "</dl>")


def table(columns: Sequence[str], rows: Iterable[Sequence[Any]], *, none: str = "None.") -> Html:
    """A table; `none` is said where it would have no row."""
    body = "".join(_row(columns, row) for row in rows)
    if not body:
        return paragraph(none, soft=True)
    head = "".join(f"<th>{escape(column)}</th>" for column in columns)
    return Html(f'<div class="scroll"><table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table></div>')


def folded(title: str, text: str) -> Html:
    """A long text as it is, folded away."""
    return Html(f"<details><summary>{escape(title)}</summary><pre>{escape(text)}</pre></details>")


def link(text: str, to: str) -> Html:
    """A link to another place on the page."""
    return Html(f'<a href="#{escape(to)}">{escape(text)}</a>')


def code(text: str) -> Html:
    """A digest, a key, a command."""
    return Html(f"<code>{escape(text)}</code>")


def cell(value: Any) -> str:
    """A value as a cell shows it: text with its tone, times to the second in UTC, maps as JSON, nothing as a dash."""
    if isinstance(value, Html):
        return value.text
    if value is None or value == "":
        return '<span class="soft">-</span>'
    if isinstance(value, datetime):
        return escape(value.astimezone(UTC).strftime("%Y-%m-%d %H:%M:%S"))
    if isinstance(value, (dict, list, tuple)):
        return f'<code class="long">{escape(json.dumps(value, ensure_ascii=False))}</code>'
    shown = escape(str(value))
    tone = _TONES.get(str(value)) or ("long" if _has_long_word(str(value)) else "")
    return f'<span class="{tone}">{shown}</span>' if tone else shown


def _has_long_word(text: str) -> bool:
    """Whether it has a word, such as a digest, that may be broken anywhere for the sake of the columns beside it."""
    return any(len(word) > _LONGEST_WORD for word in text.split())


def _row(columns: Sequence[str], row: Sequence[Any]) -> str:
    cells = (
        f'<td class="whole">{cell(value)}</td>' if name in _WHOLE else f"<td>{cell(value)}</td>"
        for name, value in zip(columns, row, strict=True)
    )
    return f"<tr>{''.join(cells)}</tr>"
