"""The HTML report: how long it takes to write, how large it is, how soon it shows."""

import copy
import shutil
import sys
import time
import typing as t
from pathlib import Path
from tempfile import TemporaryDirectory

from playwright.sync_api import sync_playwright

from session_scoping import judge
from session_scoping import record
from session_scoping import Recording
from session_scoping.report.html import html
from session_scoping.report.run import Run
from tests.apps.raw_session import fixed

REQUESTS = (300, 5_000, 50_000)


def recording_of(requests: int) -> Recording:
    """Return a recording with this number of requests, each with a session."""
    seen = record(fixed())
    first, sessions = seen.requests[0], seen.sessions
    long = Recording(seen.app, seen.stack, seen.engines, seen.views)
    for number in range(requests):
        request = copy.copy(seen.requests[number % len(seen.requests)])
        use = copy.copy(first.uses[0])
        use.session = request.number = number
        request.uses, request.parent = [use], first.parent
        request.started, request.ended = number * 0.01, number * 0.01 + 0.005
        session = copy.copy(sessions[0])
        session.number = session.born_in = number
        long.requests.append(request)
        long.sessions.append(session)
    return long


def seconds(browser: t.Any, file: Path) -> float:
    """Return the time until the page is drawn."""
    page = browser.new_page()
    began = time.perf_counter()
    page.goto(file.as_uri())
    page.wait_for_selector("#drawing g > .healthy[d]", state="attached")
    page.evaluate("() => new Promise(requestAnimationFrame)")
    taken = time.perf_counter() - began
    page.close()
    return taken


def main() -> None:
    chromium = shutil.which("chromium")
    if chromium is None:
        sys.exit("no chromium on the PATH: install Debian's package of that name")
    with TemporaryDirectory() as folder, sync_playwright() as playwright:
        launch = playwright.chromium.launch
        browser = launch(executable_path=chromium, args=["--no-sandbox"])
        run = Run.now()
        for requests in REQUESTS:
            verdict = judge(recording_of(requests))
            began = time.process_time()
            page = html(verdict, run)
            written = time.process_time() - began
            file = Path(folder) / f"{requests}.html"
            file.write_text(page, encoding="utf-8")
            line = f"{requests} requests: written in {written:.2f} s, "
            line += f"{len(page) / 1e6:.1f} MB, "
            print(line + f"shown in {seconds(browser, file):.1f} s")
        browser.close()
