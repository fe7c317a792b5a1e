"""A view holds Flask-SQLAlchemy-Lite's `db.session`, taken while the app was built.

With Lite that is a session and no handle: two people at once work in one transaction.
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


class Station(Base):
    __tablename__ = "station"
    id: Mapped[int] = mapped_column(primary_key=True)
    name: Mapped[str] = mapped_column(String(40))
    platforms: Mapped[int] = mapped_column(default=2)


class StationView(ModelView):
    column_searchable_list = ("name",)
    column_filters = ("platforms",)


class TimetableView(StationView):
    def __init__(self, model: type[Station], db: SQLAlchemy) -> None:
        session: t.Any = db.session  # broken here
        super().__init__(model, db)
        self.session = session


def create_app(broken: bool) -> Flask:
    app = Flask(__name__)
    app.config["SECRET_KEY"] = "stations"
    app.config["SQLALCHEMY_ENGINES"] = {"default": URL}
    db.init_app(app)
    with app.app_context():
        Base.metadata.create_all(db.engine)
        for name in "Aarau", "Bern", "Chur", "Davos", "Erlen":
            db.session.add(Station(name=name, platforms=len(name)))
        db.session.commit()

    admin = Admin(app, name="Stations")
    with app.app_context():
        view = TimetableView if broken else StationView
        admin.add_view(view(Station, db))
    return app


def fixed() -> Flask:
    return create_app(broken=False)


def broken() -> Flask:
    return create_app(broken=True)
