"""The tables are filled at the start, through a session that the module then keeps.

It serves no request, but its connection is never given back.
"""
# mypy: allow-subclassing-any

import typing as t

from flask import Flask
from flask_sqlalchemy import SQLAlchemy
from sqlalchemy.orm import Session

from flask_admin import Admin
from flask_admin.contrib.sqla import ModelView
from tests.apps.engines import URL

db: t.Any = SQLAlchemy()
seeding: t.Any = None


class Country(db.Model):
    code = db.Column(db.String(2), primary_key=True)
    name = db.Column(db.String(40), nullable=False)


COUNTRIES = {"AT": "Austria", "BE": "Belgium", "CH": "Switzerland", "DK": "Denmark"}


def seed() -> None:
    db.session.add_all(Country(code=code, name=COUNTRIES[code]) for code in COUNTRIES)
    db.session.add(Country(code="EE", name="Estonia"))
    db.session.commit()


def seed_and_keep() -> None:
    global seeding
    seeding = Session(db.engine)  # broken here
    seeding.add_all(Country(code=code, name=COUNTRIES[code]) for code in COUNTRIES)
    seeding.commit()
    assert seeding.query(Country).count()


def create_app(broken: bool) -> Flask:
    global seeding
    seeding = None

    app = Flask(__name__)
    app.config["SECRET_KEY"] = "countries"
    app.config["SQLALCHEMY_DATABASE_URI"] = URL
    db.init_app(app)
    with app.app_context():
        db.create_all()
        if broken:
            seed_and_keep()
        else:
            seed()

    admin = Admin(app, name="Countries")
    admin.add_view(ModelView(Country, db))
    return app


def fixed() -> Flask:
    return create_app(broken=False)


def broken() -> Flask:
    return create_app(broken=True)
