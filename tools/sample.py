"""A sample of names, for programs that take too long with all of them."""

import hashlib
import subprocess
from pathlib import Path

ROOT = Path(__file__).parent.parent


def sample(names: list[str], number: int | None) -> list[str]:
    """Return this number of names, which the current commit selects; ``None``: all."""
    if number is None:
        return names
    # In CI another user owns the folder.
    git = ["git", "-c", "safe.directory=*", "rev-parse", "HEAD"]
    commit = subprocess.check_output(git, cwd=ROOT, text=True)
    order = {name: hashlib.sha256((commit + name).encode()).digest() for name in names}
    return sorted(names, key=order.__getitem__)[:number]
