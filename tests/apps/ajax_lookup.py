"""The look-up of a field is given a session where it should be given the handle.

A row that was added since the start is never suggested.
"""
# mypy: allow-subclassing-any

import typing as t

from flask import Flask
from flask_sqlalchemy import SQLAlchemy

from flask_admin import Admin
from flask_admin.contrib.sqla import ModelView
from flask_admin.contrib.sqla.ajax import QueryAjaxModelLoader
from tests.apps.engines import URL

db: t.Any = SQLAlchemy()


class Brand(db.Model):
    id = db.Column(db.Integer, primary_key=True)
    name = db.Column(db.String(40), nullable=False)

    def __str__(self) -> str:
        return str(self.name)


class Car(db.Model):
    id = db.Column(db.Integer, primary_key=True)
    plate = db.Column(db.String(10), nullable=False)
    brand_id = db.Column(db.Integer, db.ForeignKey("brand.id"))
    brand = db.relationship(Brand, backref="cars")


def car_view(session: t.Any) -> ModelView:
    class CarView(ModelView):
        column_list = ("plate", "brand")
        column_searchable_list = ("plate",)
        form_columns = ("plate", "brand")
        form_ajax_refs = {
            "brand": QueryAjaxModelLoader(
                "brand", session, Brand, fields=["name"], page_size=5
            )
        }

    return CarView(Car, db.session)


def create_app(broken: bool) -> Flask:
    app = Flask(__name__)
    app.config["SECRET_KEY"] = "cars"
    app.config["SQLALCHEMY_DATABASE_URI"] = URL
    db.init_app(app)
    admin = Admin(app, name="Cars")
    with app.app_context():
        session = db.session() if broken else db.session  # broken here
        admin.add_view(car_view(session))

    with app.app_context():
        db.create_all()
        for name in "Adler", "Borgward", "Citroen", "Daimler", "Edsel", "Fiat":
            db.session.add(Car(plate=name[:2].upper(), brand=Brand(name=name)))
        db.session.commit()
    return app


def fixed() -> Flask:
    return create_app(broken=False)


def broken() -> Flask:
    return create_app(broken=True)
