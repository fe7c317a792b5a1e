"""A view takes a session in `__init__`, and reads its list through that session.

The list does not show what the form of the same view has just saved.
"""
# mypy: allow-subclassing-any

import typing as t

from flask import Flask
from flask_sqlalchemy import SQLAlchemy

from flask_admin import Admin
from flask_admin.contrib.sqla import ModelView
from session_scoping.fixes import kept_session
from tests.apps.engines import URL

db: t.Any = SQLAlchemy()


class Order(db.Model):
    id = db.Column(db.Integer, primary_key=True)
    customer = db.Column(db.String(40), nullable=False)
    state = db.Column(db.String(10), default="open")


FreshView: t.Any = kept_session.fix(db, ModelView, Order)


class OrderView(FreshView):
    column_searchable_list = ("customer",)


class OpenOrderView(OrderView):
    def __init__(self, model: t.Any, session: t.Any) -> None:
        super().__init__(model, session)
        self.reader = session()  # broken here

    def get_query(self) -> t.Any:
        return self.reader.query(Order)


def create_app(broken: bool) -> Flask:
    app = Flask(__name__)
    app.config["SECRET_KEY"] = "orders"
    app.config["SQLALCHEMY_DATABASE_URI"] = URL
    db.init_app(app)
    admin = Admin(app, name="Orders")
    with app.app_context():
        db.create_all()
        view = OpenOrderView if broken else OrderView
        admin.add_view(view(Order, db.session))

    with app.app_context():
        for customer in "Abel", "Boas", "Cora", "Dina", "Esau", "Gad":
            db.session.add(Order(customer=customer))
        db.session.commit()
    return app


def fixed() -> Flask:
    return create_app(broken=False)


def broken() -> Flask:
    return create_app(broken=True)
