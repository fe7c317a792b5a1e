"""What is printed on a terminal, and elsewhere."""

import io
import os
import pty
import re
import sys
import typing as t
from contextlib import contextmanager
from contextlib import redirect_stderr
from contextlib import redirect_stdout

import pytest

from session_scoping.compare.progress import received
from session_scoping.compare.progress import send
from session_scoping.compare.progress import within
from session_scoping.recording import Operation
from session_scoping.recording import OperationKind
from session_scoping.recording import Recording
from session_scoping.recording import Unseen
from session_scoping.recording import View
from session_scoping.report.layout import Layout
from session_scoping.report.progress import progress
from session_scoping.report.progress import times
from session_scoping.report.summary import Line
from session_scoping.report.summary import lines
from session_scoping.report.summary import Section
from session_scoping.report.summary import Summary
from session_scoping.report.summary import Table
from session_scoping.report.terminal import plain
from session_scoping.report.terminal import show
from session_scoping.report.verdict import summarize
from session_scoping.report.verdict import text
from session_scoping.rules.judge import judge
from session_scoping.status import Status
from tests.runs import healthy
from tests.runs import leaking

LINK = f"https://example.org/{'a' * 90}"


def summary_of(
    about: tuple[Line, ...] = (),
    tables: tuple[Table, ...] = (),
    notes: tuple[str, ...] = (),
    sections: tuple[Section, ...] = (),
    sentence: str = "it holds.",
) -> Summary:
    return Summary(Status.HOLDS, about, tables, notes, sections, sentence)


def printed(summary: Summary, width: int = 80) -> list[str]:
    return [line.plain for line in Layout(width, ascii_only=False).summary(summary)]


def many(recording: Recording, number: int = 126) -> Recording:
    """Add views to a recording, each with a healthy request like the first."""
    for n in range(number - len(recording.views)):
        recording.views.append(View(f"Thing{n}View", f"thing{n}", "Thing"))
    more = healthy(number)
    for request, session in zip(more.requests, more.sessions, strict=True):
        request.view = request.number
        request.number = len(recording.requests)
        request.started, request.ended = request.started + 100, request.ended + 100
        session.number = len(recording.sessions)
        session.born_in = request.number
        for use in request.uses:
            use.session = session.number
        if request.view != 2:  # that of ``leaking``
            recording.requests.append(request)
            recording.sessions.append(session)
    return recording


# ------------------------------------------------------------------------------ layout


def test_text_is_wrapped_between_words() -> None:
    said = " ".join(["request-scoped"] * 30)
    section = Section(said, lines(said))
    summary = summary_of(lines(said), notes=(said,), sections=(section,), sentence=said)
    shown = printed(summary)
    assert max(map(len, shown)) <= 80
    assert {word for line in shown for word in line.split()} == {
        *("request-scoped", "Verdict:")
    }


def test_a_link_that_is_longer_than_the_line_stays_whole() -> None:
    summary = summary_of(notes=(f"See {LINK}",))
    assert LINK in printed(summary)


@pytest.mark.parametrize("width", [100, 80, 64, 40])
def test_a_table_cuts_no_name_and_no_word(width: int) -> None:
    recording = leaking(40)
    recording.views[1].name = "PostOfACustomerWithALongName"
    shown = printed(summarize(judge(recording)), width)
    words = {word for line in shown for word in line.split()}
    assert {"PostOfACustomerWithALongName", "UserView", "recovers"} <= words
    assert not any("…" in line for line in shown)
    if width > 40:  # only code and links are not wrapped
        whole = (" " * 6, "   see ")
        assert max(len(line) for line in shown if not line.startswith(whole)) <= width


def test_a_narrow_table_has_names_above_their_cells() -> None:
    row = "A view with a long name", (Line("holds"), Line("known broken [1]"))
    table = Table("view", ("handle", "recovers"), (row,))
    shown = printed(summary_of(tables=(table,)), 25)
    assert shown[1:6] == [
        "view",
        "  handle  recovers",
        "A view with a long name",
        "  holds   known",
        "          broken",
    ]


def test_cells_below_a_name_are_wrapped_only_if_they_have_to_be() -> None:
    row = "A view with a name of forty characters..", (Line("not tried"), Line("holds"))
    table = Table("view", ("handle", "recovers"), (row,))
    shown = printed(summary_of(tables=(table,)), 45)
    assert shown[1:5] == ["view", "  handle     recovers", row[0], "  not tried  holds"]


def test_broken_views_come_first() -> None:
    shown = text(judge(leaking(40))).splitlines()
    start = next(n for n, line in enumerate(shown) if line.startswith("view"))
    first = [line.split()[0] for line in shown[start + 1 : start + 5]]
    assert first == ["UserView", "AdminIndexView", "PostView", "TagView"]


def test_many_views_that_are_alike_are_counted() -> None:
    """Then the findings come first, as the table may be long."""
    verdict = judge(many(leaking(40)))
    assert len(verdict.rows) == 126
    shown = text(verdict)
    table = shown[shown.index("\nview ") :]
    rows = [line.split("  ")[0] for line in table.splitlines()[2:] if line[:1].strip()]
    assert rows[:2] == ["UserView", "125 views"]
    assert shown.index("1. A raw session given to a view") < shown.index("\nview ")
    assert len(shown.splitlines()) < 60


def test_a_known_defect_is_explained_once() -> None:
    recording = healthy(4)
    recording.stack["Flask"] = "3.1.3"
    recording.requests[0].path = "/admin/user/export/csv/"
    recording.requests[0].streamed = True
    recording.requests[0].stream_exception = "DetachedInstanceError: no session"
    shown = " ".join(text(judge(recording)).split())
    assert "known broken [1]" in shown
    assert "a streamed export outlives its session [1]" in shown
    assert shown.count("Flask 3.1.2 and newer end the app context") == 1


def test_what_was_not_driven_is_shortened() -> None:
    recording = healthy(4)
    operation = Operation(OperationKind.LIST)
    recording.unseen = [Unseen(1, operation, f"answers {n}") for n in range(300)]
    shown = text(judge(recording))
    assert "answers 9\n   and 290 more" in shown


# ---------------------------------------------------------------------------- terminals


class Terminal:
    """A terminal with colours and 80 columns."""

    def __init__(self) -> None:
        self.master, slave = pty.openpty()
        self.file = os.fdopen(slave, "w", encoding="utf-8")

    @contextmanager
    def connected(self) -> t.Iterator[None]:
        """Print to it in a ``with`` block."""
        with redirect_stdout(self.file), redirect_stderr(self.file):
            yield

    def read(self) -> str:
        """Return all that was written to it."""
        self.file.flush()
        os.write(self.file.fileno(), END)
        found = b""
        while not found.endswith(END):
            found += os.read(self.master, 100_000)
        return found.removesuffix(END).decode()


@pytest.fixture
def terminal(monkeypatch: pytest.MonkeyPatch) -> t.Iterator[Terminal]:
    """Open a terminal."""
    for name in ("NO_COLOR", "FORCE_COLOR", "TTY_COMPATIBLE", "TTY_INTERACTIVE"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("TERM", "xterm-256color")
    monkeypatch.setenv("COLUMNS", "80")
    terminal = Terminal()
    yield terminal
    terminal.file.close()
    os.close(terminal.master)


END = b"\0"
RED, GREEN = "\x1b[1;31m", "\x1b[32m"


def test_a_terminal_has_colours(terminal: Terminal) -> None:
    with terminal.connected():
        show(summarize(judge(leaking(40))))
    shown = terminal.read()
    assert f"{RED}broken" in shown
    assert f"{GREEN}holds" in shown


@pytest.mark.parametrize("how", ["--no-color", "NO_COLOR"])
def test_colours_can_be_turned_off(
    how: str, terminal: Terminal, monkeypatch: pytest.MonkeyPatch
) -> None:
    if how == "NO_COLOR":
        monkeypatch.setenv("NO_COLOR", "1")
    with terminal.connected():
        show(summarize(judge(leaking(40))), no_color=how == "--no-color")
    shown = terminal.read()
    assert "broken" in shown
    assert "\x1b[3" not in shown
    assert ";3" not in shown


def test_an_ascii_terminal_gets_ascii() -> None:
    summary = summarize(judge(leaking(40)))
    assert "→" in plain(summary)
    shown = plain(summary, ascii_only=True)
    assert shown.isascii()
    assert "_views[2] -> UserView.session" in shown


# ----------------------------------------------------------------------------- progress


@pytest.mark.parametrize(
    ("passed", "part", "shown"),
    [
        (0, 0, "0:00"),
        (75, 0, "1:15"),
        (30, 0.25, "0:30, 1:30 left"),
        (30, 1, "0:30, 0:00 left"),
    ],
)
def test_the_time_that_is_left_is_estimated(
    passed: float, part: float, shown: str
) -> None:
    assert times(passed, part) == shown


def test_a_terminal_shows_what_is_done_and_the_time_left(terminal: Terminal) -> None:
    with terminal.connected(), progress("shop", "bar") as [shop, bar]:
        shop("installing", None)
        bar(f"driving {'it ' * 30}", 0.5)
    shown = terminal.read()
    assert "shop: installing" in shown
    assert "bar: driving it" in shown
    assert re.search("it .*━.* 0:0., 0:0. left *\r", shown)  # on the same line


def test_a_pipe_gets_no_progress(monkeypatch: pytest.MonkeyPatch) -> None:
    said = io.StringIO()
    monkeypatch.setattr(sys, "stderr", said)
    with progress("shop") as [doing]:
        doing("driving it", 0.5)
    assert said.getvalue() == ""


def test_a_parent_process_hears_how_far_a_child_is(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SESSION_SCOPING_PROGRESS", "1")
    with progress("shop") as [doing]:
        doing("loading", None)
        doing("list", 0.25)
    send(1)
    heard = capsys.readouterr().out.splitlines()
    assert [received(line) for line in heard] == [0.25, 1]
    assert received("the app says something") is None


def test_a_step_is_a_part_of_all() -> None:
    parts: list[float | None] = []
    step = within(lambda doing, part: parts.append(part), 0.5, 0.75)
    step("installing", None)
    step("driving", 1)
    assert parts == [0.5, 0.75]
