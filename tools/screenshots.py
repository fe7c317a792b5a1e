"""Take the pictures of the report that the documents show, in a headless Chromium.

``python -m tools.screenshots`` drives an app that leaks and the same app fixed. It also
saves a fingerprint of each report, by which a test finds a stale picture.
"""

import hashlib
import json
import re
import shutil
import sys
import tempfile
from pathlib import Path

from session_scoping import judge
from session_scoping import record
from session_scoping import Recorder
from session_scoping.loading import load
from session_scoping.report.html import html

PICTURES = Path(__file__).parent.parent / "docs"
FINGERPRINTS = PICTURES / "pictures.json"
NUMBERS = re.compile(r"\d+\.\d+[\d.]*(?:e-?\d+)?|(?<=view\.py)\W+\d+")
APP = "tests.apps.captured_at_startup"
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
    return html(judge(recorder.recording))


def fingerprint(page: str) -> str:
    """Hash a report, without its times, versions and lines of Flask-Admin."""
    lines = page.splitlines()
    data = [NUMBERS.sub("…", line) if 'id="data"' in line else line for line in lines]
    return hashlib.sha256("\n".join(data).encode()).hexdigest()


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
                viewport={"width": 1000, "height": 700},
                color_scheme="dark" if scheme == "dark" else "light",
            )
            page.goto(file.as_uri())
            picture = PICTURES / f"{name}-{scheme}.png"
            page.screenshot(path=str(picture), full_page=True)
            page.close()
        browser.close()
    prints = {name: fingerprint(page) for name, page in reports.items()}
    FINGERPRINTS.write_text(json.dumps(prints, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
