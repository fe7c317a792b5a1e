"""Prints the page of a rule or a cause, and makes HTML of it."""

import re
import typing as t

from markdown_it import MarkdownIt
from markupsafe import Markup
from rich.console import Console
from rich.markdown import Markdown

import session_scoping.pages as pages


def show(text: str) -> None:
    """Print Markdown: on a terminal laid out, elsewhere as it is."""
    console = Console(highlight=False)
    if console.is_terminal:
        console.print(Markdown(text, hyperlinks=False))
    else:
        print(text, flush=True)


class Page(t.NamedTuple):
    """A page as HTML, which a report has inside. Its anchor is ``about-NAME``."""

    name: str
    title: str
    body: Markup


def page(name: str) -> Page:
    """Return a page as HTML."""
    body = MarkdownIt().render(pages.text(name).partition("\n")[2])
    body = re.sub("(</?h)2>", r"\g<1>4>", body)
    body = body.replace("<pre>", '<pre tabindex="0">')  # the keys scroll it
    return Page(name, pages.title(name), Markup(body))
