"""A view replaces its handle, one to read with and another one to write with.

The view is there for all requests: one that reads takes it from one that writes.
"""
# mypy: allow-subclassing-any

import typing as t

from flask import Flask
from flask import request
from sqlalchemy import Column
from sqlalchemy import Integer
from sqlalchemy import String
from sqlalchemy.orm import declarative_base
from sqlalchemy.orm import scoped_session
from sqlalchemy.orm import Session
from sqlalchemy.orm import sessionmaker

from flask_admin import Admin
from flask_admin.contrib.sqla import ModelView
from tests.apps.engines import connect

Base: t.Any = declarative_base()


class Lamp(Base):
    __tablename__ = "lamp"
    id = Column(Integer, primary_key=True)
    place = Column(String(40), nullable=False)
    watts = Column(Integer)


class LampView(ModelView):
    column_searchable_list = ("place",)
    column_filters = ("watts",)


class SwitchingLampView(LampView):
    reading: t.Any
    writing: t.Any

    def is_accessible(self) -> bool:
        self.session = self.reading if request.method == "GET" else self.writing
        return True


def create_app(broken: bool) -> Flask:
    app = Flask(__name__)
    app.secret_key = "lamps"
    engine = connect()
    Base.metadata.create_all(engine)
    with Session(engine) as seeding:
        places = "Hall", "Kitchen", "Landing", "Porch", "Study"
        seeding.add_all(Lamp(place=place, watts=10 * len(place)) for place in places)
        seeding.commit()

    writing: t.Any = scoped_session(sessionmaker(engine))
    reading: t.Any = scoped_session(sessionmaker(engine, autoflush=False))

    @app.teardown_appcontext
    def remove_sessions(error: BaseException | None) -> None:
        writing.remove()
        reading.remove()

    admin = Admin(app, name="Lamps")
    if broken:
        view = SwitchingLampView(Lamp, writing)
        view.reading, view.writing = reading, writing
        admin.add_view(view)
    else:
        admin.add_view(LampView(Lamp, writing))
    return app


def fixed() -> Flask:
    return create_app(broken=False)


def broken() -> Flask:
    return create_app(broken=True)
