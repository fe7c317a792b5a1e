"""Makes an HTML page of a summary. The page loads nothing from a network."""

import re
from importlib.resources import files

from jinja2 import Environment
from jinja2 import StrictUndefined
from markupsafe import escape
from markupsafe import Markup

from session_scoping.report.summary import Summary


def page(summary: Summary) -> str:
    """Return a summary as HTML."""
    environment = Environment(
        autoescape=True, trim_blocks=True, lstrip_blocks=True, undefined=StrictUndefined
    )
    environment.filters["linked"] = linked
    part = files(__package__).joinpath
    template = environment.from_string(part("page.html").read_text(encoding="utf-8"))
    style = Markup(part("page.css").read_text(encoding="utf-8"))
    return template.render(summary=summary, style=style)


def linked(text: str) -> Markup:
    """Return a text as HTML, with links for its addresses."""
    escaped = str(escape(text))
    return Markup(re.sub(r"(https://[^\s<]+)", r'<a href="\1">\1</a>', escaped))
