"""The documents: the code in them runs, and prints what they show."""

import json
import os
import re
import shlex
import subprocess
import sys
from importlib.metadata import version
from pathlib import Path

import pytest

from session_scoping.rules.rules import Rule
from tests.apps import APPS
from tools.documents import anchors
from tools.documents import Block
from tools.documents import blocks
from tools.documents import broken_links
from tools.documents import causes
from tools.documents import code
from tools.documents import DOCUMENTS
from tools.documents import FIRST
from tools.documents import links
from tools.documents import ROOT
from tools.documents import same
from tools.documents import text_of
from tools.screenshots import fingerprint
from tools.screenshots import FINGERPRINTS
from tools.screenshots import report

ALL = [block for document in DOCUMENTS for block in blocks(document)]
UPGRADES = [block for block in ALL if " upgrade " in block.title]
BLOCKS = [block for block in ALL if block not in UPGRADES]
WRITTEN_ON = {"flask-admin": "2.2.1", "flask": "3.1.3", "sqlalchemy": "2.1"}


def other_stack() -> str:
    for package, release in WRITTEN_ON.items():
        if not version(package).startswith(release):
            return f"written on {package} {release}, this is {version(package)}"
    return ""


def check_output(block: Block) -> None:
    printed = block.run()
    if not same(printed, block.output):
        pytest.fail(f"run `make docs`: it prints\n{printed}", pytrace=False)


on_another_stack = pytest.mark.skipif(bool(other_stack()), reason=other_stack())


@on_another_stack
@pytest.mark.parametrize("block", BLOCKS, ids=lambda block: block.title)
def test_a_block_shows_what_its_code_prints(block: Block) -> None:
    check_output(block)


@on_another_stack
@pytest.mark.usefixtures("index")
@pytest.mark.parametrize("block", UPGRADES, ids=lambda block: block.title)
def test_a_block_shows_what_an_upgrade_prints(block: Block) -> None:
    check_output(block)


@pytest.mark.parametrize("document", FIRST)
def test_the_first_documents_have_blocks_that_are_run(document: str) -> None:
    assert [block for block in ALL if block.document == document]


def test_outputs_that_differ_are_not_the_same() -> None:
    assert same("Flask 3.1.3 holds\n", "Flask 3.1.22\nholds")
    assert not same("Flask 3.1.3 holds", "Flask 3.1.3 breaks")


@pytest.mark.parametrize("document", DOCUMENTS)
def test_all_code_is_python(document: str) -> None:
    broken = []
    for block in code(document):
        try:
            compile(block, document, "exec")
        except SyntaxError as error:
            broken.append(f"{error.msg}: {block}")
    assert broken == []


def test_the_page_of_causes_lists_the_causes_of_the_code() -> None:
    text = text_of("docs/causes.md")
    assert causes(text) == text, "run `make docs`"


@pytest.mark.parametrize("document", DOCUMENTS)
def test_links_inside_the_repository_have_a_target(document: str) -> None:
    text = text_of(document)
    assert links(text)
    assert broken_links(document, text) == []


def test_a_document_links_to_every_document() -> None:
    linked = {
        ((ROOT / document).parent / link.partition("#")[0]).resolve()
        for document in DOCUMENTS
        for link in links(text_of(document))
    }
    pages = {ROOT / document for document in DOCUMENTS} - {ROOT / "README.md"}
    assert pages <= linked


@pytest.mark.parametrize(
    "link",
    [
        "[a](no-such-file.md)",
        "[a](README.md#no-such-part)",
        "[a](#no-such-part)",
        "[a](../SUMMARY.md)",
        "[a]: docs/no-such-file.md",
        '<img src="docs/no-such-picture.png" alt="a">',
        '<source srcset="docs/no-such-picture.png">',
    ],
)
def test_a_broken_link_is_found(link: str) -> None:
    [target] = links(link)
    assert broken_links("SUMMARY.md", f"# Summary\n\n{link}\n") == [target]


def test_code_has_no_links() -> None:
    assert links("`x[0](1)`\n\n```text\n[a](b)\n```\n") == []


def test_headings_of_the_same_name_have_different_anchors() -> None:
    text = "# The `list`\n\n## A [link](to)\n\n```sh\n# no heading\n```\n\n# The list\n"
    assert anchors(text) == {"the-list", "a-link", "the-list-1"}


@on_another_stack
@pytest.mark.filterwarnings("ignore:Passing a session object:DeprecationWarning")
@pytest.mark.parametrize("name", ["broken", "fixed"])
def test_a_picture_shows_the_report(name: str) -> None:
    known = json.loads(FINGERPRINTS.read_text(encoding="utf-8"))
    assert fingerprint(report(name)) == known[name], "run `make docs`"


def test_a_changed_report_has_another_fingerprint() -> None:
    page = (
        '<style>a { width: 1.5em }</style>\n<script id="data">{"ended": 1.5}</script>'
    )
    assert fingerprint(page) == fingerprint(page.replace(": 1.5}", ": 2.25}"))
    assert fingerprint(page) != fingerprint(page.replace("1.5em", "2em"))
    assert fingerprint(page) != fingerprint(page.replace("ended", "begun"))


SHOP = (
    text_of("tests/apps/login.py")
    .replace("from tests.apps.engines import URL", 'URL = "sqlite://"')
    .replace("def create_app(broken: bool)", "def create_app(broken: bool = False)")
)
SUITE = """
from shop import create_app

def test_login():
    assert create_app().test_client().get("/login").status_code == 200
"""
# Without the commands that tests/test_wheel.py runs.
COMMANDS = {
    "flask --app shop session-scoping": (2, "UserView, list answers 302 and leads to"),
    "flask --app shop session-scoping --client shop_login:client --html report.html": (
        0,
        "Verdict: sessions are request-scoped",
    ),
    "pytest --session-scoping": (0, "1 passed"),
    "pytest --session-scoping-app=shop:create_app": (0, "passed"),
}


def readme_commands() -> list[str]:
    scripts = re.findall(r"^```sh\n(.*?)^```$", text_of("README.md"), re.M | re.S)
    lines = [line for script in scripts for line in script.splitlines()]
    known = "flask ", "pytest -"
    return [
        shlex.join(shlex.split(line, comments=True))
        for line in lines
        if line.startswith(known)
    ]


def test_the_commands_of_the_readme_on_an_app_are_run() -> None:
    assert readme_commands() == [*COMMANDS]


@pytest.mark.parametrize("command", COMMANDS)
def test_a_command_on_an_app_runs_with_the_login_client_of_the_readme(
    command: str, tmp_path: Path
) -> None:
    [client] = [block for block in code("README.md") if "def client" in block]
    (tmp_path / "shop.py").write_text(SHOP, encoding="utf-8")
    (tmp_path / "shop_login.py").write_text(client, encoding="utf-8")
    (tmp_path / "test_shop.py").write_text(SUITE, encoding="utf-8")
    fixture = "@pytest.fixture(scope='session')\ndef session_scoping_client():\n"
    (tmp_path / "conftest.py").write_text(
        f"import pytest\nfrom shop_login import client\n{fixture}    return client\n"
    )
    done = subprocess.run(
        [sys.executable, "-m", *shlex.split(command)],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(tmp_path)},
        capture_output=True,
        text=True,
    )
    status, message = COMMANDS[command]
    assert done.returncode == status, done.stdout + done.stderr
    assert message in done.stdout + done.stderr


@pytest.mark.parametrize("rule", Rule)
def test_the_example_of_a_rule_breaks_it(rule: str) -> None:
    """Try the examples that the investigation names."""
    text = text_of("SESSION_SCOPING_INVESTIGATION.md")
    [described] = re.findall(rf"^### `{rule}`\n(.*?)^##", text, re.M | re.S)
    [app] = re.findall(r"\]\((tests/apps/\w+\.py)\)", described)
    breaks = {
        name
        for example in APPS
        if example.rule and example.file == ROOT / app
        for name in (example.rule, *example.also)
    }
    assert rule in breaks


def test_every_make_target_is_described() -> None:
    [targets] = re.findall(r"^\.PHONY: (.*)$", text_of("Makefile"), re.M)
    described = re.findall(r"^\| `make ([\w-]+)`", text_of("docs/evidence.md"), re.M)
    assert {*targets.split()} == {*described}
