"""Flask-Admin's source distributions, which hold its tests and settings."""

import sys
import tarfile
from pathlib import Path
from subprocess import run


def unpack(release: str, folder: Path) -> Path:
    """Download and unpack the sdist of a release. Returns its folder."""
    options = ("-q", "--no-deps", "--no-binary", ":all:", "-d", str(folder))
    command = ("pip", "download", *options, f"flask-admin=={release}")
    run([sys.executable, "-m", *command], check=True)
    [archive] = folder.glob(f"*{release}.tar.gz")
    with tarfile.open(archive) as unpacked:
        unpacked.extractall(folder, filter="data")
    return folder / archive.name.removesuffix(".tar.gz")
