"""Take the pictures that the documents show, in a headless Chromium.

``python -m tools.screenshots`` drives an app that leaks and the same app fixed, for the
report. It visits the shop with its leak, for the page of the monitor. It also saves a
fingerprint of each report and of the page, by which a test finds a stale picture.
"""

import hashlib
import json
import os
import re
import shutil
import sys
import tempfile
import typing as t
from datetime import datetime
from datetime import timezone
from importlib.metadata import version
from pathlib import Path

from werkzeug.test import Client

from session_scoping import judge
from session_scoping import record
from session_scoping import Recorder
from session_scoping.loading import load
from session_scoping.report.html import html
from session_scoping.report.run import PACKAGE
from session_scoping.report.run import Run

if t.TYPE_CHECKING:  # tests need only the fingerprints
    from playwright.sync_api import Browser
    from playwright.sync_api import Page
    from playwright.sync_api import Route

PICTURES = Path(__file__).parent.parent / "docs"
FINGERPRINTS = PICTURES / "pictures.json"
NUMBERS = re.compile(r"\d+\.\d+[\d.]*(?:e-?\d+)?|(?<=view\.py)\W+\d+")
DATE = re.compile("<time.*?</time>")
APP = "tests.apps.captured_at_startup"
WIDTH = 860  # pixels: about that of a document, so that the text can be read
ORIGIN = "http://shop.test"  # no server: the browser's requests go to a test client
MONITOR = "/admin/session_scoping/"
VISITED = [
    "/",
    "/admin/product/",
    "/",
    "/report",
    "/admin/product/?search=pen",
    "/",
    "/admin/product/edit/?id=1",
    "/report",
    "/admin/product/",
    "/",
]
VARYING = re.compile(r"Process \d+|\d+\.\d+(?= s:|</td>)")
SHOTS = [
    ("broken", "light"),
    ("broken", "dark"),
    ("fixed", "light"),
    ("fixed", "dark"),
]


def report(name: str) -> str:
    with Recorder() as recorder:
        app = load(f"{APP}:{name}", recorder)
        record(app, recorder=recorder)
    command = f"session-scoping --app {APP}:{name} --html report.html"
    run = Run(command, datetime.now(timezone.utc), version(PACKAGE))
    return html(judge(recorder.recording), run)


def fingerprint(page: str) -> str:
    """Hash a report, without its date, times, versions and lines of Flask-Admin.

    The pages about rules and causes are left out: they are closed in the pictures.
    """
    before, _, rest = DATE.sub("…", page).partition('<section id="pages"')
    lines = (before + rest.partition("</section>")[2]).splitlines()
    data = [NUMBERS.sub("…", line) if 'id="data"' in line else line for line in lines]
    return hashlib.sha256("\n".join(data).encode()).hexdigest()


def leaking_shop() -> tuple[Client, str]:
    """Visit the shop with its leak. Returns its client, and the monitor's page.

    The monitor stays in this process.
    """
    os.environ["LEAK"] = "1"
    from examples.monitor.shop import create_app

    client = create_app().test_client()
    for path in VISITED:
        client.get(path).close()
    return client, client.get(MONITOR).text


def fingerprint_of_monitor(page: str) -> str:
    """Hash what the monitor writes on its page, without times and the process."""
    own = page.partition("<h1>")[2].partition("</svg>")[0]
    return hashlib.sha256(VARYING.sub("…", own).encode()).hexdigest()


def open_monitor(browser: "Browser", width: int) -> tuple["Page", str]:
    """Open the monitor's page in a browser. Returns its HTML, too."""
    client, shown = leaking_shop()

    def answer(route: "Route") -> None:
        path = route.request.url.removeprefix(ORIGIN)
        if path == MONITOR:
            route.fulfill(body=shown, content_type="text/html")
        else:
            response = client.get(path)
            route.fulfill(body=response.data, content_type=response.content_type)

    page = browser.new_page(viewport={"width": width, "height": 700})
    page.route("**/*", answer)
    page.goto(ORIGIN + MONITOR)
    return page, shown


def photograph_monitor(browser: "Browser") -> str:
    """Take the picture of the monitor's page. Returns the page."""
    page, shown = open_monitor(browser, 1000)
    page.screenshot(path=str(PICTURES / "monitor.png"), full_page=True)
    page.close()
    return shown


def main() -> None:
    from playwright.sync_api import sync_playwright  # tests need only the fingerprints

    chromium = shutil.which("chromium")
    if chromium is None:
        sys.exit("no chromium on the PATH: install Debian's package of that name")
    PICTURES.mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory() as folder, sync_playwright() as playwright:
        browser = playwright.chromium.launch(
            executable_path=chromium, args=["--no-sandbox"]
        )
        reports = {name: report(name) for name, _ in SHOTS}
        for name, scheme in SHOTS:
            file = Path(folder) / f"{name}.html"
            file.write_text(reports[name], encoding="utf-8")
            page = browser.new_page(
                viewport={"width": WIDTH, "height": 700},
                color_scheme="dark" if scheme == "dark" else "light",
            )
            page.goto(file.as_uri())
            end = page.locator("#findings, #picture").last.bounding_box()
            height = end["y"] + end["height"] + 20 if end else 700
            page.screenshot(
                path=str(PICTURES / f"{name}-{scheme}.png"),
                full_page=True,
                clip={"x": 0, "y": 0, "width": WIDTH, "height": height},
            )
            page.close()
        shown = photograph_monitor(browser)
        browser.close()
    prints = {name: fingerprint(page) for name, page in reports.items()}
    prints["monitor"] = fingerprint_of_monitor(shown)
    FINGERPRINTS.write_text(json.dumps(prints, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
