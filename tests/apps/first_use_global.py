"""A helper takes a session when it is first called, and keeps it in a global.

The first request is faultless; from the second on the counts stand still.
"""
# mypy: allow-subclassing-any

import typing as t

from flask import Flask
from flask_sqlalchemy import SQLAlchemy

from flask_admin import Admin
from flask_admin import BaseView
from flask_admin import expose
from flask_admin.contrib.sqla import ModelView
from tests.apps.engines import URL

db: t.Any = SQLAlchemy()
_session: t.Any = None


class Visit(db.Model):
    id = db.Column(db.Integer, primary_key=True)
    page = db.Column(db.String(40), nullable=False)


def get_session() -> t.Any:
    return db.session


def get_session_once() -> t.Any:
    global _session
    if _session is None:
        _session = db.session()  # broken here
    return _session


class CountView(BaseView):
    take_session = staticmethod(get_session)

    @expose("/")
    def index(self) -> str:
        return f"{self.take_session().query(Visit).count()} visits"


class CountOnceView(CountView):
    take_session = staticmethod(get_session_once)


def create_app(broken: bool) -> Flask:
    global _session
    _session = None

    app = Flask(__name__)
    app.config["SECRET_KEY"] = "visits"
    app.config["SQLALCHEMY_DATABASE_URI"] = URL
    db.init_app(app)
    with app.app_context():
        db.create_all()
        db.session.add_all(Visit(page=f"/page/{letter}") for letter in "abcdef")
        db.session.commit()

    view = CountOnceView if broken else CountView
    admin = Admin(app, name="Visits")
    admin.add_view(ModelView(Visit, db.session))
    admin.add_view(view(name="Count", endpoint="count"))
    return app


def fixed() -> Flask:
    return create_app(broken=False)


def broken() -> Flask:
    return create_app(broken=True)
