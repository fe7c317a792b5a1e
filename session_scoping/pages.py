"""The pages about the rules and the causes, which every report leads to.

They are in the folder ``docs`` of the repository. The package takes them along, so that
they can be read without a network: ``session-scoping explain fresh``.
"""

import re
from pathlib import Path

from session_scoping.errors import CannotTell

HERE = Path(__file__).parent
INDEX = "causes"  # the page that lists all pages


def command(*names: str) -> str:
    """Return the command that prints the pages of these rules or causes."""
    return f"session-scoping explain {' '.join(names)}"


def text(name: str) -> str:
    """Return a page as Markdown, without comments and links to other files.

    ``name`` is that of a rule, as ``fresh``, or the page of a cause, as
    ``kept-session``. Raises ``CannotTell`` if there is no such page.
    """
    page = _files().get(name)
    if page is None:
        raise CannotTell(
            f"there is no page {name!r}: `{command().strip()}` lists all pages"
        )
    found = re.sub(r"<!--.*?-->\n*", "", page.read_text(encoding="utf-8"))
    return re.sub(r"\[([^]]*)\]\((?!https:)[^)]*\)", r"\1", found)


def title(name: str) -> str:
    """Return the title of a page. Raises ``CannotTell`` if there is no such page."""
    return text(name).partition("\n")[0].removeprefix("# ")


def _files() -> dict[str, Path]:
    packaged = HERE / "docs"
    home = packaged if packaged.exists() else HERE.parent / "docs"
    found = [home / f"{INDEX}.md", *home.glob("rules/*.md"), *home.glob("causes/*.md")]
    return {page.stem: page for page in found}
