"""The drop-in freezes nothing for ever, and each of its messages is explained."""

import re
import subprocess
import sys

import pytest

from session_scoping.compare.fork import drop_in
from tools.links import ROOT
from tools.links import text_of

FROZEN = """
import gc, pytest, sys
before = gc.get_freeze_count()
status = pytest.main(sys.argv[1:])
print("frozen:", gc.get_freeze_count() - before)
sys.exit(status)
"""


@pytest.mark.parametrize("some", ["one_request", "concurrent", "broken"])
def test_the_drop_in_leaves_no_object_frozen(some: str) -> None:
    """Frozen objects would be garbage for ever in the tests that follow it."""
    done = subprocess.run(
        [sys.executable, "-c", FROZEN, "-q", "-n", "0", "-k", some, str(drop_in())],
        cwd=ROOT,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stdout
    assert done.stdout.endswith("frozen: 0\n")


def test_every_problem_that_the_drop_in_reports_is_explained() -> None:
    problem = r'^    "(?:LINE )?([a-z ]+).*": lambda shop, own: '
    reported = re.findall(problem, drop_in().read_text(encoding="utf-8"), re.MULTILINE)
    assert len(reported) == 16
    page = text_of("docs/maintainers.md")
    assert [text for text in reported if f"`{text.strip()}" not in page] == []
