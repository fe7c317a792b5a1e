"""The two commands say what they found, and their exit status is honest."""

import subprocess
import sys
from pathlib import Path

import pytest

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
    assert [held.count(f"used session {name};") for name in "ABC"] == [1, 1, 1]
    assert raw.count("used session A;") == 3
    assert "next request sees it: False" in held
    assert "next request sees it: True" in raw
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


@pytest.mark.parametrize("package", ["flask_admin", "flask_sqlalchemy", "flask"])
def test_script_says_in_one_line_what_to_install(package: str) -> None:
    code = NOT_THERE.format(package=package) + RUN_SCRIPT.format(
        argv=[SCRIPT], script=SCRIPT
    )
    done = python("-c", code)
    assert f"pip install {package.replace('_', '-')}\n" in done.stderr
    assert (done.returncode, done.stderr.count("\n"), done.stdout) == (2, 1, "")


GREEN = "def test_single_always(one): pass"
RED = "def test_single_always(one): raise AssertionError('two sessions')"
KNOWN = GREEN + "\n@pytest.mark.xfail(reason='known')\n" + RED.replace("always", "once")
PARAMETER = (
    "@pytest.mark.parametrize('rule', ['single'])\ndef test_rules(rule, one): 1 / 0"
)
SKIPPED = GREEN.replace("pass", "pytest.skip('not installed')")
UNREADABLE = "import nothing_of_this_name"


@pytest.mark.parametrize(
    ("tests", "cell", "status"),
    [
        (GREEN, "single    holds", 0),
        (RED, "single    BREAKS", 1),
        (PARAMETER, "single    BREAKS", 1),
        (KNOWN, "single    holds but [1]", 0),
        (SKIPPED, "single    - [1]", 0),
        (UNREADABLE, "No module named 'nothing_of_this_name'", 2),
    ],
)
def test_verdict_is_honest(tests: str, cell: str, status: int, tmp_path: Path) -> None:
    guard = tmp_path / "test_guard.py"
    handles = "@pytest.fixture(params=['db'])\ndef one(request): return 1\n"
    guard.write_text(f"import pytest\n{handles}{tests}\n")
    code = (
        "import sys, verdict; from pathlib import Path;"
        f"sys.exit(verdict.main(Path({str(guard)!r})))"
    )
    done = python("-c", code)
    assert cell in done.stdout
    assert done.returncode == status
