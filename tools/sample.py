"""Some of many, for what has no time for all."""

import hashlib
import subprocess
from pathlib import Path

ROOT = Path(__file__).parent.parent


def sample(names: list[str], number: int | None) -> list[str]:
    """So many, others for each commit that is checked out; all for ``None``."""
    if number is None:
        return names
    # In CI another user owns the folder.
    git = ["git", "-c", "safe.directory=*", "rev-parse", "HEAD"]
    commit = subprocess.check_output(git, cwd=ROOT, text=True)
    order = {name: hashlib.sha256((commit + name).encode()).digest() for name in names}
    return sorted(names, key=order.__getitem__)[:number]
