"""The time of a crawl against the number of views: it should be that of each."""
# mypy: allow-subclassing-any

import time
import typing as t

import flask
from flask_sqlalchemy import SQLAlchemy

from flask_admin import Admin
from flask_admin.contrib.sqla import ModelView
from session_scoping import judge
from session_scoping import record

VIEWS = (5, 50, 500)


class Unlisted(ModelView):
    """Not in the menu, which Flask-Admin shows on every page."""

    def is_visible(self) -> bool:
        return False


def make_app(views: int) -> flask.Flask:
    app = flask.Flask("many views")
    app.secret_key = "many"
    app.config["SQLALCHEMY_DATABASE_URI"] = "sqlite://"
    db: t.Any = SQLAlchemy(app)
    admin = Admin(app)
    for number in range(views):
        columns = {
            "id": db.Column(db.Integer, primary_key=True),
            "name": db.Column(db.String(20)),
        }
        model = type(f"Table{number}", (db.Model,), columns)
        admin.add_view(Unlisted(model, db))
    with app.app_context():
        db.create_all()
    return app


def main() -> None:
    each: dict[int, float] = {}
    for views in VIEWS:
        app = make_app(views)
        began = time.process_time()
        recording = record(app)
        assert judge(recording).holds
        taken = time.process_time() - began
        each[views] = taken / views
        print(
            f"{views} views: {taken:.2f} s, {len(recording.requests)} requests, "
            f"{each[views] * 1e3:.0f} ms a view"
        )
    fewest, *_, most = VIEWS
    ratio = each[most] / each[fewest]
    print(f"a view of {most} against a view of {fewest}: {ratio:.2f} ×")
