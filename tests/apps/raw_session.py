"""A view opens a session when it is built, and keeps it for ever.

Every request shares it, and shows old rows after they were changed elsewhere.
"""
# mypy: allow-subclassing-any

import typing as t

from flask import Flask
from sqlalchemy import Column
from sqlalchemy import Integer
from sqlalchemy import String
from sqlalchemy.engine import Engine
from sqlalchemy.orm import declarative_base
from sqlalchemy.orm import scoped_session
from sqlalchemy.orm import Session
from sqlalchemy.orm import sessionmaker

from flask_admin import Admin
from flask_admin.contrib.sqla import ModelView
from session_scoping.fixes import never_removed
from session_scoping.fixes import raw_session
from tests.apps.engines import connect

Base: t.Any = declarative_base()


class Product(Base):
    __tablename__ = "product"
    id = Column(Integer, primary_key=True)
    name = Column(String(40), nullable=False)
    price = Column(Integer, default=1)


class ProductView(ModelView):
    column_searchable_list = ("name",)
    can_view_details = True


# begin raw-session
# The view keeps its own session.
class ReportView(ProductView):
    def __init__(self, model: t.Any, session: t.Any, engine: Engine) -> None:
        super().__init__(model, session)
        self.session: t.Any = Session(engine)  # broken here


# end


def create_app(broken: bool) -> Flask:
    app = Flask(__name__)
    app.secret_key = "products"
    engine = connect()
    Base.metadata.create_all(engine)
    with Session(engine) as seeding:
        names = "Anvil", "Bellows", "Chisel", "Drill", "File", "Gauge"
        seeding.add_all(Product(name=name, price=len(name)) for name in names)
        seeding.commit()

    admin = Admin(app, name="Products")
    if broken:
        session: t.Any = scoped_session(sessionmaker(engine))
        never_removed.fix(app, session)
        admin.add_view(ReportView(Product, session, engine))
    else:
        raw_session.fix(app, admin, engine, Product, ProductView)
    return app


def fixed() -> Flask:
    return create_app(broken=False)


def broken() -> Flask:
    return create_app(broken=True)
