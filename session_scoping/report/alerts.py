"""The findings of a verdict at lines of a repository, as a pull request shows them."""

import typing as t
from dataclasses import dataclass
from pathlib import Path

from session_scoping.recording import Place
from session_scoping.report.lines import breaks
from session_scoping.report.summary import Line
from session_scoping.report.summary import Style
from session_scoping.report.verdict import lines_of
from session_scoping.rules.finding import Finding
from session_scoping.rules.verdict import Verdict


class Spot(t.NamedTuple):
    """A line of a file. The path is relative to the repository, with slashes."""

    path: str
    line: int


@dataclass(frozen=True)
class Alert:
    """A finding at the line that causes it."""

    title: str
    page: str  # the name of the page about its cause, or about its first rule
    why: str  # the cause, or what is right
    fix: str  # of the cause, as code; empty if it is not known
    link: str  # to what is known of the cause, or empty
    message: str
    spots: tuple[Spot, ...]  # in the repository, the cause first


def alerts(verdict: Verdict) -> list[Alert]:
    """Return an alert for each finding, worst first."""
    root = repository()
    return [_alert(verdict, finding, root) for finding in verdict.findings]


def _alert(verdict: Verdict, finding: Finding, root: Path) -> Alert:
    cause = finding.cause
    lines = [_text(line) for line in lines_of(verdict, finding)]
    spots = (_spot(place, root) for place in _places(verdict, finding) if place)
    return Alert(
        title=finding.title,
        page=cause.page if cause else str(finding.rules[0]),
        why=cause.sentence if cause else finding.rules[0].sentence,
        fix=cause.fix if cause else "",
        link=cause.link if cause else "",
        message="\n".join([f"{breaks(verdict, finding)}.", *lines]),
        spots=tuple(dict.fromkeys(spot for spot in spots if spot)),
    )


def _text(line: Line) -> str:
    if line.style == Style.CODE:
        return line.text
    return f"{line.label} {line.text}".strip()


def _places(verdict: Verdict, finding: Finding) -> t.Iterator[Place | None]:
    """Yield the lines that a finding is about, beginning with its cause."""
    found = finding.violations
    yield from (violation.line for violation in found)
    yield from (violation.own for violation in found)
    yield from (violation.made for violation in found)
    yield from (violation.place for violation in found)
    views = verdict.recording.views
    yield from (views[view].place for view in finding.views if view is not None)


def _spot(place: Place, root: Path) -> Spot | None:
    """Return a place in the repository, or ``None`` if it is elsewhere."""
    file = (Path.cwd() / place.file).resolve()
    if not (file.is_file() and file.is_relative_to(root)):
        return None
    return Spot(file.relative_to(root).as_posix(), place.line)


def repository() -> Path:
    """Return the root of the repository, or the current directory if there is none."""
    here = Path.cwd().resolve()
    folders = (folder for folder in (here, *here.parents) if (folder / ".git").exists())
    return next(folders, here)
