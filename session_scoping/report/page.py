"""HTML pages from the templates of this folder. They load nothing from a network."""

import re
from importlib.resources import files

from jinja2 import Environment
from jinja2 import StrictUndefined
from markupsafe import escape
from markupsafe import Markup


def render_page(template: str, **values: object) -> str:
    """Return a template of this folder, filled in with values, as HTML."""
    environment = Environment(
        autoescape=True, trim_blocks=True, lstrip_blocks=True, undefined=StrictUndefined
    )
    part = files(__package__).joinpath
    page = environment.from_string(part(template).read_text(encoding="utf-8"))
    style = Markup(part("page.css").read_text(encoding="utf-8"))
    return page.render(style=style, link=link, **values)


def link(text: str) -> Markup:
    """Return a text as HTML, with links for its addresses."""
    escaped = str(escape(text))
    return Markup(re.sub(r"(https://[^\s<]+)", r'<a href="\1">\1</a>', escaped))
