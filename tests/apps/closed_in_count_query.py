"""`get_count_query` closes the session, and the query it returns goes on using it.

What the request has not committed by then is lost without a word.
"""

import typing as t

from flask import Flask
from flask_sqlalchemy_lite import SQLAlchemy
from sqlalchemy import String
from sqlalchemy.orm import DeclarativeBase
from sqlalchemy.orm import Mapped
from sqlalchemy.orm import mapped_column

from flask_admin import Admin
from flask_admin.contrib.sqla import ModelView
from tests.apps.engines import URL

db = SQLAlchemy()


class Base(DeclarativeBase):
    pass


class Ship(Base):
    __tablename__ = "ship"
    id: Mapped[int] = mapped_column(primary_key=True)
    name: Mapped[str] = mapped_column(String(40))


class ShipView(ModelView):
    column_searchable_list = ("name",)
    can_export = True


class FreshShipView(ShipView):
    def get_count_query(self) -> t.Any:
        query = super().get_count_query()
        db.session.close()
        return query


def create_app(broken: bool) -> Flask:
    app = Flask(__name__)
    app.config["SECRET_KEY"] = "ships"
    app.config["SQLALCHEMY_ENGINES"] = {"default": URL}
    db.init_app(app)
    with app.app_context():
        Base.metadata.create_all(db.engine)
        names = "Argo", "Beagle", "Cutty Sark", "Dawn", "Endeavour"
        db.session.add_all(Ship(name=name) for name in names)
        db.session.commit()

    admin = Admin(app, name="Ships")
    with app.app_context():
        view = FreshShipView if broken else ShipView
        admin.add_view(view(Ship, db))
    return app


def fixed() -> Flask:
    return create_app(broken=False)


def broken() -> Flask:
    return create_app(broken=True)
