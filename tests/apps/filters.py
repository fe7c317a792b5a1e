"""Filters of all types; the options of one are read through a session made by hand.

Each look at the list leaves a session behind that nobody closes.
"""
# mypy: allow-subclassing-any

import datetime
import enum
import typing as t

from flask import Flask
from flask_sqlalchemy import SQLAlchemy
from sqlalchemy.orm import Session

from flask_admin import Admin
from flask_admin import expose
from flask_admin.contrib.sqla import ModelView
from flask_admin.contrib.sqla.filters import FilterEqual
from tests.apps.engines import URL

db: t.Any = SQLAlchemy()


class Colour(enum.Enum):
    red = "red"
    green = "green"


class Bike(db.Model):
    id = db.Column(db.Integer, primary_key=True)
    name = db.Column(db.String(40), nullable=False)
    gears = db.Column(db.Integer)
    electric = db.Column(db.Boolean, default=False)
    bought = db.Column(db.Date)
    colour = db.Column(db.Enum(Colour), default=Colour.red)
    size = db.Column(db.Enum("small", "large", name="size"), default="small")


def names() -> list[tuple[str, str]]:
    return [(one.name, one.name.title()) for one in db.session.query(Bike)]


def names_apart() -> list[tuple[str, str]]:
    session = Session(db.engine)
    return [(one.name, one.name.title()) for one in session.query(Bike)]  # broken here


class BikeView(ModelView):
    options: t.Any = staticmethod(names)
    column_searchable_list = ("name",)
    column_filters: t.Any = ("gears", "electric", "name", "bought", "colour", "size")
    form_excluded_columns = ("colour", "size")

    def get_filters(self) -> t.Any:
        one = FilterEqual(Bike.name, "One of", options=self.options)
        return [*(super().get_filters() or []), one]

    @expose("/")
    def index_view(self) -> t.Any:
        self._refresh_filters_cache()
        return super().index_view()


class ApartBikeView(BikeView):
    options = staticmethod(names_apart)


def create_app(broken: bool) -> Flask:
    app = Flask(__name__)
    app.config["SECRET_KEY"] = "bikes"
    app.config["SQLALCHEMY_DATABASE_URI"] = URL
    db.init_app(app)
    admin = Admin(app, name="Bikes")
    with app.app_context():
        db.create_all()
        for day, name in enumerate(["arrow", "bolt", "comet", "dart", "echo"], 1):
            bought = datetime.date(2024, 5, day)
            db.session.add(Bike(name=name, gears=day, bought=bought))
        db.session.commit()
        view = ApartBikeView if broken else BikeView
        admin.add_view(view(Bike, db.session))
    return app


def fixed() -> Flask:
    return create_app(broken=False)


def broken() -> Flask:
    return create_app(broken=True)
