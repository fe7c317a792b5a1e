"""The two commands say what they found, and their exit status is honest."""

import subprocess
import sys
from pathlib import Path

import pytest

from session_scoping import __version__

ROOT = Path(__file__).parent.parent
SCRIPT = "reproduction_script.py"
NOT_THERE = "import sys; sys.modules[{package!r}] = None; "
RUN_SCRIPT = (
    "import runpy; sys.argv = {argv!r}; runpy.run_path({script!r}, run_name='__main__')"
)


def python(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-W", "ignore", *arguments],
        cwd=ROOT,
        capture_output=True,
        text=True,
    )


@pytest.mark.parametrize("handle", ["db", "db.session", "lite", "scoped_session"])
def test_script_shows_a_session_for_each_request(handle: str) -> None:
    done = python(SCRIPT, "--handle", handle)
    held, raw = done.stdout.split("With a raw session")
    assert "1. The view keeps its handle: " in held
    assert "2. 3 requests have 3 sessions:" in held
    assert "3. The next request does not see a change" in held
    assert "1. The view keeps a session: sqlalchemy.orm.session.Session" in raw
    assert "2. 3 requests have 1 session:" in raw
    assert "3. The next request SEES a change" in raw
    assert (done.returncode, done.stderr) == (0, "")


def test_script_fails_when_requests_share_a_session() -> None:
    """A handle that is never left: the plain one, without its ``remove()``."""
    broken = (
        "import sys; sys.argv = ['x', '--handle', 'scoped_session'];"
        "from sqlalchemy.orm import scoped_session;"
        "scoped_session.remove = lambda self: None;"
        "import reproduction_script; sys.exit(reproduction_script.main())"
    )
    done = python("-c", broken)
    assert "does NOT hold" in done.stdout
    assert done.returncode == 1


def test_script_draws_as_many_requests_as_it_is_told() -> None:
    done = python(SCRIPT, "--requests", "12")
    rows = [line for line in done.stdout.splitlines() if "██" in line]
    assert [row.count("██") for row in rows] == [1] * 12 + [12]
    assert "\033" not in done.stdout


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["--handle", "session"], "argument --handle: invalid choice: 'session'"),
        (["--requests", "many"], "'many' is not a number from 2 upwards"),
        (["--requests", "1"], "'1' is not a number from 2 upwards"),
        (["--colour"], "unrecognized arguments: --colour"),
    ],
)
def test_script_says_in_one_line_what_it_does_not_understand(
    arguments: list[str], says: str
) -> None:
    done = python(SCRIPT, *arguments)
    assert says in done.stderr
    assert (done.returncode, done.stderr.count("\n"), done.stdout) == (2, 1, "")


def test_the_command_knows_its_version() -> None:
    done = python("-m", "session_scoping", "--version")
    assert done.stdout == f"python -m session_scoping, version {__version__}\n"
    assert f'\nversion = "{__version__}"\n' in (ROOT / "pyproject.toml").read_text()
    assert (done.returncode, done.stderr) == (0, "")


def test_an_option_without_effect_is_refused() -> None:
    target = "tests.apps.raw_session:fixed"
    done = python("-m", "session_scoping", "--app", target, "--yes")
    assert "--yes has no effect without --write" in done.stderr
    assert (done.returncode, done.stderr.count("\n"), done.stdout) == (2, 1, "")


@pytest.mark.parametrize("package", ["flask_admin", "flask_sqlalchemy", "flask"])
def test_script_says_in_one_line_what_to_install(package: str) -> None:
    code = NOT_THERE.format(package=package) + RUN_SCRIPT.format(
        argv=[SCRIPT], script=SCRIPT
    )
    done = python("-c", code)
    assert f"pip install {package.replace('_', '-')}\n" in done.stderr
    assert (done.returncode, done.stderr.count("\n"), done.stdout) == (2, 1, "")
