"""The fixes that reports print. Each is a file, which a fixed example app imports.

A report prints the lines between ``# begin`` and ``# end``, and the imports that they
use. So a user pastes what the example runs. Around these lines most files have a
function, so that an app can import the fix. Its parameters are what an app calls
``app``, ``db``, ``User`` and so on.
"""

import ast
from pathlib import Path
from textwrap import dedent


def code(name: str) -> str:
    """Return the lines of a fix that the reports print. ``name`` is that of its file.

    What these lines use of the imports above them is printed before them. The file is
    read, not imported: it may need packages that are not installed.
    """
    text = Path(__file__).with_name(f"{name}.py").read_text(encoding="utf-8")
    above, _, rest = text.partition("# begin\n")
    printed = dedent(rest.partition("# end\n")[0]).strip()
    nodes = ast.walk(ast.parse(printed))
    used = {node.id for node in nodes if isinstance(node, ast.Name)}
    imports = [
        ast.unparse(node)
        for node in ast.parse(text).body
        if isinstance(node, ast.ImportFrom)
        and node.lineno <= above.count("\n")
        and node.names[0].name in used
    ]
    return "\n".join([*imports, *([""] if imports else []), printed])
