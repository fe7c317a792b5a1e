"""What ``pytest --session-scoping`` adds to a suite: 300 tests of an admin, generated.

The suite with and without the option, by turns, in processor time of whole processes.
A third of the tests makes its requests in an app context that a fixture holds, as most
real suites do; another third has an app of its own.
"""

import tempfile
from pathlib import Path
from statistics import median

from tools.bench.guard import pytest
from tools.bench.guard import ROOT
from tools.bench.guard import seconds

TESTS = 300
ROUNDS = 5
CONFTEST = """
import flask
import pytest
from flask_admin import Admin
from flask_admin.contrib.sqla import ModelView
from flask_sqlalchemy import SQLAlchemy
from jinja2 import FileSystemBytecodeCache

flask.Flask.jinja_options = {"bytecode_cache": FileSystemBytecodeCache()}
db = SQLAlchemy()


class Book(db.Model):
    id = db.Column(db.Integer, primary_key=True)
    title = db.Column(db.String(40))


class BookView(ModelView):
    can_view_details = True
    column_searchable_list = ["title"]
    column_editable_list = ["title"]


def make_app(folder):
    app = flask.Flask("library")
    app.config.update(SECRET_KEY="x", SQLALCHEMY_DATABASE_URI=f"sqlite:///{folder}/b.db")
    db.init_app(app)
    with app.app_context():
        db.create_all()
        db.session.add_all(Book(title=f"book {number}") for number in range(30))
        db.session.commit()
    Admin(app).add_view(BookView(Book, db, endpoint="bookview"))
    return app


@pytest.fixture(scope="session")
def app(tmp_path_factory):
    return make_app(tmp_path_factory.mktemp("library"))


@pytest.fixture
def own_app(tmp_path):
    return make_app(tmp_path)


@pytest.fixture
def context(app):
    with app.app_context():
        yield
"""
TEST = """
import pytest

PATHS = ["", "?search=a", "?sort=0", "new/", "edit/?id=1", "details/?id=1"]
NUMBERS = range({each})


@pytest.mark.parametrize("number", NUMBERS)
def test_page(app, number):
    path = PATHS[number % len(PATHS)]
    with app.test_client() as client:
        assert client.get("/admin/bookview/" + path).status_code == 200


@pytest.mark.parametrize("number", NUMBERS)
def test_in_a_context(app, context, number):
    path = PATHS[number % len(PATHS)]
    with app.test_client() as client:
        assert client.get("/admin/bookview/" + path).status_code == 200


@pytest.mark.parametrize("number", NUMBERS)
def test_of_an_app(own_app, number):
    client = own_app.test_client()
    for path in PATHS:
        assert client.get("/admin/bookview/" + path).status_code == 200
"""


def write(folder: Path) -> Path:
    (folder / "conftest.py").write_text(CONFTEST)
    test = folder / "test_generated.py"
    test.write_text(TEST.format(each=TESTS // 3))
    return test


def main() -> None:
    with tempfile.TemporaryDirectory() as folder:
        plain = [*pytest(write(Path(folder))), "-p", "no:randomly", "-n", "0"]
        commands = {"alone": plain, "watched": [*plain, "--session-scoping"]}
        times: dict[str, list[float]] = {name: [] for name in commands}
        for number in range(ROUNDS + 1):
            for name, command in commands.items():
                taken = seconds(command, path=str(ROOT))
                if number:  # the first compiles the templates
                    times[name].append(taken)
    ratios = [b / a for a, b in zip(times["alone"], times["watched"], strict=True)]
    for name, found in times.items():
        print(f"{name}: {median(found):.2f} s ({min(found):.2f} to {max(found):.2f})")
    print(f"{TESTS} tests, watched: {median(ratios):.2f} ×")
