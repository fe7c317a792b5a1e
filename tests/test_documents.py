"""The documents: the code in them runs, and prints what they show."""

import json
import os
import re
import shlex
import subprocess
import sys
from importlib.metadata import metadata
from importlib.metadata import version
from pathlib import Path

import pytest

from session_scoping.rules.causes import CAUSES
from session_scoping.rules.rules import Rule
from tests.test_wheel import EXPECTED as OF_UPGRADES
from tools.documents import Block
from tools.documents import blocks
from tools.documents import code
from tools.documents import same
from tools.links import anchors
from tools.links import broken_links
from tools.links import DOCUMENTS
from tools.links import FIRST
from tools.links import INVESTIGATION
from tools.links import links
from tools.links import ROOT
from tools.links import text_of
from tools.pages import pages
from tools.pages import regions
from tools.screenshots import fingerprint
from tools.screenshots import fingerprint_of_monitor
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


def test_the_pages_of_rules_and_causes_are_made_of_the_code() -> None:
    made = pages()
    stale = [
        path.name
        for path, text in made.items()
        if not path.exists() or path.read_text(encoding="utf-8") != text
    ]
    assert stale == [], "run `make docs`"
    folders = (ROOT / "docs" / "rules", ROOT / "docs" / "causes")
    there = {path for folder in folders for path in folder.iterdir()}
    assert there == {*made} - {ROOT / "docs" / "causes.md"}, "delete the others"


def test_the_page_of_a_cause_shows_the_code_that_breaks() -> None:
    shown = [page for _, page in regions()]
    assert sorted(shown) == sorted({cause.page for cause in CAUSES} - {"flask-admin"})


@pytest.mark.parametrize("document", [INVESTIGATION, "docs/causes.md"])
def test_a_document_says_the_sentence_of_each_rule(document: str) -> None:
    for rule in Rule:
        assert rule.sentence in text_of(document)


@pytest.mark.parametrize("rule", Rule)
def test_the_page_of_a_rule_shows_it_broken_and_fixed(rule: Rule) -> None:
    page = f"docs/rules/{rule}.md"
    assert f"**Right:** {rule.sentence}\n" in text_of(page)
    [block] = blocks(page)
    broken, fixed = block.output.splitlines()
    assert rule in broken.partition("broken")[2]
    assert "sessions are request-scoped" in fixed


def test_links_inside_the_repository_have_a_target() -> None:
    assert all(links(text_of(document)) for document in FIRST)
    broken = {
        document: broken_links(document, text_of(document)) for document in DOCUMENTS
    }
    assert {name: targets for name, targets in broken.items() if targets} == {}


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


@on_another_stack
def test_a_picture_shows_the_page_of_the_monitor() -> None:
    """The monitor would stay in this process, and watch the other tests."""
    known = json.loads(FINGERPRINTS.read_text(encoding="utf-8"))
    code = (
        "from tools.screenshots import fingerprint_of_monitor, leaking_shop\n"
        "print(fingerprint_of_monitor(leaking_shop()[1]))"
    )
    command = [sys.executable, "-W", "ignore", "-c", code]
    printed = subprocess.run(command, capture_output=True, text=True, check=True)
    assert printed.stdout.strip() == known["monitor"], "run `make docs`"


def test_a_changed_page_of_the_monitor_has_another_fingerprint() -> None:
    page = "<h1>Sessions</h1> Process 7 of the app <td>0.5</td> x='12.5' 0.001 s: shop"
    same = page.replace("7", "8").replace("0.5", "1.25").replace("0.001", "0.002")
    assert fingerprint_of_monitor(page) == fingerprint_of_monitor(same)
    for old, new in (("12.5", "25.0"), ("of the app", "of it"), ("shop", "shelf")):
        changed = page.replace(old, new)
        assert fingerprint_of_monitor(page) != fingerprint_of_monitor(changed)


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


# The other commands, and a file that runs them.
ELSEWHERE = {
    "make verdict": ".ci/run",
    "make test": ".ci/run",
    "python reproduction_script.py": "SUMMARY.md",
    "session-scoping verdict": "Makefile",
    "pytest": "Makefile",
}
# tests/test_wheel.py installs the package so, with uv.
INSTALLING = [
    "pip install '.[test]'",
    "pip freeze --exclude-editable > ../have.txt; pip install . -c ../have.txt",
    "pip install '.[upgrade]'",
]
FORK = [
    "cp flask_admin/tests/sqla/test_session_scoping.py "
    "YOUR-CHECKOUT/flask_admin/tests/sqla/",
    "cd YOUR-CHECKOUT && pytest flask_admin/tests/sqla/test_session_scoping.py",
]


def readme_commands() -> list[str]:
    scripts = re.findall(r"^```sh\n(.*?)^```$", text_of("README.md"), re.M | re.S)
    lines = [line for script in scripts for line in script.splitlines()]
    return [" ".join(re.split(r" +#", line)[0].split()) for line in lines]


def test_every_command_of_the_readme_is_run() -> None:
    known = [*COMMANDS, *OF_UPGRADES, *ELSEWHERE, *INSTALLING, *FORK]
    assert sorted(readme_commands()) == sorted(known)
    for command, file in ELSEWHERE.items():
        assert command in text_of(file)
    extras = re.findall(r"\.\[([\w-]+)\]", " ".join(known))
    assert {*extras} <= {
        *metadata("flask-admin-session-scoping").get_all("Provides-Extra", [])
    }


def test_the_module_runs_where_the_readme_copies_it(tmp_path: Path) -> None:
    (tmp_path / "flask_admin/tests/sqla").mkdir(parents=True)
    copy, run = [line.replace("YOUR-CHECKOUT", str(tmp_path)) for line in FORK]
    python = f"{sys.executable} -m pytest"
    run = run.replace("&& pytest", f"&& {python} -q -p no:randomly -k three_requests")
    done = subprocess.run(
        ["sh", "-c", f"{copy} && {run}"], cwd=ROOT, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert "passed" in done.stdout


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


@pytest.mark.parametrize("document", ["README.md", "CONTRIBUTING.md"])
def test_the_files_that_a_document_names_exist(document: str) -> None:
    named = re.findall(
        r"`([\w.-]+(?:/[\w.-]+)*(?:/|\.(?:py|html|css|js)))`", text_of(document)
    )
    ours = [name for name in named if name not in {"__init__.py", "shop_login.py"}]
    homes = ROOT, ROOT / "session_scoping"
    missing = [
        name for name in ours if not any((home / name).exists() for home in homes)
    ]
    assert len(ours) > 5
    assert missing == []


def test_every_make_target_is_described() -> None:
    [targets] = re.findall(r"^\.PHONY: (.*)$", text_of("Makefile"), re.M)
    described = re.findall(r"^\| `make ([\w-]+)`", text_of("docs/evidence.md"), re.M)
    assert {*targets.split()} == {*described}
