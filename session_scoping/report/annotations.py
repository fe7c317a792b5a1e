"""Annotations of GitHub Actions: errors at lines of a pull request.

https://docs.github.com/en/actions/reference/workflow-commands-for-github-actions
"""

import os

from session_scoping.report.alerts import Alert
from session_scoping.report.alerts import alerts
from session_scoping.rules.verdict import Verdict

# What must not stand in a message, and what must not stand in a property either.
IN_MESSAGE = str.maketrans({"%": "%25", "\r": "%0D", "\n": "%0A"})
IN_PROPERTY = {**IN_MESSAGE, **str.maketrans({":": "%3A", ",": "%2C"})}


def annotations(verdict: Verdict) -> list[str]:
    """Return a workflow command for each finding if GitHub runs this, else none."""
    if os.environ.get("GITHUB_ACTIONS") != "true":
        return []
    return [_annotation(alert) for alert in alerts(verdict)]


def _annotation(alert: Alert) -> str:
    properties = {"title": alert.title}
    if alert.spots:
        path, line = alert.spots[0]
        properties = {"file": path, "line": str(line), **properties}
    given = ",".join(
        f"{name}={value.translate(IN_PROPERTY)}" for name, value in properties.items()
    )
    return f"::error {given}::{alert.message.translate(IN_MESSAGE)}"
