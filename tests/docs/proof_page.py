"""The tables of docs/proof.md, as the code has them: traces with the rules that keep them out, and everyday bugs."""

from __future__ import annotations

from collections.abc import Iterator

from tests.docs.pages import DOCS, published
from tests.docs.published import rule_link
from tests.simulation.bugs import BUGS
from tests.simulation.sabotage import LINES, UNTRACED, Line
from tests.simulation.traces import BY_NAME

PAGE = DOCS / "proof.md"
MARK = "published -->\n"


def page_text() -> str:
    return published(PAGE, MARK, "\n" + "\n".join((*_traces(), *_others(), *_bugs())))


def _traces() -> Iterator[str]:
    yield from ("## Each trace, and the rules that keep it out", "")
    yield "Take all rules of a line away, and the trace is back within so many of its schedules; with fewer it is not."
    yield from ("", "| Trace | In words | Without | Breaks | Within |", "|---|---|---|---|---|")
    for line in LINES:
        told = BY_NAME[line.trace].sentence
        yield f"| {line.trace} | {told} | {_rules(line)} | {_breaks(line)} | {line.within} |"
    yield ""


def _others() -> Iterator[str]:
    yield from ("## Rules that no trace needs", "", "Each has schedules of its own.", "")
    yield from ("| Rule | Why no trace needs it | Breaks | Within |", "|---|---|---|---|")
    for line in UNTRACED:
        yield f"| {_rules(line)} | {line.reason} | {_breaks(line)} | {line.within} |"
    yield ""


def _bugs() -> Iterator[str]:
    yield from (
        "## Everyday bugs",
        "",
        "Each put into the real code, and found by random schedules within so many.",
        "",
    )
    yield from ("| Bug | In words | Within |", "|---|---|---|")
    for bug in BUGS:
        yield f"| `{bug.name}` | {bug.told} | {bug.within:,} |"
    yield ""


def _rules(line: Line) -> str:
    return " and ".join(rule_link(name) for name in line.rules)


def _breaks(line: Line) -> str:
    """The invariants by which it may be told."""
    return ", ".join(sorted(BY_NAME[line.trace].breaks))
