"""Makes an HTML page of a summary. The page loads nothing from a network."""

import re
from importlib.resources import files

from jinja2 import Environment
from jinja2 import StrictUndefined
from jinja2 import Template
from markupsafe import escape
from markupsafe import Markup

from session_scoping.report.summary import Summary


def page(summary: Summary) -> str:
    """Return a summary as HTML."""
    return template("page.html").render(summary=summary, style=part("page.css"))


def part(name: str) -> Markup:
    """Return a file of this folder, which is written into a page as it is."""
    return Markup(files(__package__).joinpath(name).read_text(encoding="utf-8"))


def template(name: str) -> Template:
    """Return a template of this folder."""
    environment = Environment(
        autoescape=True, trim_blocks=True, lstrip_blocks=True, undefined=StrictUndefined
    )
    environment.policies["json.dumps_kwargs"] = {"separators": (",", ":")}
    environment.filters.update(linked=linked, with_code=with_code)
    return environment.from_string(part(name))


def linked(text: str) -> Markup:
    """Return a text as HTML, with links for its addresses."""
    escaped = str(escape(text))
    return Markup(re.sub(r"(https://[^\s<]+)", r'<a href="\1">\1</a>', escaped))


def with_code(text: str) -> Markup:
    """Return a text as HTML, where what stands between backticks is code."""
    return Markup(re.sub("`([^`]+)`", r"<code>\1</code>", str(escape(text))))
