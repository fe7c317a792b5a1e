"""What a module does only when it is started as a program."""

import ast
import sys
from pathlib import Path

import flask

from session_scoping.watch.places import readable

SETS_UP = {"Admin", "add_view", "add_views", "init_app"}


def under_main(app: flask.Flask) -> str:
    """Return that the app's module sets up its admin under ``if __name__ == …``.

    Returns an empty string if it does not, or if its source cannot be read.
    """
    path = getattr(sys.modules.get(app.import_name), "__file__", None)
    try:
        tree = ast.parse(Path(path or "").read_bytes())
    except (OSError, SyntaxError, ValueError):
        return ""
    calls = (
        node
        for block in tree.body
        if isinstance(block, ast.If) and "'__main__'" in ast.unparse(block.test)
        for node in ast.walk(block)
        if isinstance(node, ast.Call)
    )
    for call in calls:
        if ast.unparse(call.func).rpartition(".")[2] in SETS_UP:
            return (
                f"{readable(str(path))}:{call.lineno} is under `if __name__ == "
                '"__main__"`, which runs only where the file is started as a program: '
                "move what sets up the admin above it"
            )
    return ""
