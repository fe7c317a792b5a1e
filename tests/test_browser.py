"""The HTML report in a browser."""

import importlib.util
import re
import subprocess
import sys
import typing as t
from pathlib import Path

import pytest

from session_scoping.recording import Fault
from session_scoping.recording import Injected
from session_scoping.recording import Maker
from session_scoping.recording import Outside
from session_scoping.recording import Recording
from session_scoping.recording import Session
from session_scoping.recording import Use
from session_scoping.report.html import html
from session_scoping.report.page import page as comparison_page
from session_scoping.report.upgrade import summarize
from session_scoping.rules.judge import judge
from tests.conftest import skip_or_fail
from tests.runs import crowded
from tests.runs import healthy
from tests.runs import HOSTILE
from tests.runs import hostile
from tests.runs import KEEPER
from tests.runs import leaking
from tests.runs import LIBRARY
from tests.runs import OWN
from tests.runs import RUN
from tests.test_upgrade import comparison
from tests.test_upgrade import DEFECT
from tests.test_upgrade import EXPORT
from tests.test_upgrade import LEAK
from tests.test_upgrade import side

if t.TYPE_CHECKING or importlib.util.find_spec("playwright"):
    from axe_playwright_python.sync_playwright import Axe
    from playwright.sync_api import Browser
    from playwright.sync_api import expect
    from playwright.sync_api import Page
    from playwright.sync_api import sync_playwright


@pytest.fixture(scope="module")
def browser(chromium: str) -> t.Iterator["Browser"]:
    if importlib.util.find_spec("playwright") is None:
        skip_or_fail("playwright is not installed: nothing to open the report with")
    expect.set_options(timeout=60_000)  # of a machine that is busy
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(
            executable_path=chromium, args=["--no-sandbox"]
        )
        yield browser
        browser.close()


class OpenPage(t.Protocol):
    def __call__(self, html: str, address: str = "", **options: t.Any) -> "Page": ...


class Open(t.Protocol):
    def __call__(
        self, recording: Recording, address: str = "", **options: t.Any
    ) -> "Page": ...


@pytest.fixture
def open_page(browser: "Browser", tmp_path: Path) -> t.Iterator[OpenPage]:
    """Open pages from a file, offline.  No page logs a message or loads a URL."""
    contexts = []
    messages: list[str] = []
    urls: list[str] = []
    path = tmp_path / "report.html"

    def open_page(html: str, address: str = "", **options: t.Any) -> "Page":
        path.write_text(html, encoding="utf-8")
        context = browser.new_context(offline=True, **options)
        contexts.append(context)
        page = context.new_page()
        page.on("console", lambda message: messages.append(message.text))
        page.on("pageerror", lambda error: messages.append(str(error)))
        page.on("dialog", lambda dialog: messages.append(dialog.message))
        page.on("request", lambda request: urls.append(request.url))
        page.goto(path.as_uri() + address)
        return page

    yield open_page
    for context in contexts:
        context.close()
    assert messages == []
    assert {url.partition("#")[0] for url in urls} <= {path.as_uri(), "data:,"}


@pytest.fixture
def open_report(open_page: OpenPage) -> Open:
    """Open the report of a recording."""
    return lambda recording, address="", **options: open_page(
        html(judge(recording), RUN), address, **options
    )


def drawn(page: "Page", kind: str) -> int:
    """Count the bars, crosses … in the picture."""
    path = page.locator(f"#drawing g > .{kind}").get_attribute("d")
    return (path or "").count("M")


def bars(page: "Page") -> tuple[int, int]:
    """Count the healthy and the broken bars in the picture."""
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

    for shown in (
        "hand",
        "sqlite:///shop.db",
        str(LIBRARY),
        str(OWN),
        "app.extensions['admin'][0]._views[2] → UserView.session",
        "kept, and not closed",
        "No session serves two requests, building the app leaves no session open, and "
        "a request shows what was committed before it.",
        "finding 1: A raw session given to a view",
        "request 20 GET /admin/user/ · UserView · list · 200",
    ):
        expect(panel).to_contain_text(shown)

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
    bar, announced = page.locator("#bar"), page.locator("#announcement")
    page.get_by_role("button", name="Zoom out").focus()
    page.keyboard.press("Tab")
    expect(bar).to_be_focused()
    expect(bar).to_have_attribute(
        "aria-label",
        "Session 40 · breaks handle, fresh, released · never closed, or kept, 1 of 41, "
        "from outside of any request",
    )

    page.keyboard.press("ArrowRight")
    expect(announced).to_have_text(
        "Request 21 · GET /admin/user/ · UserView · list, searched · 200"
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
    expect(tip).to_contain_text("Request 22 · GET /admin/user/")


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
    assert page.locator("script").count() == 3
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


SIZES = [(360, 740), (700, 900), (860, 900), (1280, 800), (2000, 1100)]


@pytest.mark.parametrize("size", SIZES, ids=lambda size: str(size[0]))
@pytest.mark.parametrize("address", ["", "#session=40", "#view=2&zoom=4&at=0,0"])
def test_nothing_is_cut_off(
    open_report: Open, address: str, size: tuple[int, int]
) -> None:
    viewport = {"width": size[0], "height": size[1]}
    page = open_report(leaking(40), address, viewport=viewport)

    assert page.evaluate("document.documentElement.scrollWidth") == size[0]
    for part in ("#panel", ".scroll", ".facts", "#controls"):
        assert page.locator(part).evaluate(
            "element => element.scrollWidth <= element.clientWidth"
        )
    words = page.locator("#theme, #cells tbody th a").evaluate_all(
        "words => words.map(word => word.getBoundingClientRect().height)"
    )
    assert max(words) < 40  # each is on one line
    code = page.locator(".finding[open] pre code").first
    line = code.evaluate("code => parseFloat(getComputedStyle(code).lineHeight)")
    lines = code.text_content() or ""
    height = code.evaluate("code => code.parentElement.clientHeight")
    assert height < line * (lines.count("\n") + 3)  # no line is broken


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


def test_the_choice_of_colours_is_remembered(open_report: Open) -> None:
    page = open_report(healthy(4), color_scheme="dark")
    page.get_by_role("button", name="Light colours").click()
    page.reload()
    expect(page.locator("body")).to_have_css("background-color", "rgb(255, 255, 255)")
    expect(page.locator("#theme")).to_have_text("Dark")


def test_a_printed_report_has_the_table_the_findings_and_the_picture(
    open_report: Open,
) -> None:
    page = open_report(leaking(40), "#rule=fresh")
    page.evaluate("dispatchEvent(new Event('beforeprint'))")
    page.emulate_media(media="print")

    for shown in ("#cells", ".finding pre", "#drawing", "#count", "#legend"):
        expect(page.locator(shown).first).to_be_visible()
    expect(page.locator("#about-fresh summary")).to_be_visible()
    expect(page.locator("#about-fresh pre").first).to_be_hidden()
    for hidden in ("nav", "#theme", "#zoom", "#view", "#keys", "#overview"):
        expect(page.locator(hidden)).to_be_hidden()
    assert bars(page) == (0, 1)


def test_without_javascript_there_is_a_picture(open_report: Open) -> None:
    page = open_report(leaking(40), java_script_enabled=False)

    expect(page.locator("h1")).to_contain_text("3 of 7 rules are broken")
    expect(page.locator("#findings")).to_contain_text(KEEPER[1])
    expect(page.locator("#cells")).to_be_visible()
    for hidden in ("#controls", "#plot", "#theme", "#legend", "#filters"):
        expect(page.locator(hidden)).to_be_hidden()
    leak = page.locator("#overview path.broken").bounding_box()
    picture = page.locator("#overview").bounding_box()
    assert leak
    assert picture
    assert leak["width"] > 0.95 * picture["width"]
    expect(page.get_by_role("img")).to_have_accessible_name(
        re.compile("Session 40 breaks handle, fresh, released")
    )
    page.emulate_media(media="print")
    expect(page.locator("#overview")).to_be_visible()


def test_the_picture_leads_where_something_is_broken(open_report: Open) -> None:
    sections = "elements => elements.map(element => element.id)"
    broken = open_report(leaking(40)).locator("section").evaluate_all(sections)
    assert broken == ["picture", "findings", "views", "pages"]
    assert open_report(healthy(40)).locator("section").evaluate_all(sections) == [
        "views",
        "picture",
        "pages",
    ]


@pytest.mark.parametrize("width", [400, 1600])
def test_a_small_run_uses_the_width(open_report: Open, width: int) -> None:
    page = open_report(healthy(4), viewport={"width": width, "height": 900})
    stairs = page.locator("#drawing g > .healthy").bounding_box()
    plot = page.locator("#plot").bounding_box()
    assert stairs
    assert plot
    assert stairs["width"] > plot["width"] - 110


def test_a_gap_is_explained(open_report: Open) -> None:
    recording = healthy(40)
    for number in (10, 11, 12, 30):
        recording.requests[number].uses = []
    page = open_report(recording)

    assert drawn(page, "empty") == 2
    expect(page.locator("#legend")).to_contain_text("requests that use no session")
    expect(page.locator("#picture .lead")).to_contain_text(
        "4 requests use no session: their columns are empty."
    )
    page.mouse.move(*middle(page, "empty"))
    page.locator("#bar").focus()
    page.mouse.move(0, 0)
    for _ in range(10):
        page.keyboard.press("ArrowRight")
    expect(page.locator("#tip")).to_contain_text("no session")
    expect(open_report(healthy(40)).locator("#legend")).not_to_contain_text(
        "no session"
    )


def test_a_request_that_breaks_a_rule_without_a_session_is_marked(
    open_report: Open,
) -> None:
    recording = healthy(40)
    recording.requests[6].taken = 2
    page = open_report(recording, "#request=6")

    assert bars(page) == (40, 0)
    assert drawn(page, "flags") == 1
    expect(page.locator("#panel")).to_contain_text("connections taken: 2, returned: 1")


def in_sight(page: "Page", kind: str) -> bool:
    """Is a part of the bars of a kind inside of the plot?"""
    return bool(
        page.evaluate(
            """kind => {
                const bar = document.querySelector(`#drawing g > .${kind}-use`);
                const [one, other] = [bar, find("plot")].map((node) =>
                    node.getBoundingClientRect());
                return one.width > 0 && one.left < other.right && one.right > other.left
                    && one.top < other.bottom && one.bottom > other.top;
            }""",
            kind,
        )
    )


def test_the_zoom_keeps_the_first_broken_bar_in_sight(open_report: Open) -> None:
    recording = leaking(2000)
    page = open_report(recording)
    for _ in range(6):
        page.get_by_role("button", name="Zoom in").click()
        assert in_sight(page, "broken")
        assert 0 < drawn(page, "healthy") < 2000  # and the sessions beside it


def test_the_zoom_keeps_the_selected_bar_in_sight(open_report: Open) -> None:
    page = open_report(leaking(2000), "#session=1600")
    page.keyboard.press("Escape")
    for _ in range(6):
        page.get_by_role("button", name="Zoom in").click()
    assert 0 < drawn(page, "healthy") < 100
    assert page.evaluate("rows.indexOf(barOf[1600])") == page.evaluate("cursor.row")
    assert in_sight(page, "healthy")
    box = page.locator("#bar").bounding_box()
    plot = page.locator("#plot").bounding_box()
    assert box
    assert plot
    assert plot["x"] < box["x"] < plot["x"] + plot["width"]
    assert plot["y"] < box["y"] < plot["y"] + plot["height"]

    page.get_by_role("button", name="Zoom out").click()
    page.locator("#plot").evaluate("node => { node.scrollLeft = 0 }")
    page.get_by_role("button", name="Zoom in").click()
    assert in_sight(page, "healthy")
    across, width = page.evaluate("[x(cursor.column + 0.5), plot.clientWidth]")
    assert 0 < across < width
    assert page.evaluate("visible.includes(barOf[1600])")


def test_the_tip_follows_the_scrolling(open_report: Open) -> None:
    page = open_report(healthy(300))
    for _ in range(3):
        page.get_by_role("button", name="Zoom in").click()
    page.locator("#plot").scroll_into_view_if_needed()
    box = page.locator("#plot").bounding_box()
    assert box
    page.mouse.move(box["x"] + 300, box["y"] + 30)
    tip = page.locator("#tip")
    before = tip.inner_text()
    page.locator("#plot").evaluate("element => { element.scrollLeft += 2000 }")
    expect(tip).not_to_have_text(before)
    page.evaluate("scrollBy(0, -1000)")
    expect(tip).to_be_hidden()


def views(page: "Page") -> list[str]:
    """Return the names of the rows that the table shows."""
    names = page.locator("#cells tbody tr:visible th a").all_inner_texts()
    return [str(name) for name in names]


def test_the_table_begins_with_the_broken_views(open_report: Open) -> None:
    assert views(open_report(crowded(leaks=True)))[:4] == [
        "View030",
        "View060",
        "View090",
        "View000",
    ]


def test_the_table_is_searched_and_filtered(open_report: Open) -> None:
    page = open_report(crowded(leaks=True))
    matches = page.locator("#found")

    expect(matches).to_have_text("126 of 126 views")
    page.get_by_label("Search").fill("VIEW06")
    expect(matches).to_have_text("10 of 126 views")
    page.get_by_label("State").select_option("broken")
    assert views(page) == ["View060"]
    page.get_by_label("Search").fill("")
    assert views(page) == ["View030", "View060", "View090"]
    expect(open_report(healthy(4)).locator("#filters")).to_be_hidden()


def test_the_table_is_sorted(open_report: Open) -> None:
    page = open_report(leaking(40))
    as_written, by_name = views(page), sorted(views(page))
    heading = page.get_by_role("columnheader", name="View")

    assert views(page)[0] == "UserView"
    heading.get_by_role("button").click()
    assert views(page) == by_name
    expect(heading).to_have_attribute("aria-sort", "ascending")
    heading.get_by_role("button").click()
    assert views(page) == by_name[::-1]
    heading.get_by_role("button").click()
    assert views(page) == as_written
    page.get_by_role("columnheader", name="fresh").get_by_role("button").click()
    assert views(page)[0] == "UserView"


def focused(page: "Page") -> str:
    """Return the id of what has the focus, or of what it is in."""
    return str(page.evaluate("document.activeElement.closest('[id]')?.id ?? ''"))


def test_few_tab_stops_lead_through_the_report(open_report: Open) -> None:
    page = open_report(crowded(leaks=True))
    stops = []
    for _ in range(60):
        page.keyboard.press("Tab")
        stops.append(focused(page))
        if stops[-1] == "cells":
            break
    assert stops.index("bar") < 9
    assert len(stops) < 20
    page.keyboard.press("Tab")
    assert focused(page) != "cells"  # it is one stop


def test_the_arrow_keys_go_through_the_table(open_report: Open) -> None:
    page = open_report(leaking(40))
    page.get_by_role("columnheader", name="fresh").get_by_role("button").focus()

    text = "document.activeElement.closest('tr').cells[0].textContent.trim()"
    page.keyboard.press("ArrowDown")
    assert page.evaluate("location.hash") == ""
    assert page.evaluate("document.activeElement.textContent") == "✗ broken"
    assert page.evaluate(text) == "UserView user"
    page.keyboard.press("End")
    assert page.evaluate("document.activeElement.textContent") == "TagView"
    page.keyboard.press("Home")
    assert page.evaluate("document.activeElement.textContent") == "View"


def test_a_finding_shows_its_sessions_in_the_picture(open_report: Open) -> None:
    page = open_report(leaking(40))
    page.get_by_role("link", name="Show it in the picture").click()
    expect(page.locator("#count")).to_have_text("1 of 41 sessions, 1 broken")
    page.get_by_role("button", name="Show all").click()
    expect(page.locator("#count")).to_have_text("41 of 41 sessions, 1 broken")
    assert page.evaluate("location.hash") in ("", "#")


def test_a_finding_shows_no_sessions_of_another(open_report: Open) -> None:
    recording = leaking(40)
    recording.requests[6].taken = 2
    page = open_report(recording, "#finding=1")
    expect(page.locator("#nothing")).to_have_text(
        "No session matches. released is broken without a session: connections taken: "
        "2, returned: 1, in request 6."
    )
    expect(page.locator("#count")).to_have_text("0 of 41 sessions, 0 broken")


def test_a_session_leads_to_its_finding(open_report: Open) -> None:
    page = open_report(leaking(40), "#session=40")
    page.locator("#findings summary").evaluate("node => node.parentNode.open = false")
    page.locator("#panel").get_by_role("link", name="finding 1").first.click()

    expect(page.locator("#panel")).to_be_hidden()
    expect(page.locator("#finding-1 pre")).to_be_in_viewport()


def test_a_link_to_a_part_keeps_the_filters(open_report: Open) -> None:
    page = open_report(leaking(40), "#view=2")
    page.get_by_role("link", name="Views and rules").click()
    expect(page.get_by_role("combobox", name="View")).to_have_value("2")


# ------------------------------------------------------------------------ accessibility


def defective() -> Recording:
    """Record an export that a known defect of Flask breaks."""
    recording = healthy(8)
    recording.requests[3].path = "/admin/user/export/csv/"
    recording.requests[3].streamed = True
    recording.requests[3].stream_exception = "DetachedInstanceError: no session"
    return recording


@pytest.mark.parametrize(
    ("recording", "address"),
    [
        (healthy(12), ""),
        (defective(), ""),
        (leaking(12), ""),
        (leaking(12), "#session=12"),
        (leaking(12), "#request=7"),
    ],
    ids=["healthy", "defect", "leak", "session", "request"],
)
def test_axe_finds_no_fault(
    open_report: Open, recording: Recording, address: str
) -> None:
    page = open_report(recording, address)
    opened = "document.querySelectorAll('details').forEach((one) => one.open = true)"
    page.evaluate(opened)
    page.set_viewport_size({"width": 1600, "height": 900})
    assert faults(page) == []
    page.emulate_media(color_scheme="dark")
    page.set_viewport_size({"width": 360, "height": 740})
    assert faults(page) == []


def test_axe_finds_no_fault_in_a_comparison(open_page: OpenPage) -> None:
    found = comparison(side(DEFECT, EXPORT), side(LEAK, EXPORT, release="2.0"))
    page = open_page(comparison_page(summarize(found), RUN))

    page.set_viewport_size({"width": 1600, "height": 900})
    assert faults(page) == []
    page.get_by_role("button", name="Dark colours").click()
    page.set_viewport_size({"width": 360, "height": 740})
    assert faults(page) == []
    assert page.evaluate("document.documentElement.scrollWidth") == 360


def test_the_page_of_the_monitor_is_as_wide_as_a_telephone(chromium: str) -> None:
    """Its table scrolls. The monitor watches a process of its own."""
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", WIDTH_OF_MONITOR, chromium],
        stdout=subprocess.PIPE,
        text=True,
        check=True,
    )
    assert done.stdout == "400\n"


WIDTH_OF_MONITOR = """
import sys
from playwright.sync_api import sync_playwright
from tools.screenshots import open_monitor

with sync_playwright() as playwright:
    browser = playwright.chromium.launch(
        executable_path=sys.argv[1], args=["--no-sandbox"]
    )
    page, _ = open_monitor(browser, 400)
    print(page.evaluate("document.documentElement.scrollWidth"))
    browser.close()
"""


def faults(page: "Page") -> list[str]:
    """Return what axe-core finds, a line for each element."""
    found = Axe().run(page).response["violations"]
    return [
        f"{rule['id']}: {node['html'][:200]}"
        for rule in found
        for node in rule["nodes"]
    ]
