"""The choices of a form field are read through a session of the start of the app.

A new category is missing from the form until the app is started again.
"""
# mypy: allow-subclassing-any

import typing as t

from flask import Flask
from flask_sqlalchemy import SQLAlchemy
from wtforms import SelectField

from flask_admin import Admin
from flask_admin.contrib.sqla import ModelView
from tests.apps.engines import URL

db: t.Any = SQLAlchemy()


class Category(db.Model):
    id = db.Column(db.Integer, primary_key=True)
    name = db.Column(db.String(40), nullable=False)


class Game(db.Model):
    id = db.Column(db.Integer, primary_key=True)
    name = db.Column(db.String(40), nullable=False)
    category = db.Column(db.String(40))


class GameView(ModelView):
    column_searchable_list = ("name", "category")

    def categories(self) -> t.Any:
        return db.session

    def scaffold_form(self) -> t.Any:
        form = super().scaffold_form()
        session = self.categories()
        form.category = SelectField(
            choices=lambda: [one.name for one in session.query(Category)]
        )
        return form


class EagerGameView(GameView):
    def categories(self) -> t.Any:
        return db.session()  # broken here


def create_app(broken: bool) -> Flask:
    app = Flask(__name__)
    app.config["SECRET_KEY"] = "games"
    app.config["SQLALCHEMY_DATABASE_URI"] = URL
    db.init_app(app)
    with app.app_context():
        db.create_all()
        db.session.add_all(Category(name=name) for name in ("cards", "dice", "board"))
        for name in "Bridge", "Chess", "Go", "Hazard", "Kniffel", "Tarock":
            db.session.add(Game(name=name, category="cards"))
        db.session.commit()

    admin = Admin(app, name="Games")
    with app.app_context():
        view = EagerGameView if broken else GameView
        admin.add_view(view(Game, db.session))
        admin.add_view(ModelView(Category, db.session))
    return app


def fixed() -> Flask:
    return create_app(broken=False)


def broken() -> Flask:
    return create_app(broken=True)
