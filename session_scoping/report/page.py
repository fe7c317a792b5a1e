"""A page of its own: a template of this folder, which needs no network."""

import re
from importlib.resources import files

from jinja2 import Environment
from jinja2 import StrictUndefined
from markupsafe import escape
from markupsafe import Markup


def render_page(template: str, **values: object) -> str:
    """Fill in a template of this folder. Returns HTML."""
    environment = Environment(
        autoescape=True, trim_blocks=True, lstrip_blocks=True, undefined=StrictUndefined
    )
    part = files(__package__).joinpath
    page = environment.from_string(part(template).read_text(encoding="utf-8"))
    style = Markup(part("page.css").read_text(encoding="utf-8"))
    return page.render(style=style, link=link, **values)


def link(text: str) -> Markup:
    """Make links of the addresses in a text."""
    escaped = str(escape(text))
    return Markup(re.sub(r"(https://[^\s<]+)", r'<a href="\1">\1</a>', escaped))
