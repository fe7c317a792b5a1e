"""The findings as SARIF 2.1.0, which code scanning takes.

https://docs.oasis-open.org/sarif/sarif/v2.1.0/sarif-v2.1.0.html
https://docs.github.com/en/code-security/code-scanning/integrating-with-code-scanning/sarif-support-for-code-scanning
"""

import json
import typing as t
from urllib.parse import quote

import session_scoping.pages as pages
from session_scoping import __version__
from session_scoping.report.alerts import Alert
from session_scoping.report.alerts import alerts
from session_scoping.report.alerts import Spot
from session_scoping.rules.verdict import Verdict

SCHEMA = "https://docs.oasis-open.org/sarif/sarif/v2.1.0/errata01/os/schemas/sarif-schema-2.1.0.json"
ROOT = "%SRCROOT%"  # the name that GitHub gives to the root of the repository

Json = dict[str, t.Any]


def sarif(verdict: Verdict) -> str:
    """Return the findings as SARIF. A cause is a rule of SARIF, a finding a result."""
    found = alerts(verdict)
    rules = {alert.page: _rule(alert) for alert in found}
    names = [*rules]
    # GitHub refuses a result without a place: see github/codeql-action issue 2459.
    module = verdict.recording.app.partition(":")[0]
    path = module if module.endswith(".py") else f"{module.replace('.', '/')}.py"
    anywhere = Spot(path, 1)
    driver = {
        "name": "session-scoping",
        "version": __version__,
        "rules": [*rules.values()],
    }
    run = {
        "tool": {"driver": driver},
        "results": [
            _result(alert, names.index(alert.page), anywhere) for alert in found
        ],
    }
    return json.dumps({"$schema": SCHEMA, "version": "2.1.0", "runs": [run]}, indent=2)


def _rule(alert: Alert) -> Json:
    fix = f"\n\nChange:\n\n{alert.fix}" if alert.fix else ""
    more = f"\n\nSee {alert.link}" if alert.link else ""
    rule: Json = {
        "id": alert.page,
        "shortDescription": {"text": alert.title},
        "fullDescription": {"text": alert.why},
        "help": {
            "text": f"{alert.why}{fix}{more}",
            "markdown": pages.text(alert.page),
        },
        "defaultConfiguration": {"level": "error"},
    }
    return rule | ({"helpUri": alert.link} if alert.link else {})


def _result(alert: Alert, rule: int, anywhere: Spot) -> Json:
    result: Json = {
        "ruleId": alert.page,
        "ruleIndex": rule,
        "level": "error",
        "message": {"text": alert.message},
        "locations": [_location(spot) for spot in alert.spots[:1] or [anywhere]],
    }
    related = [
        {"id": number, **_location(spot)}
        for number, spot in enumerate(alert.spots[1:], 1)
    ]
    return result | ({"relatedLocations": related} if related else {})


def _location(spot: Spot) -> Json:
    return {
        "physicalLocation": {
            "artifactLocation": {"uri": quote(spot.path), "uriBaseId": ROOT},
            "region": {"startLine": spot.line},
        }
    }
