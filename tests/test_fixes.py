"""An example that holds runs each fix that a report prints."""

import ast

import flask
import pytest

from session_scoping.fixes import code
from session_scoping.report.verdict import text
from session_scoping.rules.causes import CAUSES
from tests.apps import APPS
from tests.examples import Driven
from tests.examples import EXAMPLES
from tests.printed import all_lines_run
from tests.printed import FIXES
from tests.printed import FOLDER

pytestmark = [
    pytest.mark.filterwarnings("ignore:Passing a session object:DeprecationWarning"),
    pytest.mark.filterwarnings("ignore:Yielding raw tuples:DeprecationWarning"),
]


@pytest.mark.parametrize("example", EXAMPLES, ids=lambda each: each.page)
def test_a_broken_example_has_its_cause(example: Driven) -> None:
    verdict = example.drive(False)
    found = {
        violation.cause.page if violation.cause else ""
        for violation in verdict.violations
    }
    assert found == {example.page}, text(verdict)
    assert example.rule in {violation.rule for violation in verdict.violations}


@pytest.mark.parametrize("example", EXAMPLES, ids=lambda each: each.page)
def test_a_fixed_example_holds(example: Driven) -> None:
    with all_lines_run(example.fix):
        verdict = example.drive(True)
    assert verdict.violations == (), text(verdict)
    assert verdict.recording.requests or verdict.recording.sessions


def test_every_cause_has_an_example() -> None:
    apps = {example.cause for example in APPS}
    here = {example.page for example in EXAMPLES}
    without = {
        cause.page
        for cause in CAUSES
        if cause.name not in apps and cause.page not in here
    }
    assert without == {"flask-admin"}  # tests/test_survey.py has it
    assert apps <= {cause.name for cause in CAUSES} | {""}


def test_every_fix_is_run_by_an_example() -> None:
    here = {example.fix for example in EXAMPLES}
    assert {example.fix for example in APPS} - {""} | here == {*FIXES}


@pytest.mark.parametrize("name", FIXES)
def test_printed_code_has_its_imports(name: str) -> None:
    """What the printed code uses is built in, defined, imported or a parameter."""
    module = ast.parse((FOLDER / f"{name}.py").read_text())
    names = {
        alias.asname or alias.name
        for node in module.body
        if isinstance(node, ast.ImportFrom)
        for alias in node.names
    }
    printed = [*ast.walk(ast.parse(code(name)))]
    imported = {
        alias.asname or alias.name
        for node in printed
        if isinstance(node, ast.ImportFrom)
        for alias in node.names
    }
    used = {node.id for node in printed if isinstance(node, ast.Name)}
    assert used & names <= imported


@pytest.mark.parametrize("name", FIXES)
def test_printed_code_hides_no_name_of_flask(name: str) -> None:
    """A module that makes a handle often imports Flask's ``session``, for its login."""
    made: set[str] = set()
    for node in ast.parse(code(name)).body:
        if isinstance(node, ast.FunctionDef | ast.ClassDef):
            made.add(node.name)
        elif isinstance(node, ast.Assign):
            made |= {each.id for each in node.targets if isinstance(each, ast.Name)}
    assert not made & {*dir(flask)}


def test_printed_code_is_that_of_a_fix() -> None:
    no_code = {
        'pip install "flask-admin>=2.2.1"',
        "Delete the call: the session is removed when the request is over.",
        "# report it to Flask-Admin, with what this prints about its own code:\n"
        "session-scoping upgrade flask-admin==2.2.1 flask-admin==THIS_RELEASE",
    }
    printed = {cause.fix for cause in CAUSES}
    assert printed == {code(name) for name in FIXES} | no_code
