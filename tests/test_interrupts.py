"""Ctrl-C accuses no app, and prints no traceback: see ``tools/interrupts``, too."""

import signal
import typing as t
from pathlib import Path

import pytest

from session_scoping import interrupts
from session_scoping import judge
from session_scoping import record
from session_scoping import Recorder
from session_scoping import Recording
from tests.test_cli import run_command as run_command
from tests.test_cli import zoo as zoo
from tests.test_faults import make_app
from tools.interrupts import at_statement
from tools.interrupts import BY_STATEMENT
from tools.interrupts import Command
from tools.interrupts import run
from tools.interrupts import wrong

NOTE = "interrupted: this is the verdict so far"


@pytest.fixture(autouse=True)
def ctrl_c() -> t.Iterator[None]:
    """Handle Ctrl-C. A script that runs in the background may ignore it."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


@pytest.mark.parametrize("command", BY_STATEMENT, ids=lambda command: command.name)
@pytest.mark.parametrize("number", [1, 60])
def test_ctrl_c_at_a_statement_accuses_no_app(command: Command, number: int) -> None:
    status, printed = at_statement(command, number)
    assert wrong(status, printed) == "", printed
    assert "session-scoping: interrupted" in printed
    assert (NOTE in printed) == (number > 1)  # the first builds the app


def test_ctrl_c_is_wrong_where_it_accuses_or_spills() -> None:
    assert wrong(130, "1 of 7 rules is broken: released") != ""
    assert wrong(130, "Traceback (most recent call last):") != ""
    assert wrong(1, "session-scoping: interrupted") != ""
    assert wrong(0, "") != ""
    assert wrong(0, "", is_over=True) == ""


SCRIPT = """
import runpy, signal, sqlalchemy
from itertools import count
numbers = count(1)

@sqlalchemy.event.listens_for(sqlalchemy.engine.Engine, "before_cursor_execute")
def press(*_):
    if next(numbers) == {}:
        signal.raise_signal(signal.SIGINT)

runpy.run_path("reproduction_script.py", run_name="__main__")
"""


@pytest.mark.parametrize("number", [1, 12])
def test_ctrl_c_ends_the_script_with_a_line(number: int) -> None:
    status, printed = run(["-c", SCRIPT.format(number)])
    assert status == 130
    assert printed.endswith("reproduction_script.py: interrupted\n")
    assert "Traceback" not in printed


def press() -> None:
    signal.raise_signal(signal.SIGINT)


@pytest.fixture
def url(tmp_path: Path) -> str:
    return f"sqlite:///{tmp_path / 'pond.db'}"


def interrupted(url: str, before: t.Callable[[], None]) -> Recording:
    """Record an app of which a page runs ``before``, until Ctrl-C ends it."""
    app = make_app(url)
    app.before_request(before)
    with Recorder() as recorder, pytest.raises(KeyboardInterrupt):
        record(app, recorder=recorder, faults=True)
    return recorder.recording


def test_the_request_that_runs_is_waited_for(url: str) -> None:
    recording = interrupted(url, press)
    [request] = recording.requests
    assert (request.status, request.interrupted) == (200, False)
    assert judge(recording).holds


def test_a_second_ctrl_c_drops_the_request(url: str) -> None:
    def twice() -> None:
        press()
        press()

    recording = interrupted(url, twice)
    [request] = recording.requests
    assert (request.status, request.ended, request.interrupted) == (0, 0, True)
    assert judge(recording).violations == ()


def test_another_handler_of_ctrl_c_is_left_alone() -> None:
    pressed = []
    before = signal.signal(signal.SIGINT, lambda *_: pressed.append(1))
    try:
        with interrupts.held(), interrupts.raised(), interrupts.request():
            press()
        interrupts.end_at_once()
        press()
    finally:
        signal.signal(signal.SIGINT, before)
    assert pressed == [1, 1]


def test_ctrl_c_while_it_is_held_back_is_raised_at_the_end() -> None:
    def press_twice() -> None:
        with interrupts.held():
            press()
            press()

    with pytest.raises(KeyboardInterrupt):
        press_twice()
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler
    interrupts.check()
