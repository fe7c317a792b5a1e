"""The built wheel, installed with an extra: the README's commands on upgrades run.

``uv`` is replaced by a script that counts its calls and then runs it.
"""

import json
import re
import shlex
import subprocess
import typing as t
from functools import cache
from pathlib import Path

import pytest

from session_scoping import pages
from session_scoping.compare.environments import uv_path
from session_scoping.rules.causes import CAUSES
from session_scoping.rules.rules import Rule
from tools.links import ROOT

README = (ROOT / "README.md").read_text(encoding="utf-8")
BLOCKS = re.findall(r"^```sh\n(.*?)^```", README, re.MULTILINE | re.DOTALL)
COMMANDS = [
    shlex.join(shlex.split(line, comments=True))
    for block in BLOCKS
    for line in block.splitlines()
    if re.match("session-scoping +(upgrade|bisect) ", line)
]


class Outcome(t.NamedTuple):
    status: int
    message: str
    calls: dict[str, int]  # of uv, by its command


UPGRADE = {"run": 2}
SAVED = " --json seen.json --html seen.html"
EXPECTED = {
    "session-scoping upgrade flask-admin==2.2.0 flask-admin==2.2.1": Outcome(
        0, "Verdict: flask-admin 2.2.0 → 2.2.1 fixes single", UPGRADE
    ),
    "session-scoping upgrade flask==3.1.1 flask==3.1.2 --app shop:create_app": Outcome(
        1, "db, db.session, lite, scoped_session, WriterView", {"run": 4}
    ),
    "session-scoping upgrade flask-admin==2.2.0 latest --without flask-sqlalchemy": (
        Outcome(2, "Flask-Admin does not import: cannot import", UPGRADE)
    ),
    "session-scoping bisect flask==3.1.0 flask==3.1.3": Outcome(
        1, "Verdict: flask 3.1.2 broke alive.", {"tool": 1, "run": 4}
    ),
}
SHOP = (
    (ROOT / "tests/apps/lazy_export.py")
    .read_text(encoding="utf-8")
    .replace("from tests.apps.engines import URL", 'URL = "sqlite://"')
    .replace("def create_app(broken: bool)", "def create_app(broken: bool = True)")
)


def run(*command: str | Path, **how: t.Any) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [str(part) for part in command], capture_output=True, text=True, **how
    )


@pytest.fixture(scope="session")
def wheel(index: None, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Build the wheel from a copy: building leaves files beside the code."""
    folder = tmp_path_factory.mktemp("wheel")
    tracked = run("git", "ls-files", "-z", cwd=ROOT, check=True).stdout.split("\0")
    for name in filter(None, tracked):
        if (ROOT / name).exists():
            copy = folder / "source" / name
            copy.parent.mkdir(parents=True, exist_ok=True)
            copy.write_bytes((ROOT / name).read_bytes())
    run(uv_path(), "build", "-q", "-o", folder, folder / "source", check=True)
    [built] = folder.glob("*.whl")
    return built


class Installed(t.NamedTuple):
    """The wheel, installed in a new environment."""

    folder: Path

    @property
    def scripts(self) -> Path:
        return self.folder / "bin"

    @property
    def counted(self) -> Path:
        return self.folder / "calls"

    def install(self, what: str) -> None:
        python = self.scripts / "python"
        run(uv_path(), "pip", "install", "-q", "--python", python, what, check=True)

    def __call__(
        self, command: str, folder: Path
    ) -> tuple[subprocess.CompletedProcess[str], dict[str, int]]:
        """Run a command, and count the calls of uv."""
        self.counted.write_text("")
        program, *arguments = shlex.split(command)
        result = run(self.scripts / program, *arguments, cwd=folder)
        calls = self.counted.read_text().split()
        return result, {name: calls.count(name) for name in calls}


@pytest.fixture(scope="session")
def installed(
    wheel: Path, tmp_path_factory: pytest.TempPathFactory
) -> t.Callable[[str], Installed]:
    """Install the wheel with an extra, or with none."""

    @cache
    def make(extra: str) -> Installed:
        found = Installed(tmp_path_factory.mktemp("installed"))
        run(uv_path(), "venv", "-q", "--clear", found.folder, check=True)
        found.install(f"{wheel}[{extra}]" if extra else str(wheel))
        real = found.scripts / "uv"
        if real.exists():
            moved = real.rename(found.scripts / "real-uv")
            counts = f'echo "$1" >> {found.counted}'
            real.write_text(f'#!/bin/sh\n{counts}\nexec {moved} "$@"\n')
            real.chmod(0o755)
        return found

    return make


def test_the_wheel_has_each_package() -> None:
    settings = (ROOT / "pyproject.toml").read_text(encoding="utf-8")
    listed = {*re.findall(r'^    "(session_scoping[.\w]*)",$', settings, re.MULTILINE)}
    folders = (init.parent for init in (ROOT / "session_scoping").rglob("__init__.py"))
    assert listed >= {".".join(folder.relative_to(ROOT).parts) for folder in folders}


def test_the_commands_of_the_readme_are_run() -> None:
    assert [*EXPECTED] == COMMANDS


@pytest.mark.parametrize(
    "extra", ["upgrade", pytest.param("test-all", marks=pytest.mark.weekly)]
)
@pytest.mark.parametrize(
    "command",
    [
        # CI runs the cheapest, and the upgrade that the documents show.
        pytest.param(
            command, marks=[] if " --without " in command else [pytest.mark.weekly]
        )
        for command in EXPECTED
    ],
)
def test_a_command_of_the_readme_prints_its_verdict(
    command: str, extra: str, installed: t.Callable[[str], Installed], tmp_path: Path
) -> None:
    run_installed, outcome = installed(extra), EXPECTED[command]
    if "--app" in command:
        run_installed.install("flask-sqlalchemy")  # which the app needs
        (tmp_path / "shop.py").write_text(SHOP, encoding="utf-8")
    result, calls = run_installed(
        f"{command}{SAVED if ' upgrade ' in command else ''}", tmp_path
    )
    seen = (result.returncode, calls)
    assert seen == (outcome.status, outcome.calls), result.stdout + result.stderr
    assert outcome.message in result.stdout
    saved = [line.rpartition(": ")[2] for line in result.stderr.splitlines()]
    assert sorted(saved) == (
        ["seen.html", "seen.json"] if " upgrade " in command else []
    )
    if " upgrade " in command:
        assert (
            json.loads((tmp_path / "seen.json").read_text())["status"]
            == result.returncode
        )
        assert result.stdout.splitlines()[-1].removeprefix("Verdict: ") in (
            (tmp_path / "seen.html").read_text()
        )


def test_without_an_extra_the_error_says_what_to_install(
    installed: t.Callable[[str], Installed], tmp_path: Path
) -> None:
    run_installed = installed("")
    for command in ("upgrade", "bisect"):
        name = f"session-scoping {command} flask==3.1.1 flask==3.1.2"
        result, calls = run_installed(name, tmp_path)
        assert "uv is not installed: pip install uv\n" in result.stderr
        found = (result.returncode, result.stderr.count("\n"), result.stdout, calls)
        assert found == (2, 1, "", {})


def test_the_wheel_has_the_drop_in(
    installed: t.Callable[[str], Installed], tmp_path: Path
) -> None:
    code = (
        "from session_scoping.compare.fork import drop_in; print(drop_in().read_text())"
    )
    python = installed("").scripts / "python"
    result = run(python, "-c", code, cwd=tmp_path, check=True)
    guard = ROOT / "flask_admin/tests/sqla/test_session_scoping.py"
    assert result.stdout == guard.read_text(encoding="utf-8") + "\n"


def test_the_wheel_has_the_pages_of_rules_and_causes(
    installed: t.Callable[[str], Installed], tmp_path: Path
) -> None:
    names = [*Rule, *(cause.page for cause in CAUSES)]
    result, _ = installed("")(f"session-scoping explain {' '.join(names)}", tmp_path)
    titles = {pages.text(name).partition("\n")[0] for name in names}
    assert result.returncode == 0, result.stderr
    assert titles <= {*result.stdout.splitlines()}


# The pins of an app that runs in production.
OLD = (
    "flask-admin==1.6.1",
    "flask-sqlalchemy==3.0.5",
    "flask==2.2.5",
    "rich==12.6.0",
    "setuptools<80",
    "sqlalchemy==1.4.52",
    "werkzeug==2.2.3",
    "wtforms==3.0.1",
)


@pytest.mark.parametrize(("extra", "fits"), [("[upgrade]", True), ("[verdict]", False)])
def test_installing_it_beside_an_app_replaces_nothing(
    extra: str, fits: bool, wheel: Path, tmp_path: Path
) -> None:
    """Lite needs SQLAlchemy 2: with constraints, what needs Lite is refused."""
    run(uv_path(), "venv", "-q", "--clear", tmp_path, check=True)
    pip = (uv_path(), "pip")
    python = ("--python", tmp_path / "bin" / "python")
    run(*pip, "install", "-q", *python, *OLD, check=True)
    before = run(*pip, "freeze", *python, check=True).stdout
    constraints = tmp_path / "constraints.txt"
    constraints.write_text(before)
    # Without constraints, as many install it, where it fits.
    options: list[str | Path] = [] if fits else ["-c", constraints]
    result = run(*pip, "install", "-q", *python, f"{wheel}{extra}", *options)
    assert (result.returncode == 0) == fits, result.stderr
    after = run(*pip, "freeze", *python, check=True).stdout
    assert {*before.splitlines()} <= {*after.splitlines()}
    assert ("session-scoping" in after) == fits
