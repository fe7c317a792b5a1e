"""A column formatter makes a session for each row it formats.

A page of fifty rows takes fifty connections, and the pool runs dry.
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


class Customer(db.Model):
    id = db.Column(db.Integer, primary_key=True)
    name = db.Column(db.String(40), nullable=False)


class Sale(db.Model):
    id = db.Column(db.Integer, primary_key=True)
    amount = db.Column(db.Integer)
    customer_id = db.Column(db.Integer, db.ForeignKey("customer.id"))


def count_sales(view: t.Any, context: t.Any, model: t.Any, name: str) -> str:
    return str(db.session.query(Sale).filter_by(customer_id=model.id).count())


def count_sales_apart(view: t.Any, context: t.Any, model: t.Any, name: str) -> str:
    session = Session(db.engine)
    sales = session.query(Sale).filter_by(customer_id=model.id)
    return str(sales.count())  # broken here


class CustomerView(ModelView):
    column_list: t.Any = ("name", "sales")
    column_formatters: t.Any = {"sales": count_sales}
    column_searchable_list = ("name",)


class BusyCustomerView(CustomerView):
    column_formatters = {"sales": count_sales_apart}


def create_app(broken: bool) -> Flask:
    app = Flask(__name__)
    app.config["SECRET_KEY"] = "sales"
    app.config["SQLALCHEMY_DATABASE_URI"] = URL
    db.init_app(app)
    with app.app_context():
        db.create_all()
        for number, name in enumerate(["Arno", "Bert", "Carl", "Doro", "Emil"], 1):
            db.session.add(Customer(id=number, name=name))
            db.session.add(Sale(amount=10 * number, customer_id=number))
        db.session.commit()

    view = BusyCustomerView if broken else CustomerView
    admin = Admin(app, name="Sales")
    admin.add_view(view(Customer, db.session))
    return app


def fixed() -> Flask:
    return create_app(broken=False)


def broken() -> Flask:
    return create_app(broken=True)
