"""Each message about a rule or a cause leads to its page, which is installed."""

import re
from io import StringIO

import pytest
from click.testing import CliRunner
from rich.console import Console

from session_scoping import judge
from session_scoping import pages
from session_scoping import record
from session_scoping.cli import main
from session_scoping.errors import RulesBroken
from session_scoping.report import explained
from session_scoping.report.html import html
from session_scoping.report.verdict import text
from session_scoping.rules.causes import CAUSES
from session_scoping.rules.rules import Rule
from tests.apps.captured_at_startup import broken
from tests.runs import RUN

NAMES = [*Rule, *(cause.page for cause in CAUSES)]


def test_no_two_pages_have_the_same_name() -> None:
    assert len({*NAMES}) == len(NAMES)
    assert pages.INDEX not in NAMES


@pytest.mark.parametrize("name", NAMES)
def test_a_page_can_be_read_without_the_other_files(name: str) -> None:
    page = pages.text(name)
    assert page.startswith("# ")
    assert "<!--" not in page
    assert re.findall(r"\]\((?!https:)", page) == []


def test_the_page_of_a_cause_has_its_sentence_and_its_fix() -> None:
    for cause in CAUSES:
        page = pages.text(cause.page)
        assert cause.sentence in page
        assert cause.fix in page


def test_a_page_is_printed() -> None:
    done = CliRunner().invoke(main, ["explain", "fresh", "kept-session"])
    assert done.exit_code == 0
    assert done.output.startswith("# `fresh`\n")
    assert "\n# A session kept beyond its request\n" in done.output


def test_without_a_name_all_pages_are_listed() -> None:
    done = CliRunner().invoke(main, ["explain"])
    assert {*NAMES} <= {*re.findall(r"^- `([\w-]+)`: ", done.output, re.MULTILINE)}


def test_an_unknown_name_is_a_line() -> None:
    done = CliRunner().invoke(main, ["explain", "fresh", "stale"])
    line = "there is no page 'stale': `session-scoping explain` lists all pages"
    assert (done.exit_code, done.output) == (2, f"session-scoping: {line}\n")


def test_a_terminal_gets_a_page_laid_out(monkeypatch: pytest.MonkeyPatch) -> None:
    console = Console(file=StringIO(), force_terminal=True, width=80)
    monkeypatch.setattr(explained, "Console", lambda **how: console)
    explained.show(pages.text("kept-session"))
    assert "How it happens" in console.file.getvalue()  # type: ignore[attr-defined]
    assert "##" not in console.file.getvalue()  # type: ignore[attr-defined]


@pytest.mark.filterwarnings("ignore:Passing a session object:DeprecationWarning")
def test_a_report_leads_to_the_pages_of_its_rules_and_causes() -> None:
    verdict = judge(record(broken()))
    found = [finding.cause.page for finding in verdict.findings if finding.cause]
    assert found
    report = html(verdict, RUN)
    with pytest.raises(RulesBroken) as caught:
        verdict.raise_for_violations()
    for page in found:
        assert f"more: session-scoping explain {page}\n" in text(verdict)
        assert f'href="#about-{page}"' in report
        assert f"more: session-scoping explain {page}\n" in f"{caught.value}\n"
    for name in {*re.findall(r'href="#(about-[\w-]+)"', report)}:
        assert report.count(f'id="{name}"') == 1
