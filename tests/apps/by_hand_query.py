"""The list is read through a session that `get_query` makes, and nobody closes.

Selected rows cannot be deleted: they belong to another session than the view's.
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


class Parcel(db.Model):
    id = db.Column(db.Integer, primary_key=True)
    label = db.Column(db.String(40), nullable=False)
    sent = db.Column(db.Boolean, default=False)


class ParcelView(ModelView):
    column_searchable_list = ("label",)
    column_editable_list = ("label",)

    def get_query(self) -> t.Any:
        return super().get_query().order_by(Parcel.label)


class WaitingParcelView(ParcelView):
    def get_query(self) -> t.Any:
        return Session(db.engine).query(Parcel).order_by(Parcel.label)  # broken here


def create_app(broken: bool) -> Flask:
    app = Flask(__name__)
    app.config["SECRET_KEY"] = "parcels"
    app.config["SQLALCHEMY_DATABASE_URI"] = URL
    db.init_app(app)
    with app.app_context():
        db.create_all()
        if not Parcel.query.first():
            for label in "apples", "bolts", "cables", "dolls", "eggs":
                db.session.add(Parcel(label=label))
            db.session.commit()

    view = WaitingParcelView if broken else ParcelView
    admin = Admin(app, name="Parcels")
    admin.add_view(view(Parcel, db.session))
    return app


def fixed() -> Flask:
    return create_app(broken=False)


def broken() -> Flask:
    return create_app(broken=True)
