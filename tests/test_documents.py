"""What the documents show is what happens."""

import re
from importlib.metadata import version

import pytest

from tests.documents import Block
from tests.documents import blocks
from tests.documents import DOCUMENTS
from tests.documents import ROOT
from tests.documents import same

BLOCKS = [block for document in DOCUMENTS for block in blocks(document)]
WRITTEN_ON = {"flask-admin": "2.2.1", "flask": "3.1.3", "sqlalchemy": "2.1"}


def other_stack() -> str:
    for package, release in WRITTEN_ON.items():
        if not version(package).startswith(release):
            return f"written on {package} {release}, this is {version(package)}"
    return ""


@pytest.mark.skipif(bool(other_stack()), reason=other_stack())
@pytest.mark.parametrize("block", BLOCKS, ids=lambda block: block.title)
def test_output_is_what_the_code_prints_today(
    block: Block, request: pytest.FixtureRequest
) -> None:
    if " upgrade " in block.title:
        request.getfixturevalue("index")
    printed = block.run()
    if not same(printed, block.output):
        pytest.fail(f"run `make docs`: it prints\n{printed}", pytrace=False)


@pytest.mark.parametrize("document", DOCUMENTS)
def test_every_document_has_living_blocks(document: str) -> None:
    assert [block for block in BLOCKS if block.document == document]


def test_outputs_that_differ_are_told_apart() -> None:
    assert same("Flask 3.1.3 holds\n", "Flask 3.1.2 holds")
    assert not same("Flask 3.1.3 holds", "Flask 3.1.3 breaks")


@pytest.mark.parametrize("document", DOCUMENTS)
def test_links_inside_the_repository_lead_somewhere(document: str) -> None:
    text = (ROOT / document).read_text(encoding="utf-8")
    broken = []
    for target in re.findall(r"\]\((?!https?:)([^)]+)\)", text):
        path, _, anchor = target.partition("#")
        page = ROOT / (path or document)
        headings = []
        if page.suffix == ".md" and page.exists():
            for heading in re.findall(r"^#+ (.*)$", page.read_text("utf-8"), re.M):
                headings.append(
                    re.sub(r"[^\w\- ]", "", heading).lower().replace(" ", "-")
                )
        if not page.exists() or (anchor and anchor not in headings):
            broken.append(target)
    assert broken == []


def test_readme_shows_both_commands_on_its_first_screen() -> None:
    first_screen = (ROOT / "README.md").read_text(encoding="utf-8").splitlines()[:40]
    assert {"make verdict", "make test"} <= {line[:12].strip() for line in first_screen}


def test_readme_says_what_each_file_is() -> None:
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    files = [path.name for path in ROOT.iterdir() if path.is_file()]
    kept = [one for one in files if one != "README.md" and one[0] != "."]
    assert [name for name in kept if f"`{name}`" not in readme] == []
