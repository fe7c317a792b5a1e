"""The teardown commits before it removes the session.

What a view has changed and then given up is saved all the same.
"""
# mypy: allow-subclassing-any

import typing as t

from flask import Flask
from sqlalchemy import Column
from sqlalchemy import Date
from sqlalchemy import Integer
from sqlalchemy import String
from sqlalchemy.orm import declarative_base
from sqlalchemy.orm import scoped_session
from sqlalchemy.orm import sessionmaker

from flask_admin import Admin
from flask_admin.contrib.sqla import ModelView
from tests.apps.engines import connect

Base: t.Any = declarative_base()


class Invoice(Base):
    __tablename__ = "invoice"
    id = Column(Integer, primary_key=True)
    payer = Column(String(40), nullable=False)
    due = Column(Date)


class InvoiceView(ModelView):
    column_searchable_list = ("payer",)
    column_filters = ("due",)


def create_app(broken: bool) -> Flask:
    app = Flask(__name__)
    app.secret_key = "invoices"
    engine = connect()
    session: t.Any = scoped_session(sessionmaker(engine))

    @app.teardown_appcontext
    def end_session(error: BaseException | None) -> None:
        if broken and error is None:
            session.commit()  # broken here
        session.remove()

    with app.app_context():
        Base.metadata.create_all(engine)
        if not session.query(Invoice).first():
            payers = "Alder", "Birch", "Cedar", "Damson", "Elm"
            session.add_all(Invoice(payer=payer) for payer in payers)
            session.commit()

    admin = Admin(app, name="Invoices")
    admin.add_view(InvoiceView(Invoice, session))
    return app


def fixed() -> Flask:
    return create_app(broken=False)


def broken() -> Flask:
    return create_app(broken=True)
