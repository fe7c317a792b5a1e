"""A verdict in a line, for a shell and for the summary of pytest."""

from session_scoping.rules.verdict import Verdict


def headline(verdict: Verdict) -> str:
    """Return the worst finding, or the sentence of the verdict if there is none."""
    if not verdict.findings:
        return verdict.sentence
    worst = verdict.findings[0]
    why = worst.cause.name if worst.cause else worst.violations[0].what
    return f"{verdict.names(worst)} breaks {', '.join(worst.rules)}: {why}"


def nothing_seen(verdict: Verdict, advice: str) -> str:
    """Return why a verdict saw nothing, by the first view that did not work.

    ``advice`` is what to do if the client was not allowed to see the view.
    """
    recording = verdict.recording
    models = {number for number, view in enumerate(recording.views) if view.model}
    for failure in verdict.failures:
        if failure.view in models and failure.operation:
            name, why = verdict.label(failure.view), failure.failure
            return f"nothing was seen: {name}, {failure.does}: {why}: fix it first"
    if verdict.stopped:
        first = verdict.stopped[0]
        name = first.path if first.view is None else verdict.label(first.view)
        where = first.stopped[0].own or first.stopped[0].place
        return (
            f"nothing was seen: {name}, {first.operation or first.method} tries to "
            f"write, and was stopped ({where}): name a factory that makes the app "
            "without this write"
        )
    for unseen in recording.unseen:
        if unseen.view in models:
            name = verdict.label(unseen.view)
            return (
                f"nothing was seen: {name}, {unseen.operation} {unseen.why}: {advice}"
            )
    return verdict.sentence
