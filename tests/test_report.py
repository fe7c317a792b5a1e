"""The HTML report: its file, and the page that a browser shows."""

import importlib.util
import json
import re
import typing as t
from importlib.resources import files
from pathlib import Path

import pytest

from session_scoping import report as reports
from session_scoping.recording import Fault
from session_scoping.recording import Injected
from session_scoping.recording import Maker
from session_scoping.recording import Operation
from session_scoping.recording import OperationKind
from session_scoping.recording import Outside
from session_scoping.recording import Place
from session_scoping.recording import Recording
from session_scoping.recording import Request
from session_scoping.recording import Session
from session_scoping.recording import Stopped
from session_scoping.recording import Unseen
from session_scoping.recording import Use
from session_scoping.recording import View
from session_scoping.report.html import html
from session_scoping.rules.judge import judge
from session_scoping.rules.rules import Rule
from tests.conftest import skip_or_fail

if t.TYPE_CHECKING or importlib.util.find_spec("playwright"):
    from playwright.sync_api import Browser
    from playwright.sync_api import expect
    from playwright.sync_api import Page
    from playwright.sync_api import sync_playwright

LIBRARY = Place("flask_admin/contrib/sqla/view.py", 1041, "get_list")
OWN = Place("shop/admin.py", 17, "create_app")
KEEPER = ("app.extensions['admin'][0]._views[2]", "UserView.session")
HOSTILE = "</script><script>alert(1)</script><!--<img src=x onerror=alert(2)>"
OPERATIONS = [
    Operation(OperationKind.LIST),
    Operation(OperationKind.LIST, variant="searched"),
    Operation(OperationKind.CREATE),
    Operation(OperationKind.EDIT),
    Operation(OperationKind.DELETE),
]


def healthy(number: int) -> Recording:
    """Record requests with a session each, closed at the end of the request."""
    views = [
        View("AdminIndexView", "admin"),
        View("PostView", "post", "Post", "flask_sqlalchemy.SQLAlchemy"),
        View("UserView", "user", "User", "flask_sqlalchemy.SQLAlchemy"),
        View("TagView", "tag", "Tag", "flask_sqlalchemy.SQLAlchemy"),
    ]
    requests, sessions = [], []
    for n in range(number):
        view = n * len(views) // number
        request = Request(n, "GET", f"/admin/{views[view].endpoint}/", view)
        request.operation = OPERATIONS[n % len(OPERATIONS)]
        request.status, request.statements = 200, 2
        request.taken = request.returned = 1
        request.started, request.ended = float(n), n + 0.5
        request.uses = [Use(n, LIBRARY, OWN, closed=True)]
        requests.append(request)
        session = Session(n, Maker.FLASK_SQLALCHEMY, [0], n, place=LIBRARY, own=OWN)
        session.closed, session.released = True, n + 0.4
        sessions.append(session)
    stack = {"Flask-Admin": "2.2.1", "Flask": "3.1.3", "SQLAlchemy": "2.0.44"}
    engines = ["sqlite:///shop.db"]
    return Recording("shop:app", stack, engines, views, requests, sessions)


def leaking(number: int) -> Recording:
    """Record the same, and a view whose session serves all its requests."""
    recording = healthy(number)
    leak = Session(number, Maker.HAND, [0], place=LIBRARY, own=OWN)
    leak.kept, leak.kept_by = True, KEEPER
    recording.sessions.append(leak)
    recording.views[2].session = leak.number
    recording.views[2].handle = "sqlalchemy.orm.Session"
    for request in recording.requests:
        if request.view == 2:
            request.uses = [Use(leak.number, LIBRARY, OWN)]
    return recording


def hostile() -> Recording:
    """Record a leak in which every text is an attack."""
    recording = leaking(4)
    recording.app = recording.engines[0] = HOSTILE
    recording.stack = {HOSTILE: HOSTILE}
    recording.notes = [HOSTILE]
    recording.unseen = [Unseen(0, Operation(OperationKind.PAGE, HOSTILE), HOSTILE)]
    place = Place(HOSTILE, 1, HOSTILE)
    for view in recording.views:
        view.name = view.endpoint = view.model = view.handle = HOSTILE
    for request in recording.requests:
        request.path = HOSTILE
        request.operation = Operation(OperationKind.PAGE, HOSTILE)
        request.thread = request.exception = request.unexpected = HOSTILE
        request.uses = [Use(use.session, place, place) for use in request.uses]
    recording.requests[1].stopped = [Stopped(HOSTILE, place, place)]
    for session in recording.sessions:
        session.place = session.own = place
        session.kept_by = ["app", HOSTILE]
    return recording


def data_of(page: str) -> t.Any:
    """Return the data in a report, parsed as a browser does."""
    found = re.search(r'<script type="application/json" id="data">(.*?)</script>', page)
    assert found
    return json.loads(found[1])


def test_the_data_in_the_file_is_that_of_the_verdict() -> None:
    verdict = judge(leaking(40))
    data = data_of(html(verdict))

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
    assert [violation["rule"] for violation in data["violations"]] == [
        violation.rule for violation in verdict.violations
    ]


def test_hostile_text_cannot_end_the_script_that_holds_the_data() -> None:
    page = html(judge(hostile()))

    assert HOSTILE not in page
    assert data_of(page)["requests"][0]["path"] == HOSTILE


def test_a_report_with_a_path_that_is_not_unicode_can_be_saved(tmp_path: Path) -> None:
    recording = healthy(4)
    recording.requests[0].uses = [Use(0, Place("caf\udce9.py", 1, "f"))]

    (tmp_path / "report.html").write_text(html(judge(recording)), encoding="utf-8")


def overlapping(recording: Recording) -> Recording:
    for request in recording.requests:
        request.ended = request.started + 1.5
    return recording


def test_the_heading_is_the_sentence_of_the_verdict() -> None:
    sentence = "3 of 7 rules are broken, in 1 of 4 views: handle, fresh, released."
    assert f"</span> {sentence}</h1>" in html(judge(leaking(40)))


def test_a_rule_that_was_tried_in_no_view_is_named() -> None:
    page = html(judge(overlapping(healthy(40))))

    assert "Not tried in any view: recovers." in page
    assert "Not tried in any view: isolated, recovers." in html(judge(healthy(40)))


def test_each_cell_of_the_table_has_the_state_of_the_verdict() -> None:
    verdict = judge(leaking(40))
    rows = re.findall(r'<th scope="row">.*?</tr>', html(verdict), re.DOTALL)

    for view, row in enumerate(rows):
        cells = re.findall(r"<span>([a-z ]+)</span>", row)
        assert cells == [verdict.cell(rule, view).state for rule in Rule]


def test_a_known_defect_is_explained_below_the_table() -> None:
    recording = healthy(4)
    recording.stack["Flask"] = "3.1.3"
    recording.requests[0].streamed = True
    recording.requests[0].stream_exception = "DetachedInstanceError: no session"
    page = html(judge(recording))
    assert '<td class="known-broken">' in page
    assert "known broken [1]" in page
    assert "[1] Flask 3.1.2 and newer end the app context" in page


def test_what_fails_several_times_is_reported_once() -> None:
    recording = healthy(40)
    for request in recording.requests[1::5]:
        request.view, request.unexpected = 1, "the row is not in the list"
    page = html(judge(recording))

    assert page.count("the row is not in the list</td>") == 1
    assert '<a href="#request=1">1</a> and 7 more' in page


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
        ("healthy", 3),
    ],
)
def test_colours_have_the_contrast_of_wcag_aa(
    name: str, ground: str, least: float, scheme: int
) -> None:
    style = files(reports).joinpath("report.css").read_text()
    pairs = dict(re.findall(r"--(\w+): light-dark\((.*?)\);", style))
    dim, bright = sorted(
        luminance(pairs[colour].split(", ")[scheme]) for colour in (name, ground)
    )

    assert (bright + 0.05) / (dim + 0.05) >= least


# -------------------------------------------------------------------------- a browser


@pytest.fixture(scope="module")
def browser(chromium: str) -> t.Iterator["Browser"]:
    if importlib.util.find_spec("playwright") is None:
        skip_or_fail("playwright is not installed: nothing to open the report with")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(
            executable_path=chromium, args=["--no-sandbox"]
        )
        yield browser
        browser.close()


class Open(t.Protocol):
    def __call__(
        self, recording: Recording, address: str = "", **options: t.Any
    ) -> "Page": ...


@pytest.fixture
def open_report(browser: "Browser", tmp_path: Path) -> t.Iterator[Open]:
    """Open reports from a file, offline.  No page logs a message or loads a URL."""
    contexts = []
    messages: list[str] = []
    urls: list[str] = []
    path = tmp_path / "report.html"

    def open_report(
        recording: Recording, address: str = "", **options: t.Any
    ) -> "Page":
        path.write_text(html(judge(recording)), encoding="utf-8")
        context = browser.new_context(offline=True, **options)
        contexts.append(context)
        page = context.new_page()
        page.on("console", lambda message: messages.append(message.text))
        page.on("pageerror", lambda error: messages.append(str(error)))
        page.on("dialog", lambda dialog: messages.append(dialog.message))
        page.on("request", lambda request: urls.append(request.url))
        page.goto(path.as_uri() + address)
        return page

    yield open_report
    for context in contexts:
        context.close()
    assert messages == []
    assert {url.partition("#")[0] for url in urls} <= {path.as_uri(), "data:,"}


def drawn(page: "Page", kind: str) -> int:
    """Count the bars, crosses … in the timeline."""
    path = page.locator(f"#drawing g > .{kind}").get_attribute("d")
    return (path or "").count("M")


def bars(page: "Page") -> tuple[int, int]:
    """Count the healthy and the broken bars in the timeline."""
    return drawn(page, "healthy"), drawn(page, "broken")


def choose(page: "Page", name: str, value: str) -> None:
    """Filter the sessions by a view or a rule."""
    page.get_by_role("combobox", name=name).select_option(value)


def middle(page: "Page", kind: str) -> tuple[float, float]:
    page.locator("#plot").scroll_into_view_if_needed()
    box = page.locator(f"#drawing g > .{kind}").bounding_box()
    assert box
    return box["x"] + box["width"] / 2, box["y"] + box["height"] / 2


@pytest.mark.parametrize("number", [1, 40, 300])
def test_a_healthy_app_is_a_staircase(open_report: Open, number: int) -> None:
    page = open_report(healthy(number))

    assert bars(page) == (number, 0)
    expect(page.locator("#count")).to_have_text(
        f"{number} of {number} sessions, 0 broken"
    )


def test_a_leak_is_one_long_bar_with_an_open_end(open_report: Open) -> None:
    page = open_report(leaking(300))

    assert bars(page) == (300, 1)
    path = page.locator("#drawing g > .broken").get_attribute("d") or ""
    assert "l" in path  # an open end has a tip
    box = page.locator("#drawing g > .broken").bounding_box()
    plot = page.locator("#plot").bounding_box()
    assert box
    assert plot
    assert box["width"] > 0.9 * plot["width"]
    assert drawn(page, "broken-use") == 75  # requests of its view


def test_a_session_of_a_thread_is_outside_of_any_request(open_report: Open) -> None:
    recording = healthy(40)
    thread = Session(40, Maker.FLASK_SQLALCHEMY, [0], closed=True, released=7.1)
    thread.outside = [Outside(LIBRARY, OWN, "worker-1")]
    recording.sessions.append(thread)
    page = open_report(recording, "#session=40")

    expect(page.locator("#panel")).to_contain_text("thread worker-1")
    expect(page.locator("#bar")).to_have_attribute(
        "aria-label", "Session 40, 1 of 41, from outside of any request"
    )


def test_a_session_of_startup_is_outside_of_any_request(open_report: Open) -> None:
    recording = healthy(40)
    startup = Session(
        40, Maker.FLASK_SQLALCHEMY, born_in=None, at_startup=True, closed=True
    )
    recording.sessions.append(startup)
    page = open_report(recording, "#session=40")

    expect(page.locator("#panel")).to_contain_text("the app was being built")
    assert bars(page) == (41, 0)


def test_failed_requests_are_marked(open_report: Open) -> None:
    recording = healthy(40)
    recording.requests[3].exception = "ValueError: no"
    recording.requests[5].status = 502
    recording.requests[7].injected = Injected(Fault.COMMIT, "COMMIT")
    page = open_report(recording)

    assert (drawn(page, "crosses"), drawn(page, "circles")) == (2, 1)


def test_sessions_are_filtered_by_view_by_rule_and_by_broken(open_report: Open) -> None:
    page = open_report(leaking(40))

    choose(page, "View", "1")
    assert bars(page) == (10, 0)
    choose(page, "View", "2")
    assert bars(page) == (0, 1)
    choose(page, "View", "")
    choose(page, "Rule", "fresh")
    assert bars(page) == (0, 1)
    choose(page, "Rule", "alive")
    expect(page.locator("#nothing")).to_have_text("No session matches.")
    choose(page, "Rule", "")
    page.get_by_label("only broken").check()
    assert bars(page) == (0, 1)
    page.get_by_label("only broken").uncheck()
    assert bars(page) == (40, 1)


def test_a_violation_without_a_session_links_to_its_request(open_report: Open) -> None:
    recording = healthy(40)
    recording.requests[6].taken = 2
    page = open_report(recording, "#rule=released")

    page.locator("#nothing").get_by_role("link", name="request 6").click()
    expect(page.locator("#panel")).to_contain_text("2 taken, 1 returned")


def test_the_address_keeps_the_filters_and_the_open_session(open_report: Open) -> None:
    page = open_report(leaking(40))
    choose(page, "View", "2")
    choose(page, "Rule", "fresh")
    page.get_by_label("only broken").check()
    page.mouse.click(*middle(page, "broken"))
    address = page.evaluate("location.hash")
    assert address == "#view=2&rule=fresh&broken=1&session=40"

    again = open_report(leaking(40), address)
    expect(again.get_by_role("combobox", name="View")).to_have_value("2")
    expect(again.get_by_role("combobox", name="Rule")).to_have_value("fresh")
    expect(again.get_by_label("only broken")).to_be_checked()
    expect(again.get_by_role("dialog", name="Session 40")).to_be_visible()

    again.keyboard.press("Escape")
    again.wait_for_url(lambda url: url.endswith("#view=2&rule=fresh&broken=1"))


def test_the_address_keeps_the_zoom(open_report: Open) -> None:
    page = open_report(healthy(300))
    page.get_by_role("button", name="Zoom in").click()
    page.get_by_role("button", name="Zoom in").click()
    page.wait_for_url("**#zoom=4.00&at=*")
    corner = page.locator("#plot").evaluate("element => element.scrollLeft")
    assert drawn(page, "healthy") < 300
    expect(page.locator("#overview")).to_be_visible()

    again = open_report(healthy(300), page.evaluate("location.hash"))
    assert (
        abs(again.locator("#plot").evaluate("element => element.scrollLeft") - corner)
        < 15
    )
    again.get_by_role("button", name="Fit").click()
    assert drawn(again, "healthy") == 300
    expect(again.locator("#overview")).to_be_hidden()


def test_a_cell_of_the_table_links_to_its_sessions(open_report: Open) -> None:
    page = open_report(leaking(40))
    row = page.get_by_role("row", name="UserView")
    row.get_by_role("link", name="broken").first.click()

    expect(page.locator("#count")).to_have_text("1 of 41 sessions, 1 broken")
    expect(page.get_by_role("combobox", name="Rule")).to_have_value("handle")


def test_a_click_on_a_bar_shows_its_session(open_report: Open) -> None:
    page = open_report(leaking(40))
    page.mouse.click(*middle(page, "broken"))
    panel = page.get_by_role("dialog", name="Session 40")

    for text in (
        "hand",
        "sqlite:///shop.db",
        str(LIBRARY),
        str(OWN),
        "app.extensions['admin'][0]._views[2] → UserView.session",
        "kept, and not closed",
        "No session serves two requests, and building the app leaves no session open.",
        "a raw session given to a view",
        "session = scoped_session(sessionmaker(engine))",
        "request 20 GET /admin/user/ · UserView · list · 200",
    ):
        expect(panel).to_contain_text(text)

    panel.get_by_role("link", name="request 21").click()
    request = page.get_by_role("dialog", name="Request 21")
    expect(request).to_contain_text("GET /admin/user/")
    request.get_by_role("link", name="session 40").click()
    expect(panel).to_be_visible()
    page.keyboard.press("Escape")
    expect(panel).to_be_hidden()
    expect(page.locator("#bar")).to_be_focused()


def test_the_keyboard_reaches_all_bars(open_report: Open) -> None:
    page = open_report(leaking(40))
    bar, announced = page.locator("#bar"), page.locator("#said")
    page.get_by_role("button", name="Zoom in").focus()
    page.keyboard.press("Tab")
    expect(bar).to_be_focused()
    expect(bar).to_have_attribute(
        "aria-label",
        "Session 40 · breaks handle, fresh, released · open end, 1 of 41, "
        "from outside of any request",
    )

    page.keyboard.press("ArrowRight")
    expect(announced).to_have_text(
        "Request 1 · GET /admin/admin/ · AdminIndexView · list, searched · 200"
    )
    for row in range(40):
        page.keyboard.press("ArrowDown")
        expect(announced).to_have_text(
            f"Session {row}, {row + 2} of 41, from request {row}"
        )
    page.keyboard.press("End")
    expect(announced).to_contain_text("41 of 41")
    page.keyboard.press("PageUp")
    expect(announced).to_contain_text("31 of 41")
    page.keyboard.press("Home")
    page.keyboard.press("Enter")
    panel = page.get_by_role("dialog", name="Session 40")
    expect(panel).to_contain_text(str(OWN))
    expect(panel).to_contain_text(KEEPER[1])
    page.keyboard.press("Escape")
    expect(panel).to_be_hidden()
    expect(bar).to_be_focused()


def test_the_mouse_and_the_keyboard_show_the_request(open_report: Open) -> None:
    page = open_report(leaking(44))
    tip = page.locator("#tip")
    page.mouse.move(*middle(page, "broken-use"))
    expect(tip).to_contain_text("Request 27 · GET /admin/user/ · UserView · create")
    expect(tip).to_contain_text("Session 44 · breaks handle, fresh, released")

    page.mouse.move(0, 0)
    expect(tip).to_be_hidden()
    page.locator("#bar").focus()
    expect(tip).to_contain_text("Request 0 · GET /admin/admin/")


def test_back_closes_the_panel(open_report: Open) -> None:
    page = open_report(leaking(40))
    page.mouse.click(*middle(page, "broken"))
    expect(page.locator("#panel")).to_be_visible()
    page.go_back()
    expect(page.locator("#panel")).to_be_hidden()


@pytest.mark.parametrize("address", ["", "#session=4", "#request=0", "#view=1"])
def test_hostile_text_is_shown_as_text(open_report: Open, address: str) -> None:
    page = open_report(hostile(), address)

    assert page.locator("img").count() == 0
    assert page.locator("script").count() == 2
    expect(page.locator("body")).to_contain_text(HOSTILE)
    if address == "#request=0":
        expect(page.locator("#panel")).to_contain_text(f"GET {HOSTILE}")
    if address == "#session=4":
        expect(page.locator("#panel")).to_contain_text(f"→ {HOSTILE}")


@pytest.mark.parametrize("address", ["#session=x", "#view=77&rule=no", "#at=a&zoom=b"])
def test_an_invalid_address_is_ignored(open_report: Open, address: str) -> None:
    page = open_report(healthy(4), address)

    expect(page.locator("#panel")).to_be_hidden()
    expect(page.locator("#count")).to_contain_text("of 4 sessions")


def test_5000_requests_are_drawn_and_can_be_filtered(open_report: Open) -> None:
    page = open_report(leaking(5000))
    assert bars(page) == (5000, 1)

    page.get_by_label("only broken").check()
    assert bars(page) == (0, 1)
    page.get_by_label("only broken").uncheck()
    choose(page, "View", "1")
    assert bars(page) == (1250, 0)
    choose(page, "View", "")

    page.locator("#bar").focus()
    page.keyboard.press("End")
    for _ in range(8):
        page.keyboard.press("+")
    expect(page.locator("#tip")).to_contain_text("Request 4999 ")
    assert 0 < drawn(page, "healthy") < 100  # the visible ones
    page.keyboard.press("Enter")
    expect(page.get_by_role("dialog", name="Session 4999")).to_be_visible()


def test_all_5000_requests_of_a_session_can_be_listed(open_report: Open) -> None:
    recording = healthy(5000)
    for request in recording.requests:
        request.uses = [Use(0, LIBRARY, OWN)]
    page = open_report(recording, "#session=0")
    items = page.locator("#panel .list > li")

    expect(items).to_have_count(50)
    page.get_by_role("button", name="Show all 5,000").click()
    expect(items).to_have_count(5000)


def test_a_report_without_sessions_says_so(open_report: Open) -> None:
    page = open_report(Recording())

    expect(page.locator("#nothing")).to_have_text("No session was seen.")


@pytest.mark.parametrize("address", ["", "#session=40", "#view=2&zoom=4&at=0,0"])
def test_nothing_is_cut_off_on_a_small_screen(open_report: Open, address: str) -> None:
    viewport = {"width": 360, "height": 740}
    page = open_report(leaking(40), address, viewport=viewport)

    assert page.evaluate("document.documentElement.scrollWidth") == 360
    panel = page.locator("#panel")
    assert panel.evaluate("element => element.scrollWidth <= element.clientWidth")


def test_colours_can_be_switched(open_report: Open) -> None:
    page = open_report(healthy(4), color_scheme="dark")
    body, light, dark = page.locator("body"), "rgb(255, 255, 255)", "rgb(21, 24, 27)"

    expect(body).to_have_css("background-color", dark)
    page.get_by_role("button", name="Light colours").click()
    expect(body).to_have_css("background-color", light)
    page.get_by_role("button", name="Dark colours").click()
    expect(body).to_have_css("background-color", dark)
    page.emulate_media(media="print")
    expect(body).to_have_css("background-color", light)


def test_a_printed_report_has_the_table_the_findings_and_the_timeline(
    open_report: Open,
) -> None:
    page = open_report(leaking(40), "#rule=fresh")
    page.evaluate("dispatchEvent(new Event('beforeprint'))")
    page.emulate_media(media="print")

    for shown in (".cells", ".finding pre", "#drawing", "#count", "#legend"):
        expect(page.locator(shown).first).to_be_visible()
    for hidden in ("nav", "#theme", ".zoom", "#view", "#keys"):
        expect(page.locator(hidden)).to_be_hidden()
    assert bars(page) == (0, 1)


def test_without_javascript_only_the_timeline_is_missing(open_report: Open) -> None:
    page = open_report(leaking(40), java_script_enabled=False)

    expect(page.locator("h1")).to_contain_text("3 of 7 rules are broken")
    expect(page.locator(".finding")).to_contain_text(KEEPER[1])
    expect(page.locator("noscript")).to_be_visible()
    expect(page.locator("#controls")).to_be_hidden()
