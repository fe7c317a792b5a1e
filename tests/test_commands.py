"""The script of the README: what it prints, and how it ends."""

import runpy
import subprocess
import sys
import typing as t
from pathlib import Path

import pytest
from sqlalchemy.orm import scoped_session

from session_scoping import __version__

ROOT = Path(__file__).parent.parent
SCRIPT = "reproduction_script.py"
# Of Flask-Admin itself, which would turn its pages into errors.
pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning")


class Done(t.NamedTuple):
    status: int
    out: str
    err: str


Run = t.Callable[..., Done]


@pytest.fixture
def script(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Run:
    """The script with some arguments, in this process."""

    def run(*arguments: str) -> Done:
        monkeypatch.setattr(sys, "argv", [SCRIPT, *arguments])
        with pytest.raises(SystemExit) as ended:
            runpy.run_path(str(ROOT / SCRIPT), run_name="__main__")
        assert isinstance(ended.value.code, int)
        return Done(ended.value.code, *capsys.readouterr())

    return run


def process(*arguments: str) -> Done:
    done = subprocess.run(
        [sys.executable, *arguments], cwd=ROOT, capture_output=True, text=True
    )
    return Done(done.returncode, done.stdout, done.stderr)


@pytest.mark.parametrize("handle", ["db", "db.session", "lite", "scoped_session"])
def test_script_shows_a_session_for_each_request(handle: str, script: Run) -> None:
    done = script("--handle", handle)
    held, raw = done.out.split("With a raw session")
    assert "1. The view keeps its handle: " in held
    assert "2. 3 requests have 3 sessions:" in held
    assert "3. The next request does not see a change" in held
    assert "1. The view keeps a session: sqlalchemy.orm.session.Session" in raw
    assert "2. 3 requests have 1 session:" in raw
    assert "3. The next request SEES a change" in raw
    assert (done.status, done.err) == (0, "")


def test_script_fails_when_requests_share_a_session(
    script: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A `scoped_session` without its `remove()`."""
    monkeypatch.setattr(scoped_session, "remove", lambda self: None)
    done = script("--handle", "scoped_session")
    assert "does NOT hold" in done.out
    assert done.status == 1


def test_script_draws_all_requests(script: Run) -> None:
    done = script("--requests", "12")
    rows = [line for line in done.out.splitlines() if "██" in line]
    assert [row.count("██") for row in rows] == [1] * 12 + [12]
    assert "\033" not in done.out


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["--handle", "session"], "argument --handle: invalid choice: 'session'"),
        (["--requests", "many"], "'many' is not a number from 2 upwards"),
        (["--requests", "1"], "'1' is not a number from 2 upwards"),
        (["--colour"], "unrecognized arguments: --colour"),
    ],
)
def test_script_refuses_an_argument_in_a_line(
    arguments: list[str], says: str, script: Run
) -> None:
    done = script(*arguments)
    assert says in done.err
    assert (done.status, done.err.count("\n"), done.out) == (2, 1, "")


@pytest.mark.parametrize("package", ["flask_admin", "flask_sqlalchemy", "flask"])
def test_script_says_in_a_line_what_to_install(package: str) -> None:
    code = (
        f"import runpy, sys; sys.modules[{package!r}] = None; sys.argv = [{SCRIPT!r}];"
        f"runpy.run_path({SCRIPT!r}, run_name='__main__')"
    )
    done = process("-c", code)
    assert f"pip install {package.replace('_', '-')}\n" in done.err
    assert (done.status, done.err.count("\n"), done.out) == (2, 1, "")


def test_the_command_has_a_version() -> None:
    done = process("-m", "session_scoping", "--version")
    assert done == Done(0, f"python -m session_scoping, version {__version__}\n", "")
    assert f'\nversion = "{__version__}"\n' in (ROOT / "pyproject.toml").read_text()


def test_an_option_without_effect_is_refused() -> None:
    app = "tests.apps.raw_session:fixed"
    done = process("-m", "session_scoping", "--app", app, "--yes")
    assert "--yes has no effect without --write" in done.err
    assert (done.status, done.err.count("\n"), done.out) == (2, 1, "")
