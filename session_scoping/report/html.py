"""The report as a single HTML file, to open from a disk, a mail or a CI artifact."""

import base64
import hashlib
import re
import typing as t
from collections import Counter
from dataclasses import fields
from dataclasses import is_dataclass
from importlib.resources import files

from jinja2 import Environment
from jinja2 import StrictUndefined
from markupsafe import escape
from markupsafe import Markup

from session_scoping.recording import NOBODY
from session_scoping.recording import Place
from session_scoping.recording import Recording
from session_scoping.recording import Request
from session_scoping.rules.cells import State
from session_scoping.rules.rules import RULES
from session_scoping.rules.verdict import Verdict

Tally = list[
    tuple[Request, str, int]
]  # the first request of its kind, what it did, how many


def html(verdict: Verdict) -> str:
    """Return a page with a verdict and its recording. The page loads nothing."""
    recording = verdict.recording
    style, script = _part("report.css"), _part("report.js")
    environment = Environment(
        autoescape=True,
        trim_blocks=True,
        lstrip_blocks=True,
        undefined=StrictUndefined,
    )
    environment.policies["json.dumps_kwargs"] = {"separators": (",", ":")}
    environment.filters["with_code"] = _with_code
    page = environment.from_string(_part("report.html")).render(
        verdict=verdict,
        recording=recording,
        state=_state(verdict),
        sentence=_sentence(verdict),
        remarks=_remarks(verdict),
        rules=RULES,
        sentences={rule.name: rule.sentence for rule in RULES},
        views=_rows(recording),
        label=verdict.label,
        distinct=lambda values: list(dict.fromkeys(filter(None, values))),
        libraries=lambda finding: [
            violation.place
            for violation in finding.violations
            if violation.place != violation.own
        ],
        failures=_tally(verdict.failures, _why),
        stopped=_tally(verdict.stopped, _write),
        data=_data(verdict),
        style=Markup(style),
        script=Markup(script),
        style_hash=_hash(style),
        script_hash=_hash(script),
    )
    # A path that is not Unicode holds lone surrogates, which cannot be encoded.
    return page.encode(errors="backslashreplace").decode()


def _part(name: str) -> str:
    return files(__package__).joinpath(name).read_text(encoding="utf-8")


def _hash(text: str) -> str:
    digest = hashlib.sha256(text.encode()).digest()
    return f"sha256-{base64.b64encode(digest).decode()}"


def _state(verdict: Verdict) -> str:
    if not verdict.holds:
        return "broken"
    return "holds" if verdict.proven else "not seen"


def _sentence(verdict: Verdict) -> str:
    known = _count(len(verdict.recording.views), "view")
    seen = verdict.seen - {NOBODY}
    if verdict.violations:
        broken = {violation.rule for violation in verdict.violations}
        text = f"{len(broken)} of {len(RULES)} rules "
        text += "is broken" if len(broken) == 1 else "are broken"
        within = {violation.view for violation in verdict.violations} - {NOBODY}
        if within:
            text += f", in {len(within)} of {known}"
    elif verdict.proven:
        text = f"Sessions are request-scoped, in {len(seen)} of {known}"
    elif verdict.seen:
        text = "No session was seen in a view of an admin, so little is known"
    else:
        text = "Nothing was seen, so nothing is known"
    if verdict.stopped:
        text += f"; {_count(len(verdict.stopped), 'request')} tried to write"
    return f"{text}."


def _remarks(verdict: Verdict) -> t.Iterator[str]:
    """Yield the limits of the sentence."""
    seen = verdict.seen - {NOBODY}
    untried = [
        rule.name
        for rule in RULES
        if seen
        and all(verdict.cell(view, rule.name) is State.NOT_TRIED for view in seen)
    ]
    if untried:
        yield f"Not tried in any view: {', '.join(untried)}."
    if verdict.failures:
        yield f"{_count(len(verdict.failures), 'request')} did not work."


def _count(number: int, what: str) -> str:
    return f"{number:,} {what}" + ("" if number == 1 else "s")


def _with_code(text: str) -> Markup:
    """Show text between backticks as code."""
    return Markup(re.sub("`([^`]+)`", r"<code>\1</code>", str(escape(text))))


def _rows(recording: Recording) -> list[int]:
    """Return the views, and ``NOBODY`` if requests came to no view."""
    beside = any(request.view == NOBODY for request in recording.requests)
    return [*range(len(recording.views)), *([NOBODY] if beside else [])]


def _why(request: Request) -> list[str]:
    return [request.error or request.broke_off or request.wrong]


def _write(request: Request) -> list[str]:
    return [
        "\n".join(filter(None, [stopped.sql, str(stopped.own or stopped.place or "")]))
        for stopped in request.stopped
    ]


def _tally(
    requests: list[Request], say: t.Callable[[Request], t.Iterable[str]]
) -> Tally:
    """Group requests that did the same."""
    counts: Counter[tuple[int, str, str]] = Counter()
    first: dict[tuple[int, str, str], Request] = {}
    for request in requests:
        done = request.operation or f"{request.method} {request.path}"
        for what in say(request):
            key = request.view, done, what
            counts[key] += 1
            first.setdefault(key, request)
    return [(first[key], key[2], number) for key, number in counts.most_common()]


def _data(verdict: Verdict) -> dict[str, t.Any]:
    """Return what the timeline draws.

    Default values are left out, and each place is in it once: thousands of requests use
    a few lines of code.
    """
    recording = verdict.recording
    places: dict[str, int] = {}
    return {
        "rules": {rule.name: rule.sentence for rule in RULES},
        "engines": recording.engines,
        "views": [
            _slim(view, places) | {"label": verdict.label(number)}
            for number, view in enumerate(recording.views)
        ],
        "requests": _slim(recording.requests, places),
        "sessions": _slim(recording.sessions, places),
        "kept_instances": _slim(recording.kept_instances, places),
        "unreturned": _slim(recording.unreturned, places),
        "late_commits": _slim(recording.late_commits, places),
        "violations": _slim(verdict.violations, places),
        "places": list(places),
    }


def _slim(value: t.Any, places: dict[str, int]) -> t.Any:
    if isinstance(value, Place):
        return places.setdefault(str(value), len(places))
    if is_dataclass(value):
        own = ((field, getattr(value, field.name)) for field in fields(value))
        return {
            field.name: _slim(got, places)
            for field, got in own
            if got != field.default and got not in (None, (), [])
        }
    if isinstance(value, list | tuple):
        return [_slim(item, places) for item in value]
    return round(value, 6) if isinstance(value, float) else value
