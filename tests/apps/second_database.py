"""A page reads from a second database, on purpose with a session of its own.

Where that one is not closed, each look at the page keeps a connection for itself.
"""
# mypy: allow-subclassing-any

import typing as t

from flask import Flask
from flask_sqlalchemy import SQLAlchemy
from sqlalchemy import Column
from sqlalchemy import Integer
from sqlalchemy import String
from sqlalchemy.engine import Engine
from sqlalchemy.orm import declarative_base
from sqlalchemy.orm import Session

from flask_admin import Admin
from flask_admin import BaseView
from flask_admin import expose
from flask_admin.contrib.sqla import ModelView
from tests.apps.engines import connect
from tests.apps.engines import URL

db: t.Any = SQLAlchemy()
Base: t.Any = declarative_base()


class Shelf(db.Model):
    id = db.Column(db.Integer, primary_key=True)
    name = db.Column(db.String(40), nullable=False)


class Reading(Base):
    __tablename__ = "reading"
    id = Column(Integer, primary_key=True)
    sensor = Column(String(40), nullable=False)


class SensorView(BaseView):
    def __init__(self, engine: Engine, **options: t.Any) -> None:
        super().__init__(**options)
        self.engine = engine

    def sensors(self) -> list[str]:
        with Session(self.engine) as session:
            return [str(one.sensor) for one in session.query(Reading)]

    @expose("/")
    def index(self) -> str:
        return ", ".join(self.sensors())


class OpenSensorView(SensorView):
    def sensors(self) -> list[str]:
        session = Session(self.engine)
        return [str(one.sensor) for one in session.query(Reading)]  # broken here


def create_app(broken: bool) -> Flask:
    app = Flask(__name__)
    app.config["SECRET_KEY"] = "shelves"
    app.config["SQLALCHEMY_DATABASE_URI"] = URL
    db.init_app(app)
    with app.app_context():
        db.create_all()
        db.session.add_all(Shelf(name=f"Shelf {letter}") for letter in "ABCDE")
        db.session.commit()

    sensors = connect("sqlite://")
    Base.metadata.create_all(sensors)
    with Session(sensors) as session:
        session.add_all(Reading(sensor=f"probe {letter}") for letter in "vwxyz")
        session.commit()

    view = OpenSensorView if broken else SensorView
    admin = Admin(app, name="Stock")
    admin.add_view(ModelView(Shelf, db.session))
    admin.add_view(view(sensors, name="Sensors", endpoint="sensors"))
    return app


def fixed() -> Flask:
    return create_app(broken=False)


def broken() -> Flask:
    return create_app(broken=True)
