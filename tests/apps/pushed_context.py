"""An app context is pushed when the app is built, "so that `db.session` works".

All requests of that thread are inside of it: they share one session, which nothing
removes, so that a row changed elsewhere stays as it was when it was first loaded.
"""
# mypy: allow-subclassing-any

import typing as t

from flask import Flask
from flask_sqlalchemy import SQLAlchemy

from flask_admin import Admin
from flask_admin.contrib.sqla import ModelView
from tests.apps.engines import URL

db: t.Any = SQLAlchemy()


class Poem(db.Model):
    id = db.Column(db.Integer, primary_key=True)
    title = db.Column(db.String(40), nullable=False)


class PoemView(ModelView):
    column_searchable_list = ("title",)


def create_app(broken: bool) -> Flask:
    app = Flask(__name__)
    app.config["SECRET_KEY"] = "poems"
    app.config["SQLALCHEMY_DATABASE_URI"] = URL
    db.init_app(app)
    with app.app_context():
        db.create_all()
        titles = "Autumn", "Birches", "Clouds", "Dawn", "Evening"
        db.session.add_all(Poem(title=title) for title in titles)
        db.session.commit()

    if broken:
        app.app_context().push()
    admin = Admin(app, name="Poems")
    admin.add_view(PoemView(Poem, db.session))
    return app


def fixed() -> Flask:
    return create_app(broken=False)


def broken() -> Flask:
    return create_app(broken=True)
