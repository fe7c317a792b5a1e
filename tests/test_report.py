"""The HTML report as a file. ``test_browser`` opens it."""

import json
import re
import typing as t
from html import unescape
from importlib.resources import files
from pathlib import Path

import pytest

from session_scoping import report as reports
from session_scoping.recording import Maker
from session_scoping.recording import Operation
from session_scoping.recording import OperationKind
from session_scoping.recording import Place
from session_scoping.recording import Recording
from session_scoping.recording import Request
from session_scoping.recording import Session
from session_scoping.recording import Use
from session_scoping.recording import View
from session_scoping.report.html import html
from session_scoping.report.picture import Picture
from session_scoping.report.run import command_line
from session_scoping.report.verdict import lines_of
from session_scoping.report.verdict import text
from session_scoping.rules.judge import judge
from session_scoping.rules.rules import Rule
from tests.runs import crowded
from tests.runs import healthy
from tests.runs import HOSTILE
from tests.runs import hostile
from tests.runs import KEEPER
from tests.runs import leaking
from tests.runs import LIBRARY
from tests.runs import OWN
from tests.runs import RUN


def page_of(recording: Recording) -> str:
    return html(judge(recording), RUN)


def data_of(page: str) -> t.Any:
    """Return the data in a report, parsed as a browser does."""
    found = re.search(r'<script type="application/json" id="data">(.*?)</script>', page)
    assert found
    return json.loads(found[1])


def test_the_data_in_the_file_is_that_of_the_verdict() -> None:
    verdict = judge(leaking(40))
    data = data_of(html(verdict, RUN))

    assert [(request["path"], request["status"]) for request in data["requests"]] == [
        (request.path, request.status) for request in verdict.recording.requests
    ]
    assert [
        [use["session"] for use in request["uses"]] for request in data["requests"]
    ] == [
        [use.session for use in request.uses] for request in verdict.recording.requests
    ]
    leak = data["sessions"][40]
    assert (leak["kept"], leak["kept_by"]) == (True, list(KEEPER))
    assert data["places"][leak["place"]] == str(LIBRARY)
    assert data["places"][leak["own"]] == str(OWN)
    [finding] = verdict.findings
    assert data["findings"] == [finding.title]
    assert [violation["rule"] for violation in data["violations"]] == finding.rules


def test_hostile_text_cannot_end_the_script_that_holds_the_data() -> None:
    page = page_of(hostile())

    assert HOSTILE not in page
    assert data_of(page)["requests"][0]["path"] == HOSTILE


def test_a_report_with_a_path_that_is_not_unicode_can_be_saved(tmp_path: Path) -> None:
    recording = healthy(4)
    recording.requests[0].uses = [Use(0, Place("caf\udce9.py", 1, "f"))]

    report = tmp_path / "report.html"
    report.write_text(page_of(recording), encoding="utf-8")
    assert ".py:1 in f" in report.read_text(encoding="utf-8")


def overlapping(recording: Recording) -> Recording:
    for request in recording.requests:
        request.ended = request.started + 1.5
    return recording


def test_the_heading_is_the_sentence_of_the_verdict() -> None:
    sentence = "3 of 7 rules are broken, in 1 of 4 views: handle, fresh, released."
    assert f"</span> {sentence}</h1>" in page_of(leaking(40))


def test_a_rule_that_was_tried_in_no_view_is_named() -> None:
    page = page_of(overlapping(healthy(40)))

    assert "Not tried in any view: recovers (it needs --faults)." in page
    assert "Not tried in any view: isolated, recovers (it needs --faults)." in page_of(
        healthy(40)
    )


def rows_of(page: str) -> dict[str, list[str]]:
    """Return the states of each row of the table, by the name of the view."""
    found = re.findall(r'<th scope="row"><a [^>]*>(.*?)</a>(.*?)</tr>', page, re.DOTALL)
    return {name: re.findall(r"<span>([a-z ]+)</span>", row) for name, row in found}


def test_each_cell_of_the_table_has_the_state_of_the_verdict() -> None:
    verdict = judge(leaking(40))
    rows = rows_of(html(verdict, RUN))

    assert len(rows) == len(verdict.rows)
    for view in verdict.rows:
        states = [verdict.cell(rule, view).state for rule in Rule]
        assert rows[verdict.label(view)] == states


def test_a_known_defect_is_explained_below_the_table() -> None:
    recording = healthy(4)
    recording.stack["Flask"] = "3.1.3"
    recording.requests[0].path = "/admin/user/export/csv/"
    recording.requests[0].streamed = True
    recording.requests[0].stream_exception = "DetachedInstanceError: no session"
    page = page_of(recording)
    assert '<td class="known-broken"' in page
    assert "known broken [1]" in page
    assert "[1] Flask 3.1.2 and newer end the app context" in page


def test_what_fails_several_times_is_reported_once() -> None:
    recording = healthy(40)
    for request in recording.requests[1::5]:
        request.view, request.unexpected = 1, "the row is not in the list"
    page = page_of(recording)

    assert page.count("the row is not in the list</span>") == 1
    assert '<a href="#request=1">request 1</a> and 7 more: PostView' in page


def test_a_report_says_when_and_how_it_was_made() -> None:
    page = page_of(healthy(4))
    assert '<time datetime="2026-02-03T14:05:00+00:00">' in page
    assert "3 February 2026, 14:05 UTC</time> by flask-admin-session-scoping 0." in page
    assert "<code>flask --app shop session-scoping --html report.html</code>" in page
    assert "Flask-Admin 2.2.1, Flask 3.1.3, SQLAlchemy 2.0.44" in page


@pytest.mark.parametrize(
    ("arguments", "command"),
    [
        (["/a/venv/bin/flask", "--app", "shop"], "flask --app shop"),
        (
            ["/a/session_scoping/__main__.py", "verdict"],
            "python -m session_scoping verdict",
        ),
        (["flask", "--app", 'shop:make("a b")'], """flask --app 'shop:make("a b")'"""),
        (["flask", "--app", "s:f('db://me:p@ss@a/b')"], "db://me:***@a/b"),
    ],
)
def test_a_command_line_is_as_it_was_typed_without_passwords(
    arguments: list[str], command: str
) -> None:
    found = command_line(arguments)
    assert command in found
    assert "p@ss" not in found


def test_a_finding_has_the_lines_of_the_terminal() -> None:
    verdict = judge(leaking(40))
    [finding] = verdict.findings
    page = " ".join(unescape(re.sub("<[^>]+>", " ", page_of(leaking(40)))).split())
    lines = [
        " ".join(part.replace("`", "").split())
        for line in lines_of(verdict, finding)
        for part in (line.label.rstrip(": "), line.text)
    ]
    assert {"fresh", "your code", "kept by", "change"} < {*lines}
    command = "session-scoping explain raw-session"  # the page has it inside
    assert [line for line in lines if line not in page] == [command]
    title = "A raw session given to a view</a>"
    assert f'<a href="#about-raw-session">{title}' in page_of(leaking(40))
    assert 'id="about-raw-session"' in page_of(leaking(40))


def test_broken_views_are_first_and_the_most_broken_before_all() -> None:
    recording = crowded(leaks=True)
    recording.views[60].session = len(recording.sessions) - 1
    rows = [*rows_of(page_of(recording))]
    assert rows[:4] == ["View060", "View030", "View090", "View000"]


def test_the_terminal_has_the_views_in_the_same_order() -> None:
    """Views with no broken rule are in the order of the app, whatever was tried."""
    recording = leaking(40)
    first, last = recording.views[0], recording.views[-1]
    for request in recording.requests:
        if recording.views[request.view or 0] is first:
            request.uses = []
    table = text(judge(recording)).partition("view  ")[2].partition("\n\n")[0]
    names = [line.split()[0] for line in table.splitlines()[1:] if line[0] != " "]
    assert names == [*rows_of(page_of(recording))]
    assert names[1] == first.name
    assert names[-1] == last.name


def test_operations_are_named_once_and_apart() -> None:
    """The name of an operation may have a comma."""
    lists = [Operation(OperationKind.LIST, variant=name) for name in ("", "searched")]
    recording = leaking(40)
    for request in recording.requests:
        if request.view == 2:
            request.operation = lists[request.number % 2]
    printed = text(judge(recording))
    assert printed.count('seen in:   "list", "list, searched"\n') == 1
    assert " in list" not in printed


def test_a_picture_has_a_description() -> None:
    recording = leaking(40)
    recording.requests[0].uses = []
    recording.requests[5].uses = [Use(5, LIBRARY, OWN)]
    recording.sessions[5].released = 9.1  # four requests later
    assert Picture(judge(recording)).description == (
        "Session 40 breaks handle, fresh, released: it serves 10 requests, and is "
        "never closed. Session 5 breaks released: it serves 1 request. "
        "All 39 other sessions end in the request in which they began. "
        "1 request uses no session: its column is empty."
    )
    assert Picture(judge(healthy(4))).description == (
        "All 4 sessions end in the request in which they began."
    )
    beside = healthy(4)
    beside.requests[0].uses = []
    beside.sessions[0].born_in = None
    assert Picture(judge(beside)).description == (
        "All 3 sessions end in the request in which they began. 1 session was used "
        "outside of all requests. 1 request uses no session: its column is empty."
    )


def test_a_picture_without_javascript_has_a_line_for_each_session() -> None:
    picture = Picture(judge(leaking(4)))
    # Columns: before, 4 requests, after. Rows: the leak, then a staircase.
    assert picture.size == (6, 5)
    assert picture.path(broken=True) == "m0 0h6"
    assert picture.path(broken=False) == "m1 1h1m0 1h1m0 1h1m0 1h1"


@pytest.mark.parametrize(
    ("changes", "first", "last"),
    [
        ({"closed": True, "released": 7.1}, None, None),  # on a thread
        ({"closed": False}, None, 9),
        ({"closed": True, "born_in": 3, "released": 7.1}, 3, 7),
        ({"closed": True, "kept": True, "born_in": 3}, 3, 9),
    ],
)
def test_a_bar_goes_from_the_first_use_to_the_end(
    changes: dict[str, t.Any], first: int | None, last: int | None
) -> None:
    recording = healthy(10)
    recording.sessions.append(Session(10, Maker.HAND, [0], **changes))
    [bar] = [bar for bar in Picture(judge(recording)).bars if bar.session == 10]
    assert (bar.first, bar.last) == (first, last)


def luminance(colour: str) -> float:
    channels = (int(colour[start : start + 2], 16) / 255 for start in (1, 3, 5))
    red, green, blue = (
        channel / 12.92 if channel <= 0.04045 else ((channel + 0.055) / 1.055) ** 2.4
        for channel in channels
    )
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue


@pytest.mark.parametrize("scheme", [0, 1], ids=["light", "dark"])
@pytest.mark.parametrize("ground", ["ground", "raised"])
@pytest.mark.parametrize(
    ("name", "least"),
    [
        ("text", 4.5),
        ("quiet", 4.5),
        ("link", 4.5),
        ("broken", 4.5),
        ("holds", 4.5),
        ("known", 4.5),
        ("healthy", 3),
    ],
)
def test_colours_have_the_contrast_of_wcag_aa(
    name: str, ground: str, least: float, scheme: int
) -> None:
    style = files(reports).joinpath("base.css").read_text()
    pairs = dict(re.findall(r"--(\w+): light-dark\((.*?)\);", style))
    dim, bright = sorted(
        luminance(pairs[colour].split(", ")[scheme]) for colour in (name, ground)
    )

    assert (bright + 0.05) / (dim + 0.05) >= least


def test_an_error_is_printed_once() -> None:
    recording = healthy(8)
    for request in recording.requests[2:6]:
        request.exception, request.status = "ValueError: no (shop.py:3)", 500
    printed = " ".join(text(judge(recording)).split())
    assert printed.count("ValueError") == 1
    assert f"GET {recording.requests[2].path}" in printed
    assert "and 3 more: ValueError: no (shop.py:3)" in printed


def test_a_finding_names_all_its_views() -> None:
    line = Place("shop.py", 3, "load_user")
    sessions = [Session(n, Maker.HAND, [0], born_in=n, own=line) for n in range(6)]
    requests = [
        Request(n, "GET", "/", n, status=200, ended=1.0, uses=[Use(n)])
        for n in range(6)
    ]
    views = [View(f"View{n}", f"view{n}", "User") for n in range(6)]
    seen = Recording("shop", {}, ["sqlite:///shop.db"], views, requests, sessions)
    verdict = judge(seen)
    assert len(verdict.findings) == 1
    assert "in: View0, View1, View2, View3, View4, View5" in text(verdict)
