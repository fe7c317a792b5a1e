"""Run the guard where it is meant to live: in a checkout of Flask-Admin.

The checkout is made from the source distribution of the installed release.  The guard
is copied to its place there, and has to pass under that project's own pytest, ruff and
mypy settings.  Exit status: 0 when it does, 1 otherwise.
"""

import subprocess
import sys
import tarfile
import tempfile
from importlib.metadata import version
from pathlib import Path
from shutil import copy

GUARD = "flask_admin/tests/sqla/test_session_scoping.py"
ROOT = Path(__file__).parent.parent


def checkout(folder: Path) -> Path:
    """Unpack the source distribution of the installed Flask-Admin."""
    release = version("flask-admin")
    options = ("-q", "--no-deps", "--no-binary", ":all:", "--disable-pip-version-check")
    command = (
        "pip",
        "download",
        *options,
        f"flask-admin=={release}",
        "-d",
        str(folder),
    )
    subprocess.run([sys.executable, "-m", *command], check=True)
    [archive] = folder.glob("*.tar.gz")
    with tarfile.open(archive) as unpacked:
        unpacked.extractall(folder, filter="data")
    return folder / archive.name.removesuffix(".tar.gz")


def run(folder: Path, *command: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", *command],
        cwd=folder,
        text=True,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
    )


def main() -> int:
    with tempfile.TemporaryDirectory() as folder:
        fork = checkout(Path(folder))
        copy(ROOT / GUARD, fork / GUARD)
        tested = run(fork, "pytest", "-q", GUARD)
        linted = run(fork, "ruff", "check", "--no-fix", GUARD)
        formatted = run(fork, "ruff", "format", "--check", GUARD)
        # Of Flask-Admin's own files mypy has more to say, with other stubs than theirs.
        typed = run(fork, "mypy", "--no-pretty", "--no-error-summary", GUARD)
    errors = [line for line in typed.stdout.splitlines() if line.startswith(GUARD)]
    print(f"{fork.name}: {tested.stdout.strip().splitlines()[-1]}")
    for done in (tested, linted, formatted):
        if done.returncode:
            print(done.stdout)
    print("\n".join(errors) or "mypy has nothing to say of the guard")
    return int(
        any((tested.returncode, linted.returncode, formatted.returncode, errors))
    )


if __name__ == "__main__":
    sys.exit(main())
