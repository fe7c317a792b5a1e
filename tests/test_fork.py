"""``fork``: the drop-in in a checkout of Flask-Admin, and what is refused."""

import hashlib
import os
import signal
import subprocess
import sys
import typing as t
from functools import partial
from pathlib import Path
from select import select

import pytest
from click.testing import CliRunner
from click.testing import Result

from session_scoping.cli import main
from session_scoping.compare.fork import drop_in
from session_scoping.compare.fork import FILE
from session_scoping.compare.fork import HOME
from tests.conftest import Sdist

FORK = (sys.executable, "-m", "session_scoping", "fork")


def run_fork(*arguments: str | Path) -> Result:
    return CliRunner().invoke(main, ["fork", *map(str, arguments)])


def hashes(folder: Path) -> dict[str, str]:
    return {
        str(file.relative_to(folder)): hashlib.sha256(file.read_bytes()).hexdigest()
        for file in folder.rglob("*")
        if file.is_file()
    }


def make_checkout(
    folder: Path, settings: str = '[project]\nname = "Flask-Admin"\n'
) -> Path:
    (folder / HOME).mkdir(parents=True)
    (folder / "pyproject.toml").write_text(settings)
    return folder


@pytest.mark.parametrize(
    ("release", "status", "message"),
    [
        *(
            pytest.param(release, 1, "validators.py:73", marks=pytest.mark.weekly)
            for release in ("2.1.0", "2.2.0")
        ),
        ("2.2.1", 0, "pytest       passes"),
    ],
)
def test_the_drop_in_runs_in_a_checkout(
    sdist: Sdist, release: str, status: int, message: str
) -> None:
    """Every warning is an error there.  A file is overwritten only in a copy."""
    checkout = sdist(release)
    (checkout / FILE).write_text("# mine")
    before = hashes(checkout)
    result = run_fork(checkout, "--overwrite")
    assert result.exit_code == status, result.output
    assert message in result.output
    for tool in "ruff check", "ruff format", "mypy":
        assert f"{tool:<12} passes" in result.output
    assert hashes(checkout) == before


def test_what_fails_in_a_checkout_is_printed(sdist: Sdist) -> None:
    checkout = sdist("2.2.1")
    settings = checkout / "pyproject.toml"
    strict = settings.read_text().replace('    "B",  #', '    "D", "B",  #')
    settings.write_text(strict)
    (checkout / HOME / "conftest.py").write_text("raise ValueError('no fixtures')")
    result = run_fork(checkout)
    assert result.exit_code == 1, result.output
    assert "ruff check   fails" in result.output
    assert "D103" in result.output
    assert "pytest       fails" in result.output
    assert "no fixtures" in result.output


@pytest.mark.parametrize(
    "settings", ["", '[project]\nname = "flask"\n', '[tool.x]\nname = "Flask-Admin"\n']
)
def test_a_folder_without_a_checkout_is_refused(settings: str, tmp_path: Path) -> None:
    result = run_fork(make_checkout(tmp_path, settings))
    assert result.exit_code == 2
    assert f"{tmp_path} is no Flask-Admin checkout" in result.output
    assert result.output.count("\n") == 1


def test_a_missing_folder_is_refused(tmp_path: Path) -> None:
    assert "is no Flask-Admin checkout" in run_fork(tmp_path / "nowhere").output


@pytest.mark.parametrize("which", ["the same module", "another module"])
def test_an_existing_module_is_not_overwritten(which: str, tmp_path: Path) -> None:
    there = make_checkout(tmp_path) / FILE
    text = drop_in().read_text() if which == "the same module" else "# mine"
    there.write_text(text)
    result = run_fork(tmp_path)
    assert result.exit_code == 2
    assert f"is there already, with {which}: --overwrite" in result.output
    assert there.read_text() == text


def test_an_interrupt_leaves_the_checkout_as_it_was(
    sdist: Sdist, tmp_path: Path
) -> None:
    checkout = sdist("2.2.1")
    started, never = tmp_path / "started", tmp_path / "never"
    os.mkfifo(started)
    os.mkfifo(never)
    conftest = checkout / HOME / "conftest.py"
    begins = f"from pathlib import Path; Path({str(started)!r}).write_text('.')\n"
    waits = f"{begins}Path({str(never)!r}).read_text()\n"
    conftest.write_text(waits + conftest.read_text())
    before = hashes(checkout)
    running: t.Any = subprocess.Popen(
        [*FORK, str(checkout)],
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
        # What a shell runs in the background inherits that interrupts are ignored.
        preexec_fn=partial(signal.signal, signal.SIGINT, signal.SIG_DFL),
    )
    pytest_starts = os.open(started, os.O_RDWR)  # does not wait for a writer
    ends = os.pidfd_open(running.pid)
    ready, _, _ = select([pytest_starts, ends], [], [])
    assert ready == [pytest_starts], running.communicate()
    os.close(pytest_starts)
    os.close(ends)
    os.killpg(running.pid, signal.SIGINT)
    _, printed = running.communicate()
    assert running.returncode == 130
    assert "session-scoping: interrupted" in printed
    assert hashes(checkout) == before
