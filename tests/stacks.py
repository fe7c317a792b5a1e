"""Run the guards on older stacks, each in a virtual environment of its own.

A stack that is known to keep every law has to pass.  One that is known to break some
has to fail, and to say why: a guard that is green there has gone blind.
Exit status: 0 when all is as it is known to be, 1 otherwise.
"""

import re
import subprocess
import sys
import tempfile
import typing as t
import venv
from pathlib import Path

GUARD = "flask_admin/tests/sqla/test_session_scoping.py"
APPS = "tests/test_apps.py"
ROOT = Path(__file__).parent.parent


class Stack(t.NamedTuple):
    name: str
    requirements: tuple[str, ...]
    says: str = ""  # why it fails; without, it has to pass
    imports: bool = True  # does Flask-Admin, so that there can be an app?


OWN = ("rich", "blinker", "pytest")  # what this project needs by itself
BOTH = ("flask-sqlalchemy", "flask-sqlalchemy-lite", "tablib", "flask[async]", *OWN)
OLD = (
    *("flask-admin==1.6.1", "flask<2.3", "werkzeug<2.3", "wtforms<3.1"),
    *("flask-sqlalchemy<3.1", "sqlalchemy<2", "setuptools<80", "tablib", *OWN),
)
STACKS = [
    Stack("Flask-Admin 1.6.1, SQLAlchemy 1.4", OLD),
    Stack("Flask-Admin 2.0.2", ("flask-admin==2.0.2", *BOTH)),
    Stack("Flask-Admin 2.1.0", ("flask-admin==2.1.0", *BOTH), says="pull/2953"),
    Stack("Flask-Admin 2.2.0", ("flask-admin==2.2.0", *BOTH), says="pull/2953"),
    Stack("Flask 3.1.1", ("flask-admin==2.2.1", "flask==3.1.1", *BOTH)),
    Stack("SQLAlchemy 2.0", ("flask-admin==2.2.1", "sqlalchemy<2.1", *BOTH)),
    Stack(
        "Flask-Admin 2.2.0, neither extension",
        ("flask-admin==2.2.0", "sqlalchemy", *OWN),
    ),
    Stack(
        "Flask-Admin 2.2.1, Lite alone",
        ("flask-admin==2.2.1", "flask-sqlalchemy-lite", *OWN),
        says="do not import: cannot import name 'T_SESSION'",
        imports=False,
    ),
]


def run(*command: str | Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        command, cwd=ROOT, text=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT
    )


def wrong(stack: Stack, folder: Path) -> str:
    """How a stack is not as it is known to be, or nothing, and its last line."""
    venv.create(folder, with_pip=True)
    python = folder / "bin" / "python"
    options = ("-q", "--disable-pip-version-check", *stack.requirements)
    installed = run(python, "-m", "pip", "install", *options)
    if installed.returncode:
        return f"does not install:\n{installed.stdout}"
    done = tests(python, GUARD)
    print(f"{stack.name}: {done.stdout.strip().splitlines()[-1]}", flush=True)
    failed = re.findall(r"^(?:FAILED|ERROR) .*$", done.stdout, re.MULTILINE)
    if stack.says and (len(failed) != 1 or stack.says not in done.stdout):
        return f"has to fail once, saying {stack.says!r}:\n{done.stdout}"
    if not stack.says and done.returncode:
        return done.stdout
    if not stack.imports:
        return ""
    done = tests(python, APPS)
    print(f"    apps: {done.stdout.strip().splitlines()[-1]}", flush=True)
    return done.stdout if done.returncode else ""


def tests(python: Path, module: str) -> subprocess.CompletedProcess[str]:
    """Run a module of tests. That old stacks warn of themselves is no failure."""
    options = ["-q", "-rfE", "-W", "ignore", "-o", "addopts=", "-o", "filterwarnings="]
    return run(python, "-m", "pytest", *options, "-p", "no:cacheprovider", module)


def main() -> int:
    status = 0
    for stack in STACKS:
        with tempfile.TemporaryDirectory() as folder:
            if why := wrong(stack, Path(folder)):
                print(f"{stack.name}: {why}")
                status = 1
    print("All stacks are as they are known to be." if not status else "See above.")
    return status


if __name__ == "__main__":
    sys.exit(main())
