"""A verdict in a line, for a shell and for the summary of pytest."""

from session_scoping.recording import Obstacle
from session_scoping.recording import OperationKind
from session_scoping.rules.finding import Finding
from session_scoping.rules.verdict import Outcome
from session_scoping.rules.verdict import Verdict

FORMS = {OperationKind.CREATE, OperationKind.CREATE_FORM}


def headline_of(verdict: Verdict, finding: Finding) -> str:
    """Return a finding in a line: who breaks which rules, and why."""
    why = finding.cause.name if finding.cause else finding.violations[0].what
    return f"{breaks(verdict, finding)}: {why}"


def breaks(verdict: Verdict, finding: Finding) -> str:
    """Return which views break which rules."""
    verb = "break" if len(finding.views) > 1 else "breaks"
    return f"{verdict.names(finding)} {verb} {', '.join(finding.rules)}"


def _nothing_written(verdict: Verdict, advice: str) -> str:
    """Return why no row was made, by the first view that did not take a row."""
    views = verdict.recording.views
    failed = {(request.view, request.operation) for request in verdict.failures}
    for unseen in verdict.recording.unseen:
        if unseen.operation.kind in FORMS and views[unseen.view].row_made is False:
            name = verdict.label(unseen.view)
            why = f"nothing was written: {name}, {unseen.operation}: {unseen.why}"
            if (unseen.view, unseen.operation) in failed:
                return f"{why}: fix it first"
            return f"{why}: {advice}" if unseen.obstacle == Obstacle.CLIENT else why
    return verdict.sentence


def nothing_seen(verdict: Verdict, advice: str) -> str:
    """Return why a verdict saw or wrote nothing, by the first view that did not work.

    ``advice`` is what to do if the client was not allowed to see the view.
    """
    recording = verdict.recording
    if verdict.outcome == Outcome.NOTHING_WRITTEN:
        return _nothing_written(verdict, advice)
    models = {number for number, view in enumerate(recording.views) if view.model}
    for failure in verdict.failures:
        if failure.view in models and failure.operation:
            name, why = verdict.label(failure.view), failure.failure
            return f"nothing was seen: {name}, {failure.does}: {why}: fix it first"
    for request in verdict.hindered:
        name = request.path if request.view is None else verdict.label(request.view)
        return (
            f"nothing was seen: {name}, {request.operation or request.method}: "
            f"{request.failure}: nothing is written while pages are read: name a "
            "factory that makes the app without this write"
        )
    for unseen in recording.unseen:
        if unseen.view in models:
            name = verdict.label(unseen.view)
            if unseen.obstacle == Obstacle.PATTERN:
                advice = "skip fewer endpoints"
            return (
                f"nothing was seen: {name}, {unseen.operation} {unseen.why}: {advice}"
            )
    return verdict.sentence
