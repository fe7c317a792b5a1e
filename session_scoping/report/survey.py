"""The summary of a survey: which rule holds with which handle."""

import typing as t

import session_scoping.pages as pages
from session_scoping.compare.survey import Survey
from session_scoping.report.summary import distinct
from session_scoping.report.summary import Line
from session_scoping.report.summary import lines
from session_scoping.report.summary import of_cells
from session_scoping.report.summary import Section
from session_scoping.report.summary import shortened
from session_scoping.report.summary import Style
from session_scoping.report.summary import Summary
from session_scoping.report.summary import Table
from session_scoping.rules.cells import State
from session_scoping.rules.defects import notes
from session_scoping.rules.finding import Label
from session_scoping.rules.handles import HANDLES
from session_scoping.rules.rules import Rule
from session_scoping.status import Status
from session_scoping.watch.versions import STACK

SENTENCES = {
    Status.HOLDS: "sessions are request-scoped",
    Status.BROKEN: "a rule is broken",
    Status.CANNOT_TELL: "could not tell",
}
FEW = 3  # the violations that are printed for a rule: --json has all


def summarize(survey: Survey) -> Summary:
    """Return the summary of a survey."""
    rows = (
        (rule, of_cells(survey.cell(rule, handle) for handle in HANDLES))
        for rule in Rule
    )
    return Summary(
        status=survey.status,
        about=lines(_versions(survey)),
        tables=(Table("rule", HANDLES, tuple(rows)),),
        notes=tuple(_notes(survey)),
        sections=tuple(_sections(survey)),
        sentence=f"{_sentence(survey)}.",
        versions=_table_of_versions(survey),
    )


def _versions(survey: Survey) -> str:
    known = survey.stack
    found = [
        f"{package} {known[package]}" if package in known else f"no {package}"
        for package in STACK
    ]
    return ", ".join([*found, f"Python {survey.python}"])


def _table_of_versions(survey: Survey) -> Table:
    found = {
        **{package: survey.stack.get(package, "none") for package in STACK},
        "Python": survey.python,
    }
    rows = tuple((name, (Line(version),)) for name, version in found.items())
    return Table("package", ("release",), rows)


def _sentence(survey: Survey) -> str:
    if survey.does_not_import:
        return f"could not tell: {survey.does_not_import}"
    known = any(cell.state == State.KNOWN for cell in survey.cells)
    holds = survey.status == Status.HOLDS
    but = ", except for the known defects above" if known and holds else ""
    return SENTENCES[survey.status] + but


def _notes(survey: Survey) -> t.Iterator[str]:
    """Yield lines that explain cells: known defects, and why a cell is not tried."""
    yield from notes(survey.cells)
    for handle, why in survey.not_tried.items():
        yield f"{handle} was not tried: it {why}"
    yield from survey.wrong


def _sections(survey: Survey) -> t.Iterator[Section]:
    """Yield the violations that no known defect explains."""
    for cell in survey.cells:
        if cell.state == State.BROKEN:
            seen = shortened(distinct(cell.seen), FEW)
            title = f"{cell.rule} is broken with {cell.subject}:"
            more = Line(pages.command(cell.rule), Style.QUIET, f"{Label.MORE}:")
            yield Section(title, (*lines(*seen), more), Style.BAD)
