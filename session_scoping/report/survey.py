"""Which rule holds with which handle, as text and as a page."""

import typing as t

from rich.console import Group
from rich.console import RenderableType
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from session_scoping.compare.survey import Survey
from session_scoping.report.page import render_page
from session_scoping.rules.cells import Cell
from session_scoping.rules.cells import State
from session_scoping.rules.defects import notes
from session_scoping.rules.defects import word
from session_scoping.rules.handles import HANDLES
from session_scoping.rules.rules import Rule
from session_scoping.watch.stack import STACK

STYLES = {
    State.HOLDS: "green",
    State.BROKEN: "bold red",
    State.KNOWN: "yellow",
    State.NOT_TRIED: "dim",
    State.NOT_REACHED: "dim",
}
SENTENCES = {
    0: "sessions are request-scoped",
    1: "a rule is broken",
    2: "could not tell",
}
FEW = 3  # the violations that are printed for a rule: --json has all


def versions(survey: Survey) -> str:
    """Return the packages and releases that the verdict is about."""
    known = survey.stack
    found = [
        f"{package} {known[package]}" if package in known else f"no {package}"
        for package in STACK
    ]
    return ", ".join([*found, f"Python {survey.python}"])


def sentence(survey: Survey) -> str:
    """Return the verdict in a sentence."""
    if survey.does_not_import:
        return f"could not tell: {survey.does_not_import}"
    known = any(cell.state == State.KNOWN for cell in survey.cells)
    but = ", except for the known defects above" if known and survey.status == 0 else ""
    return SENTENCES[survey.status] + but


def remarks(survey: Survey) -> t.Iterator[str]:
    """Yield lines that explain cells: known defects, and why a cell is not tried."""
    yield from notes(survey.cells)
    for handle, why in survey.not_tried.items():
        yield f"{handle} was not tried: it {why}"
    yield from survey.wrong


def broken(survey: Survey) -> list[Cell]:
    """Return the cells that no known defect explains."""
    return [cell for cell in survey.cells if cell.state == State.BROKEN]


def render(survey: Survey) -> RenderableType:
    """Return the table and its notes, as something that ``rich`` prints."""
    return Group(*_parts(survey))


def _parts(survey: Survey) -> t.Iterator[RenderableType]:
    yield Text(versions(survey))
    yield Text()
    table = Table("rule", *HANDLES, box=None, pad_edge=False, padding=(0, 1, 0, 0))
    for rule in Rule:
        cells = (survey.cell(rule, handle) for handle in HANDLES)
        table.add_row(rule, *(Text(word(cell), STYLES[cell.state]) for cell in cells))
    yield table
    yield Text()
    for remark in remarks(survey):
        yield Text(remark)
    for cell in broken(survey):
        yield Text(f"{cell.rule} is broken with {cell.subject}:", STYLES[State.BROKEN])
        for seen in cell.seen[:FEW]:
            yield Padding(Text(seen), (0, 0, 0, 3), expand=False)
        if len(cell.seen) > FEW:
            yield Padding(Text(f"and {len(cell.seen) - FEW} more"), (0, 0, 0, 3))
    yield Text(f"\nVerdict: {sentence(survey)}.", "bold")


def html(survey: Survey) -> str:
    """Return the survey as an HTML page that loads nothing."""
    return render_page(
        "survey.html",
        survey=survey,
        handles=HANDLES,
        rules=Rule,
        word=word,
        versions=versions(survey),
        sentence=sentence(survey),
        remarks=[*remarks(survey)],
        broken=broken(survey),
    )
