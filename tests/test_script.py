"""The script of the README: what it prints, and its exit status."""

import runpy
import signal
import sys

import flask
import pytest
from sqlalchemy.orm import scoped_session

from tests.test_cli import Result
from tests.test_cli import ROOT
from tests.test_cli import Run
from tests.test_cli import run_process

SCRIPT = "reproduction_script.py"
# Warnings of Flask-Admin itself would turn its pages into errors.
pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning")


@pytest.fixture
def run_script(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> Run:
    """Run the script in this process. Its handler of Ctrl-C is taken back."""

    def run(*arguments: str) -> Result:
        monkeypatch.setattr(sys, "argv", [SCRIPT, *arguments])
        before = signal.getsignal(signal.SIGINT)
        with pytest.raises(SystemExit) as ended:
            runpy.run_path(str(ROOT / SCRIPT), run_name="__main__")
        signal.signal(signal.SIGINT, before)
        assert isinstance(ended.value.code, int)
        return Result(ended.value.code, *capsys.readouterr())

    return run


@pytest.mark.parametrize("handle", ["db", "db.session", "lite", "scoped_session"])
def test_each_request_has_a_session_with_a_handle_and_not_with_a_raw_session(
    handle: str, run_script: Run
) -> None:
    result = run_script("--handle", handle)
    held, raw = result.out.split("With a raw session")
    assert "1. The view keeps its handle: " in held
    assert "2. 3 requests have 3 sessions:" in held
    assert "3. The next request does not see a change" in held
    assert "1. The view keeps a session: sqlalchemy.orm.session.Session" in raw
    assert "2. 3 requests have 1 session:" in raw
    assert "3. The next request SEES a change" in raw
    assert (result.status, result.err) == (0, "")


def test_the_script_fails_when_requests_share_a_session(
    run_script: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(scoped_session, "remove", lambda self: None)
    result = run_script("--handle", "scoped_session")
    assert "does NOT hold" in result.out
    assert result.status == 1


def test_a_list_that_does_not_open_is_no_answer(run_script: Run) -> None:
    def unavailable(app: flask.Flask) -> None:
        flask.abort(503)

    with flask.request_started.connected_to(unavailable):
        result = run_script()
    assert result.err.endswith(": the list answered 503 SERVICE UNAVAILABLE\n")
    assert (result.status, result.err.count("\n")) == (2, 1)


def test_the_script_draws_all_requests(run_script: Run) -> None:
    result = run_script("--requests", "12")
    rows = [line for line in result.out.splitlines() if "██" in line]
    assert [row.count("██") for row in rows] == [1] * 12 + [12]
    assert "\033" not in result.out


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--handle", "session"], "argument --handle: invalid choice: 'session'"),
        (["--requests", "many"], "'many' is not a number from 2 upwards"),
        (["--requests", "1"], "'1' is not a number from 2 upwards"),
        (["--colour"], "unrecognized arguments: --colour"),
    ],
)
def test_an_invalid_argument_is_an_error_of_one_line(
    arguments: list[str], message: str, run_script: Run
) -> None:
    result = run_script(*arguments)
    assert message in result.err
    assert (result.status, result.err.count("\n"), result.out) == (2, 1, "")


@pytest.mark.parametrize("package", ["flask_admin", "flask_sqlalchemy", "flask"])
def test_a_missing_package_is_an_error_of_one_line(package: str) -> None:
    code = (
        f"import runpy, sys; sys.modules[{package!r}] = None; sys.argv = [{SCRIPT!r}];"
        f"runpy.run_path({SCRIPT!r}, run_name='__main__')"
    )
    result = run_process("-c", code)
    assert f"pip install {package.replace('_', '-')}\n" in result.err
    assert (result.status, result.err.count("\n"), result.out) == (2, 1, "")
