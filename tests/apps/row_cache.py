"""A column formatter keeps the rows that it has seen in a dictionary of the module.

The memory grows, and each reader of the cache sees rows as they once were.
"""
# mypy: allow-subclassing-any

import typing as t

from flask import Flask
from flask_sqlalchemy import SQLAlchemy

from flask_admin import Admin
from flask_admin.contrib.sqla import ModelView
from tests.apps.engines import URL

db: t.Any = SQLAlchemy()
SEEN: dict[int, t.Any] = {}


class Plant(db.Model):
    id = db.Column(db.Integer, primary_key=True)
    name = db.Column(db.String(40), nullable=False)
    height = db.Column(db.Integer)


def remember_name(view: t.Any, context: t.Any, model: t.Any, name: str) -> str:
    return str(SEEN.setdefault(model.id, model.name))


def remember_row(view: t.Any, context: t.Any, model: t.Any, name: str) -> str:
    return str(SEEN.setdefault(model.id, model).name)


class PlantView(ModelView):
    column_searchable_list = ("name",)
    column_formatters: t.Any = {"name": remember_name}


class CachedPlantView(PlantView):
    column_formatters = {"name": remember_row}


def create_app(broken: bool) -> Flask:
    SEEN.clear()
    app = Flask(__name__)
    app.config["SECRET_KEY"] = "plants"
    app.config["SQLALCHEMY_DATABASE_URI"] = URL
    db.init_app(app)
    with app.app_context():
        db.create_all()
        names = "Aloe", "Basil", "Clover", "Dill", "Elder", "Fern", "Ginger"
        db.session.add_all(Plant(name=name, height=len(name)) for name in names)
        db.session.commit()

    view = CachedPlantView if broken else PlantView
    admin = Admin(app, name="Plants")
    admin.add_view(view(Plant, db.session))
    return app


def fixed() -> Flask:
    return create_app(broken=False)


def broken() -> Flask:
    return create_app(broken=True)
