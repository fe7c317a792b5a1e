"""Make the pages of the rules and the causes, to which every report leads.

The page of a cause is made of what the code says about it: its sentence, its fix, and
the lines of its broken example between ``# begin PAGE`` and ``# end``. The page of a
rule is written by hand, but for its list of causes. ``docs/causes.md`` lists all.
"""

import re
from collections.abc import Iterable
from pathlib import Path
from textwrap import dedent

from session_scoping.rules.causes import CAUSES
from session_scoping.rules.causes.cause import Cause
from session_scoping.rules.rules import Rule
from tests.apps import APPS
from tests.apps import Example
from tests.examples import EXAMPLES
from tests.examples import shown
from tools.links import finding
from tools.links import ROOT

DOCS = ROOT / "docs"
# The code is as a report prints it: it is not formatted again.
BEGIN, END = "<!-- fmt: off -->\n", "<!-- fmt: on -->\n"
REGION = re.compile(r"^ *# begin ([\w-]+)\n(.*?)^ *# end\n", re.MULTILINE | re.DOTALL)
# What the examples have and a reader does not need: types, and the marks of the tests.
NOISE = re.compile(
    r"^ +\w+: t\.Any\n| -> [^:\n]+(?=:\n)|: (?:t\.\w+|type|list|bool|str|int|object"
    r"|(?:Base)?Exception|(?:flask\.)?(?:Flask|Response)|Engine|SQLAlchemy)\b(?!\()"
    r"(?:\[[^]\n]*\])?(?: \| None)?|(?<=# broken)(?:: \w+| here)",
    re.MULTILINE,
)


def pages() -> dict[Path, str]:
    """Return the text of each page that is made of code, by its file."""
    found = {DOCS / "causes" / f"{cause.page}.md": page(cause) for cause in CAUSES}
    for rule in Rule:
        path = DOCS / "rules" / f"{rule}.md"
        found[path] = with_list(path, listed(of_rule(rule), "../causes"))
    path = DOCS / "causes.md"
    found[path] = with_list(path, listed(CAUSES, "causes"))
    return found


def with_list(path: Path, made: str) -> str:
    """Return the text of a page with a new list in the place of the old list."""
    text = path.read_text(encoding="utf-8")
    before, _, rest = text.partition(BEGIN)
    _, _, after = rest.partition(END)
    return f"{before}{BEGIN}\n{made}\n\n{END}{after}"


def listed(causes: Iterable[Cause], folder: str) -> str:
    """Return a list of causes, with links to their pages."""
    return "\n".join(
        f"- [`{cause.page}`]({folder}/{cause.page}.md): {cause.name}"
        for cause in causes
    )


def title(cause: Cause) -> str:
    return f"{cause.name[0].upper()}{cause.name[1:]}"


def rules_of(cause: Cause) -> list[Rule]:
    """Return the rules that the examples of a cause break."""
    broken = {each.rule for each in EXAMPLES if each.page == cause.page}
    for example in APPS:
        if example.cause == cause.name:
            broken |= {example.rule, *example.also}
    return [rule for rule in Rule if rule in broken]


def of_rule(rule: Rule) -> list[Cause]:
    """Return the causes whose examples break a rule."""
    return [cause for cause in CAUSES if rule in rules_of(cause)]


def page(cause: Cause) -> str:
    """Return the page of a cause: what it means, how it happens, how to fix it."""
    rules = [f"[`{rule}`](../rules/{rule}.md)" for rule in rules_of(cause)]
    lines = [f"# {title(cause)}", "", cause.sentence, ""]
    if rules:
        lines += [f"The example breaks {' and '.join(rules)}.", ""]
    lines += [BEGIN]
    if code := broken(cause.page):
        lines += ["## How it happens", "", f"```python\n{code}\n```", ""]
    lines += ["## How to fix it", ""]
    lines += [f"```{language(cause.fix)}\n{cause.fix}\n```", "", END]
    if cause.defect:
        number = cause.defect.finding
        target = f"../../{finding(cause.defect)}"
        lines += [f"[Finding {number}]({target}) describes this defect.", ""]
    if cause.link:
        lines += [f"Read on: <{cause.link}>", ""]
    if code:
        lines += [f"## Try it\n\n{trial(cause)}", ""]
    return "\n".join(lines).rstrip() + "\n"


def trial(cause: Cause) -> str:
    """Return how to run the example of a cause, and where it is."""
    example = shown(cause.page)
    lines = ["In a clone of this repository, this runs the example, broken and fixed:"]
    lines += ["", f"```sh\npython -m tests.examples {cause.page}\n```"]
    if isinstance(example, Example):
        file = example.file.relative_to(ROOT).as_posix()
    else:
        [file] = (file for file, name in regions() if name == cause.page)
    lines += ["", f"The code is in [`{file}`](../../{file})."]
    return "\n".join(lines)


def broken(name: str) -> str:
    """Return the lines that a page shows of its broken example."""
    found = [
        dedent(code).strip() for (_, page), code in regions().items() if page == name
    ]
    return "\n\n".join(found)


def regions() -> dict[tuple[str, str], str]:
    """Return the marked lines of all examples, by their file and their page."""
    found: dict[tuple[str, str], str] = {}
    for path in sorted(ROOT.glob("tests/**/*.py")):
        for name, code in REGION.findall(path.read_text(encoding="utf-8")):
            key = path.relative_to(ROOT).as_posix(), name
            parts = [found[key]] if key in found else []
            found[key] = "\n".join([*parts, dedent(NOISE.sub("", code))])
    return found


def language(fix: str) -> str:
    """Return the language of a fix: some say what to install, or what to delete."""
    try:
        compile(fix, "fix", "exec")
    except SyntaxError:
        return "text"
    return "python"
