"""A small blog with Flask-SQLAlchemy: an app for examples that differ in a view."""
# mypy: allow-subclassing-any

import re
import typing as t
from importlib.metadata import version

from flask import Flask
from flask_sqlalchemy import SQLAlchemy

from flask_admin import Admin
from flask_admin.contrib.sqla import ModelView
from tests.apps.engines import URL

db: t.Any = SQLAlchemy()
# What a view is given: db, as soon as Flask-Admin takes it.
RELEASE = [int(part) for part in re.findall(r"\d+", version("flask-admin"))]
HANDLE: t.Any = db if RELEASE >= [2, 1] else db.session


class User(db.Model):
    id = db.Column(db.Integer, primary_key=True)
    name = db.Column(db.String(40), nullable=False)
    visits = db.Column(db.Integer, default=0)
    active = db.Column(db.Boolean, default=True)

    def __str__(self) -> str:
        return str(self.name)


class Post(db.Model):
    id = db.Column(db.Integer, primary_key=True)
    title = db.Column(db.String(40), nullable=False)
    user_id = db.Column(db.Integer, db.ForeignKey("user.id"))
    user = db.relationship(User, backref="posts")


def seed(session: t.Any) -> None:
    for number, name in enumerate(["Ada", "Bea", "Cid", "Dan", "Eve", "Fay"], 1):
        user = User(name=name, visits=number)
        session.add(Post(title=f"I am {name}", user=user))
    session.commit()


def seed_as_usual() -> None:
    seed(db.session)


AddViews = t.Callable[[Admin], object]
Factory = t.Callable[[], Flask]


def blog(add_views: AddViews, seed: t.Callable[[], None] = seed_as_usual) -> Factory:
    """Return a function that makes the app with these views."""

    def create_app() -> Flask:
        app = Flask(__name__)
        app.config["SECRET_KEY"] = "blog"
        app.config["SQLALCHEMY_DATABASE_URI"] = URL
        db.init_app(app)
        with app.app_context():
            db.create_all()
            seed()

        admin = Admin(app, name="Blog")
        with app.app_context():
            add_views(admin)
        return app

    return create_app


def of_users(view: t.Any) -> AddViews:
    """Return a function that adds a view of all users, of this class."""
    return lambda admin: admin.add_view(view(User, db.session))


def page(view: t.Any) -> AddViews:
    """Return a function that adds a page of this class, and a view of all users."""

    def add_views(admin: Admin) -> None:
        admin.add_view(ModelView(User, db.session))
        admin.add_view(view(name="Page", endpoint="page"))

    return add_views
