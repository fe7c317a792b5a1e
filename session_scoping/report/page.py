"""Makes an HTML page of a summary. The page loads nothing from a network."""

import base64
import hashlib
import re
import typing as t
from functools import cache
from importlib.resources import files

from jinja2 import Environment
from jinja2 import FunctionLoader
from jinja2 import StrictUndefined
from markupsafe import escape
from markupsafe import Markup

from session_scoping.pages import command
from session_scoping.pages import title
from session_scoping.report.explained import page as explained
from session_scoping.report.run import PACKAGE
from session_scoping.report.run import Run
from session_scoping.report.summary import Summary
from session_scoping.rules.cells import State
from session_scoping.rules.rules import Rule
from session_scoping.status import Status

STATES = {
    Status.HOLDS: State.HOLDS.value,
    Status.BROKEN: State.BROKEN.value,
    Status.CANNOT_TELL: "could not tell",
}


def page(summary: Summary, run: Run) -> str:
    """Return a summary as HTML."""
    return render(
        "page.html",
        run,
        styles=("base.css", "page.css"),
        state=STATES[summary.status],
        sentence=summary.sentence,
        pages=list(Rule),
        facts={"With": ", ".join(line.text.strip() for line in summary.about)},
        summary=summary,
    )


def render(
    name: str,
    run: Run,
    *,
    styles: t.Sequence[str],
    scripts: t.Sequence[str] = (),
    facts: dict[str, str],
    sentence: str,
    pages: t.Iterable[str],
    **values: t.Any,
) -> str:
    """Return a template of this folder as a page, with its styles and scripts.

    ``facts`` go above what says how the page was made. ``pages`` are the names of the
    rules and causes that it explains.
    """
    style, theme = _joined(styles), part("theme.js")
    script = _joined(scripts)
    page = (
        _environment()
        .get_template(name)
        .render(
            sentence=sentence,
            facts={
                **facts,
                "Made": Markup('<time datetime="{}">{}</time> by {} {}').format(
                    run.date.isoformat(timespec="seconds"),
                    run.day,
                    PACKAGE,
                    run.version,
                ),
                "Command": Markup("<code>{}</code>").format(run.command),
            },
            pages=[explained(name) for name in pages],
            sentences={rule: rule.sentence for rule in Rule},
            style=style,
            theme=theme,
            script=script,
            style_hash=_hash(style),
            script_hashes=[_hash(text) for text in (theme, script) if text],
            **values,
        )
    )
    # A path that is not valid Unicode has lone surrogates, which cannot be encoded.
    return page.encode(errors="backslashreplace").decode()


def part(name: str) -> Markup:
    """Return a file of this folder, which is written into a page as it is."""
    return Markup(files(__package__).joinpath(name).read_text(encoding="utf-8"))


def _joined(names: t.Iterable[str]) -> Markup:
    return Markup("\n").join(map(part, names))


def _hash(text: str) -> str:
    digest = hashlib.sha256(text.encode()).digest()
    return f"sha256-{base64.b64encode(digest).decode()}"


@cache
def _environment() -> Environment:
    environment = Environment(
        autoescape=True,
        loader=FunctionLoader(part),
        trim_blocks=True,
        lstrip_blocks=True,
        undefined=StrictUndefined,
    )
    environment.policies["json.dumps_kwargs"] = {"separators": (",", ":")}
    environment.filters.update(rich=rich, slug=slug)
    return environment


def rich(text: str) -> Markup:
    """Return a text as HTML: with links, and with code for what is in backticks.

    The command that prints pages is in its place a list of links: the page has them.
    """
    escaped = re.sub("`([^`]+)`", r"<code>\1</code>", str(escape(text)))
    linked = re.sub(r"(https://[^\s<]+)", r'<a href="\1">\1</a>', escaped)
    return Markup(re.sub(command("(.+)"), _links, linked))


def _links(names: re.Match[str]) -> str:
    return ", ".join(
        f'<a href="#about-{name}">{rich(title(name))}</a>' for name in names[1].split()
    )


def slug(words: str) -> str:
    """Return words as the name of a class in a style sheet."""
    return words.replace(" ", "-")
